"""CVE-2018-0114 (node-jose): the key that a token brings in its header verified the token."""

import pytest

from stockade.authentication import InvalidTokenError
from stockade.authentication.jwks import write_key_set
from tests.unit.authentication.helpers import ANA, decode, encode, make_tokens
from tests.unit.authentication.issuers import make_key


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
@pytest.mark.parametrize("named", [True, False], ids=["our kid", "its own kid"])
def test_a_token_brings_no_key(algorithm: str, named: bool) -> None:
    """A header with a key is refused, also where the signature is right under that key."""
    tokens = make_tokens(algorithm)
    attacker = make_key("ES256" if algorithm == "RS256" else algorithm, kid="attacker")
    header, claims, _ = tokens.issue(ANA).value.split(".")
    brought = write_key_set([attacker.verification])["keys"][0]
    changed = {
        **decode(header),
        "alg": str(attacker.verification.algorithm),
        "jwk": brought,
        **({} if named else {"kid": "attacker"}),
    }
    head = f"{encode(changed)}.{claims}"
    with pytest.raises(InvalidTokenError) as caught:
        tokens.verify(f"{head}.{encode(attacker.sign(head.encode()))}")
    assert caught.value.reason == "authentication.token_header"
