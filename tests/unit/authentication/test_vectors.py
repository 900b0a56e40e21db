"""Signatures that others found to be accepted by mistake (C2SP Wycheproof)."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey

from stockade.authentication import InvalidTokenError
from tests.unit.authentication.helpers import make_tokens

CORPORA = Path(
    os.environ.get("STOCKADE_CORPORA", Path(__file__).resolve().parents[4] / "shared" / "corpora")
)
VECTORS = CORPORA / "jose" / "wycheproof_json_web_signature.json"


def read_groups() -> list[dict[str, Any]]:
    """Return the groups of vectors, or skip."""
    if not VECTORS.exists():
        pytest.skip("the corpora of others' vectors are not here (STOCKADE_CORPORA)")
    groups: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))["testGroups"]
    return groups


def test_no_foreign_signature_is_an_access_token() -> None:
    """Valid or not, nothing that others signed gets in, and nothing breaks."""
    services = [make_tokens("HS256"), make_tokens("Ed25519")]
    seen = 0
    for vector in (vector for group in read_groups() for vector in group["tests"]):
        token = vector["jws"] if isinstance(vector["jws"], str) else json.dumps(vector["jws"])
        for tokens in services:
            with pytest.raises(InvalidTokenError):
                tokens.verify(token)
            seen += 1
    assert seen > 700


def test_invalid_vectors_fail_even_with_their_own_key() -> None:
    """With the vectors' secret in our ring the invalid ones are refused at their signature."""
    seen = 0
    for group in read_groups():
        secret = group.get("private") or {}
        if secret.get("kty") != "oct" or secret.get("alg", "HS256") != "HS256":
            continue
        tokens = make_tokens("HS256")
        tokens._verifying = {secret.get("kid"): OctKey.import_key(secret)}
        for vector in group["tests"]:
            if vector["result"] == "invalid" and isinstance(vector["jws"], str):
                with pytest.raises(InvalidTokenError) as caught:
                    tokens.verify(vector["jws"])
                assert caught.value.reason != "authentication.token_type", vector["comment"]
                seen += 1
    assert seen > 5
