"""CVE-2026-32597 (PyJWT): a header that has to be understood (``crit``) was passed over."""

import pytest

from stockade.authentication import InvalidTokenError
from tests.unit.authentication.helpers import make_tokens, reissue


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["x"], "x": 1},
        {"crit": ["b64"], "b64": True},
        {"crit": ["exp"]},
        {"crit": ["alg"]},
        {"crit": []},
        {"crit": None},
    ],
    ids=repr,
)
def test_what_has_to_be_understood_is_refused(members: dict[str, object]) -> None:
    """We understand no extension, so that none is accepted (RFC 7515, section 4.1.11)."""
    tokens = make_tokens("HS256")
    with pytest.raises(InvalidTokenError) as caught:
        tokens.verify(reissue(tokens, header=lambda header: header.update(members)))
    assert caught.value.reason == "authentication.token_header"
