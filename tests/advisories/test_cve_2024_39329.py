"""CVE-2024-39329 (Django): accounts without a usable password were refused without any work."""

import dataclasses

import bcrypt
import pytest

from stockade.authentication import (
    AuthenticationSettings,
    HashingPool,
    InvalidCredentialsError,
    PasswordSignIn,
)
from stockade.authentication.hashers import choose_hasher
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.helpers import ANA

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("email", [ANA.email, "nobody@example.com"])
@pytest.mark.parametrize(
    "stored",
    ["", "!", "!" + "A" * 40, "x", "pbkdf2_sha256$99999999$salt$" + "A" * 43 + "="],
    ids=["none", "unusable", "Django's unusable", "broken", "too costly"],
)
async def test_every_refusal_costs_one_hash(
    monkeypatch: pytest.MonkeyPatch, email: str, stored: str
) -> None:
    """Whatever the account has, and where there is none."""
    hasher = choose_hasher(AuthenticationSettings(bcrypt_cost=4))
    hasher.verify("", None)
    runs: list[bytes] = []
    check = bcrypt.checkpw

    def count(password: bytes, hashed: bytes) -> bool:
        runs.append(hashed)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    store = MemoryAccountStore([dataclasses.replace(ANA, password_hash=stored)])
    pool = HashingPool(threads=1, queue=1)
    with pytest.raises(InvalidCredentialsError):
        await PasswordSignIn(store, hasher, pool).sign_in(email, "guess")
    pool.close()
    assert [run[:7] for run in runs] == [b"$2b$04$"]
