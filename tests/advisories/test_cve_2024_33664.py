"""CVE-2024-33664 (python-jose): a small token inflated to a huge one."""

import zlib

import pytest

from stockade.authentication import InvalidTokenError
from tests.unit.authentication.helpers import ANA, encode, make_tokens, parts_of, sign

BOMB = zlib.compress(b'{"sub": "' + b"a" * 2_000_000 + b'"}', wbits=-15)


def test_nothing_is_inflated() -> None:
    """Compression is asked for by a header that we don't write, and encryption by five parts."""
    tokens = make_tokens("HS256")
    header, _ = parts_of(tokens.issue(ANA).value)
    reasons = []
    for token in (
        sign(tokens, {**header, "zip": "DEF"}, BOMB),
        sign(tokens, header, BOMB),
        ".".join((encode({"alg": "dir", "enc": "A128GCM", "zip": "DEF"}), "", "AA", "AA", "AA")),
    ):
        with pytest.raises(InvalidTokenError) as caught:
            tokens.verify(token)
        reasons.append(caught.value.reason.partition(".")[2])
    assert reasons == ["token_header", "token_claims", "token_malformed"]
