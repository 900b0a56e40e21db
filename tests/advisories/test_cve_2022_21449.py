"""CVE-2022-21449 (Java): an ECDSA signature of zeros held for everything."""

import pytest

from stockade.authentication import InvalidTokenError
from tests.unit.authentication.helpers import ANA, encode, make_tokens
from tests.unit.authentication.issuers import make_key

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FORGED = [
    bytes(64),
    bytes(32) + b"\x01" * 32,
    b"\x01" * 32 + bytes(32),
    ORDER.to_bytes(32, "big") * 2,
]


@pytest.mark.parametrize("signature", FORGED, ids=["r=s=0", "r=0", "s=0", "r=s=n"])
def test_zeros_are_no_signature(signature: bytes) -> None:
    """Neither under our own key nor under that of an issuer."""
    tokens = make_tokens("ES256")
    head = tokens.issue(ANA).value.rpartition(".")[0]
    with pytest.raises(InvalidTokenError) as caught:
        tokens.verify(f"{head}.{encode(signature)}")
    assert caught.value.reason == "authentication.token_signature"
    assert not make_key("ES256").verification.holds(head.encode(), signature)
