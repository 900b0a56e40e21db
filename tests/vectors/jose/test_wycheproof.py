"""Signatures that others found to be accepted by mistake (C2SP Wycheproof)."""

import json
from typing import Any

import pytest

from stockade.authentication import InvalidTokenError
from stockade.authentication.algorithms import VerificationKey, verify_with_secret
from stockade.authentication.jwks import read_key_set, read_private_key
from stockade.authentication.jws import decode_base64url, decode_object, read_compact
from tests.unit.authentication.helpers import ALGORITHMS, make_tokens
from tests.vectors.jose.corpora import ALL_ALGORITHMS, read_vectors

LONGEST = 100_000
# Each of these is called valid. We refuse an empty payload, in which no claims are, and characters
# that are no base64url, which other readers skip.
STRICTER = {
    "emptyPayload",
    "InvalidCharacterInsertedInHeader",
    "InvalidCharacterInsertedInPayload",
}


def read_groups() -> list[dict[str, Any]]:
    """Return the groups of vectors, or skip."""
    groups: list[dict[str, Any]] = read_vectors("wycheproof_json_web_signature.json")["testGroups"]
    return groups


def read_key(group: dict[str, Any]) -> VerificationKey | None:
    """Read the key of a group as that of an issuer; None for what we do not use."""
    if "public" not in group:
        secret = read_private_key(group["private"])
        assert isinstance(secret, bytes)
        return verify_with_secret(secret, "k") if group["private"]["alg"] == "HS256" else None
    jwk = {**group["public"], "kid": "k"}
    keys = read_key_set(json.dumps({"keys": [jwk]}).encode(), algorithms=ALL_ALGORITHMS)
    return next(iter(keys.values()), None)


def verify(token: object, key: VerificationKey) -> bool:
    """Tell whether a token holds under a key, with no rules but those of signatures."""
    if not isinstance(token, str):
        return False  # The other serialization, which nothing of ours takes.
    try:
        compact = read_compact(token, limit=LONGEST)
        header = decode_object(compact.header)
        if header.get("alg") not in key.algorithm.names:
            return False
        key.verify(compact.signed, compact.signature)
        decode_base64url(compact.payload)
    except InvalidTokenError:
        return False
    return True


def test_every_vector_of_our_algorithms() -> None:
    """What is called invalid is refused, and what is called valid is accepted but where we say."""
    seen = {"valid": 0, "invalid": 0}
    for group in read_groups():
        key = read_key(group)
        if key is None:
            continue
        valid = {json.dumps(each["jws"]) for each in group["tests"] if each["result"] == "valid"}
        for vector in group["tests"]:
            # Two vectors are the very text of a valid one, so that what they mean to show is lost.
            expected = json.dumps(vector["jws"]) in valid and vector["comment"] not in STRICTER
            assert verify(vector["jws"], key) is expected, vector["comment"]
            seen[vector["result"]] += 1
    assert seen["valid"] >= 15
    assert seen["invalid"] >= 290


def test_keys_for_another_use_are_not_read() -> None:
    """A key for encryption, or of another algorithm, verifies nothing."""
    left_out = [group for group in read_groups() if read_key(group) is None]
    names = {group["comment"] for group in left_out}
    assert {"rsa_encryption", "ec_key_for_encryption", "ps256", "rs384", "rs512"} <= names
    assert not names & {"hs256", "es256", "rs256", "base64", "SpecialCaseEs256"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_foreign_signature_is_an_access_token(algorithm: str) -> None:
    """Valid or not, nothing that others signed gets in, and nothing breaks."""
    tokens = make_tokens(algorithm)
    vectors = [vector for group in read_groups() for vector in group["tests"]]
    for vector in vectors:
        token = vector["jws"] if isinstance(vector["jws"], str) else json.dumps(vector["jws"])
        with pytest.raises(InvalidTokenError):
            tokens.verify(token)
    assert len(vectors) > 390
