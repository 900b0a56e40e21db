"""CVE-2024-53861 (PyJWT): a part of the issuer's name was as good as the name.

CVE-2026-75509 (joserfc) was alike: a list of issuers held if one of them did.
"""

import pytest

from stockade.authentication import InvalidTokenError
from tests.unit.authentication.helpers import make_tokens, reissue

NAME = "https://issuer.example"


@pytest.mark.parametrize(
    "issuer",
    ["https", "issuer", "e", "", NAME + "/", NAME.upper(), [NAME], [NAME, "x"], {NAME: 1}, None],
    ids=repr,
)
def test_an_issuer_is_its_whole_name(issuer: object) -> None:
    """Parts, lists and other spellings are somebody else."""
    tokens = make_tokens("HS256", issuer=NAME)
    token = reissue(tokens, claims=lambda claims: claims.update(iss=issuer))
    with pytest.raises(InvalidTokenError) as caught:
        tokens.verify(token)
    assert caught.value.reason == "authentication.token_issuer"
