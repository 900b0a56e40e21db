"""CVE-2025-22228 (Spring Security): of a long password, bcrypt compared the first 72 bytes only."""

import bcrypt
import pytest

from stockade.authentication import AuthenticationSettings, PasswordTooLongError
from stockade.authentication.hashers import choose_hasher

HASHER = choose_hasher(AuthenticationSettings(bcrypt_cost=4))
BEGINNING = b"a" * 72


@pytest.mark.parametrize("before", ["", "bcrypt$"], ids=["own", "Django"])
@pytest.mark.parametrize("password", ["a" * 73, "a" * 100, "a" * 72 + "\0", "a" * 71 + "\u00e9"])
def test_a_longer_password_does_not_match_its_beginning(before: str, password: str) -> None:
    """Nor is it an error, which bcrypt 5 makes of it."""
    stored = before + bcrypt.hashpw(BEGINNING, bcrypt.gensalt(4)).decode()
    assert HASHER.verify(BEGINNING.decode(), stored)
    assert not HASHER.verify(password, stored)
    with pytest.raises(PasswordTooLongError):
        HASHER.hash(password)
