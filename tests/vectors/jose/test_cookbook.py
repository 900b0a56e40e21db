"""The examples of the standards themselves (RFC 7520, RFC 7797, RFC 8037)."""

import json
from typing import Any

import pytest

from stockade.authentication import InvalidTokenError
from stockade.authentication.algorithms import SigningKey
from stockade.authentication.jwks import read_key_set
from stockade.authentication.jws import (
    decode_base64url,
    decode_object,
    encode_base64url,
    read_compact,
)
from stockade.authentication.signing_keys import read_signing_key
from tests.vectors.jose.corpora import ALL_ALGORITHMS, read_text, read_vectors

LONGEST = 10_000
OURS = {
    "Ed25519": "cookbook/curve25519/jws.json",
    "RS256": "cookbook/jws/4_1.rsa_v15_signature.json",
    "HS256": "cookbook/jws/4_4.hmac-sha2_integrity_protection.json",
}
OTHERS = {
    "PS384": "cookbook/jws/4_2.rsa-pss_signature.json",
    "ES512": "cookbook/jws/4_3.ecdsa_signature.json",
    "detached content": "cookbook/jws/4_5.signature_with_detached_content.json",
    "some of the header": "cookbook/jws/4_6.protecting_specific_header_fields.json",
    "none of the header": "cookbook/jws/4_7.protecting_content_only.json",
    "several signatures": "cookbook/jws/4_8.multiple_signatures.json",
    "b64=false": "cookbook/rfc7797/hmac-sha2_b64_false.json",
}


def read_key(vector: dict[str, Any]) -> SigningKey:
    """Read the private key of an example."""
    return read_signing_key(json.dumps(vector["input"]["key"]))


@pytest.mark.parametrize("algorithm", OURS)
def test_an_example_holds(algorithm: str) -> None:
    """The standard's own signature is accepted under the standard's own key."""
    vector = read_vectors(OURS[algorithm])
    key = read_key(vector).verification
    compact = read_compact(vector["output"]["compact"], limit=LONGEST)
    assert decode_object(compact.header)["alg"] in key.algorithm.names
    key.verify(compact.signed, compact.signature)
    assert decode_base64url(compact.payload).decode() == vector["input"]["payload"]


@pytest.mark.parametrize("algorithm", OURS)
def test_we_sign_as_the_example_does(algorithm: str) -> None:
    """These algorithms leave nothing to chance: the signature is the very same."""
    vector = read_vectors(OURS[algorithm])
    signature = read_key(vector).sign(vector["signing"]["sig-input"].encode())
    assert encode_base64url(signature).decode() == vector["signing"]["sig"]


@pytest.mark.parametrize("name", OTHERS)
def test_what_we_do_not_use_is_refused(name: str) -> None:
    """Neither another algorithm nor another serialization nor an unencoded payload is read."""
    vector = read_vectors(OTHERS[name])
    forms = vector["output"]
    for form in (forms.get("compact"), json.dumps(forms)):
        if form is None:
            continue
        with pytest.raises(InvalidTokenError):
            verify_strictly(form)


def verify_strictly(token: str) -> None:
    """Refuse what no key of ours can be asked about."""
    compact = read_compact(token, limit=LONGEST)
    header = decode_object(compact.header)
    known = {name for algorithm in ALL_ALGORITHMS for name in algorithm.names}
    if header["alg"] not in known or "crit" in header:
        raise InvalidTokenError(reason="authentication.token_header")


@pytest.mark.parametrize(
    "name", ["3_1.ec_public_key", "3_3.rsa_public_key"], ids=["P-521", "RSA for signatures"]
)
def test_public_keys_of_the_standard(name: str) -> None:
    """The RSA key is read, and the curve that is not used is left out."""
    text = f'{{"keys": [{read_text(f"cookbook/jwk/{name}.json")}]}}'
    keys = read_key_set(text.encode(), algorithms=ALL_ALGORITHMS)
    assert len(keys) == ("rsa" in name)
