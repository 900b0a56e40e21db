"""CVE-2013-1443 (Django): a password of a megabyte kept the server busy with hashing it."""

import dataclasses

import pytest

from stockade.authentication import (
    AuthenticationSettings,
    HashingPool,
    InvalidCredentialsError,
    PasswordPolicy,
    PasswordSignIn,
)
from stockade.authentication.passwords import PasswordHasher
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.helpers import ANA

pytestmark = pytest.mark.anyio


class Hasher:
    """Remembers how long the passwords are that it is given."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def hash(self, password: str) -> str:
        """Return no hash."""
        return ""

    def reads(self, stored: str) -> bool:
        """Read every hash."""
        return True

    def verify(self, password: str, stored: str | None) -> bool:
        """Refuse every password."""
        self.lengths.append(len(password))
        return False

    def needs_rehash(self, stored: str) -> bool:
        """Keep every hash."""
        return False


async def test_a_long_password_is_refused_before_it_is_hashed() -> None:
    """The work is the usual one, of an empty password."""
    hasher = Hasher()
    checked: PasswordHasher = hasher
    store = MemoryAccountStore([dataclasses.replace(ANA, password_hash="x")])
    pool = HashingPool(threads=1, queue=1)
    for password in ("a" * 1_000_000, "a" * 1025, "a" * 1024):
        with pytest.raises(InvalidCredentialsError):
            await PasswordSignIn(store, checked, pool).sign_in(ANA.email, password)
    pool.close()
    assert hasher.lengths == [0, 0, 1024]


def test_a_long_password_is_refused_before_it_is_looked_at() -> None:
    """Only its length counts then."""
    policy = PasswordPolicy(AuthenticationSettings(password_hash="argon2id"))
    (problem,) = policy.check("\ufdfa" * 10_000_000, context=("a" * 254,))
    assert problem.code == "password_too_long"
