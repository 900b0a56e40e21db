"""CVE-2022-29217 (PyJWT) and CVE-2024-33663 (python-jose): an OpenSSH public key was a secret.

Both looked for PEM to tell public keys from secrets, and took what begins in another way for HMAC.
"""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stockade.authentication import InvalidTokenError
from stockade.authentication.algorithms import UnusableKeyError
from stockade.authentication.signing_keys import read_signing_key
from tests.unit.authentication.helpers import ANA, decode, encode, make_tokens


def write_openssh(algorithm: str) -> bytes:
    """Write our public key as OpenSSH does."""
    public: Any = make_tokens(algorithm).keys.newest.verification.public
    text: bytes = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return text


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
def test_a_public_key_of_openssh_signs_nothing(algorithm: str) -> None:
    """A key is bound to its algorithm when it is read, and never guessed at by its looks."""
    tokens, secret = make_tokens(algorithm), write_openssh(algorithm)
    header, claims, _ = tokens.issue(ANA).value.split(".")
    for name in ("HS256", "HS384", "HS512"):
        head = encode({**decode(header), "alg": name}) + "." + claims
        forged = encode(hmac.digest(secret, head.encode(), hashlib.sha256))
        with pytest.raises(InvalidTokenError) as caught:
            tokens.verify(f"{head}.{forged}")
        assert caught.value.reason == "authentication.token_algorithm"


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
def test_a_public_key_is_no_signing_key(algorithm: str) -> None:
    """Text that is neither PEM nor a JWK is refused, and not taken for a secret."""
    text = write_openssh(algorithm).decode()
    for given in (text, json.dumps(text), encode(text.encode())):
        with pytest.raises(UnusableKeyError):
            read_signing_key(given)
