"""CVE-2022-39227 (python-jwt): one parser read the signature, another one the claims.

A JSON token held a compact one in the name of a member: its signature was checked, and the claims
of the other were believed.
"""

import json

import pytest

from stockade.authentication import InvalidTokenError
from tests.unit.authentication.helpers import ANA, decode, encode, make_tokens


def test_one_parser_reads_a_token() -> None:
    """What is verified and what is believed are the same bytes, in one serialization."""
    tokens = make_tokens("Ed25519")
    header, claims, signature = tokens.issue(ANA).value.split(".")
    forged = encode({**decode(claims), "sub": "root"})
    parts = {"protected": header, "payload": claims, "signature": signature}
    mixed = json.dumps({f"  {header}.{forged}.": "", **parts})
    for token in (mixed, mixed.replace(" ", ""), f"{header}.{forged}.{mixed}"):
        with pytest.raises(InvalidTokenError) as caught:
            tokens.verify(token)
        assert caught.value.reason == "authentication.token_malformed"
