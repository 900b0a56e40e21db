"""CVE-2015-9235 (jsonwebtoken): a token signed by HMAC with the RSA public key was accepted."""

import hashlib
import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stockade.authentication import InvalidTokenError
from tests.unit.authentication.helpers import ANA, decode, encode, make_tokens


@pytest.mark.parametrize("ending", ["", "\n"], ids=["stripped", "as in the file"])
@pytest.mark.parametrize(
    "form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1], ids=["X.509", "PKCS 1"]
)
def test_an_rsa_public_key_signs_nothing(form: PublicFormat, ending: str) -> None:
    """The key is for RS256, whatever the header says."""
    tokens = make_tokens("RS256")
    public: Any = tokens.keys.newest.verification.public
    secret = public.public_bytes(Encoding.PEM, form).decode().rstrip() + ending
    header, claims, _ = tokens.issue(ANA).value.split(".")
    head = encode({**decode(header), "alg": "HS256"}) + "." + claims
    forged = encode(hmac.digest(secret.encode(), head.encode(), hashlib.sha256))
    with pytest.raises(InvalidTokenError) as caught:
        tokens.verify(f"{head}.{forged}")
    assert caught.value.reason == "authentication.token_algorithm"
