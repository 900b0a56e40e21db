import asyncio
import base64
import dataclasses
import hashlib
import threading
from collections.abc import Iterator

import bcrypt
import pytest

from stockade.authentication import (
    Account,
    AuthenticationSettings,
    BcryptHasher,
    HashingPool,
    InvalidCredentialsError,
    PasswordSignIn,
)
from stockade.authentication.hashers import choose_hasher
from stockade.authentication.sign_in import is_storable
from stockade.core import UserId
from stockade.errors import StoreError, UnavailableError
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.helpers import ANA, random_password

PASSWORD = random_password()
HASHER = BcryptHasher(cost=4)
BEA = dataclasses.replace(
    ANA, user_id=UserId("bea"), email="bea@example.com", password_hash=HASHER.hash(PASSWORD)
)
OFF = dataclasses.replace(BEA, user_id=UserId("off"), email="off@example.com", active=False)


class Store(MemoryAccountStore):
    """A store that remembers what it was asked, and can be away."""

    def __init__(self) -> None:
        super().__init__([ANA, BEA, OFF])
        self.asked: list[str] = []
        self.away = False

    async def find_by_email(self, email: str) -> Account | None:
        """Return the account.

        Raises:
            StoreError: The store is away.
        """
        self.asked.append(email)
        if self.away:
            raise StoreError("away")
        return await super().find_by_email(email)


@pytest.fixture
def store() -> Store:
    """Three accounts: without a password, with one, and inactive."""
    return Store()


@pytest.fixture
def pool() -> Iterator[HashingPool]:
    """A pool that is closed in the end."""
    made = HashingPool(threads=1, queue=2)
    yield made
    made.close()


@pytest.fixture
def sign_in(store: Store, pool: HashingPool) -> PasswordSignIn:
    """The service."""
    return PasswordSignIn(store, HASHER, pool)


async def test_the_right_password_gives_a_token(sign_in: PasswordSignIn) -> None:
    """Address and password that belong together sign in, in any case of the address."""
    for email in ("bea@example.com", "BEA@Example.COM"):
        assert await sign_in.sign_in(email, PASSWORD) == BEA


REFUSED = [
    ("bea@example.com", "guess", "wrong_password"),
    ("bea@example.com", PASSWORD + " ", "wrong_password"),
    ("bea@example.com", "", "unknown_account"),
    ("bea@example.com", "a" * 73, "wrong_password"),
    ("bea@example.com", PASSWORD + "\0", "wrong_password"),
    ("bea@example.com", "a" * 1025, "unknown_account"),
    ("ana@example.com", "", "unknown_account"),
    ("ana@example.com", "anything", "wrong_password"),
    ("off@example.com", PASSWORD, "account_inactive"),
    ("off@example.com", "guess", "wrong_password"),
    ("nobody@example.com", PASSWORD, "unknown_account"),
    ("bea@example.com ", PASSWORD, "unknown_account"),
    ("bea@example.com\0", PASSWORD, "unknown_account"),
    ("\ud800", PASSWORD, "unknown_account"),
    ("", PASSWORD, "unknown_account"),
    ("a" * 255, PASSWORD, "unknown_account"),
    ("a" * 1_000_000, PASSWORD, "unknown_account"),
    ("%' OR 1=1 --", PASSWORD, "unknown_account"),
]


@pytest.mark.parametrize(
    ("email", "password", "reason"), REFUSED, ids=[f"{row[0][:12]!a}-{row[2]}" for row in REFUSED]
)
async def test_everything_else_is_one_refusal_of_the_same_work(
    sign_in: PasswordSignIn,
    email: str,
    password: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every failure is the same error after one run of bcrypt; only the event log knows why."""
    HASHER.verify("", None)
    runs: list[bytes] = []
    check = bcrypt.checkpw

    def count(password: bytes, hashed: bytes) -> bool:
        runs.append(hashed)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    with pytest.raises(InvalidCredentialsError) as caught:
        await sign_in.sign_in(email, password)
    assert caught.value.code == "invalid_credentials"
    assert caught.value.reason == f"authentication.{reason}"
    assert len(runs) == 1
    assert password == "" or password not in repr(caught.value)


@pytest.mark.parametrize(
    "email", ["", "a" * 255, "nul\0@b.c", "\ud800@b.c", "line\n@b.c"], ids=repr
)
async def test_an_impossible_address_reaches_no_store(
    sign_in: PasswordSignIn, store: Store, email: str
) -> None:
    """PostgreSQL would fail on a NUL, and the caller would be told that the store is away."""
    with pytest.raises(InvalidCredentialsError):
        await sign_in.sign_in(email, PASSWORD)
    assert store.asked == []
    assert not is_storable(email)


async def test_an_old_hash_is_upgraded_at_sign_in(sign_in: PasswordSignIn, store: Store) -> None:
    """After a change of the work factor the next sign-in stores a new hash of the password."""
    old = BcryptHasher(cost=5).hash(PASSWORD)
    store.put(dataclasses.replace(BEA, password_hash=old))
    await sign_in.sign_in(BEA.email, PASSWORD)
    account = await store.find_by_email(BEA.email)
    assert account is not None
    assert account.password_hash.startswith("$2b$04$")
    await sign_in.sign_in(BEA.email, PASSWORD)
    assert await store.find_by_email(BEA.email) == account


@pytest.mark.parametrize("email", ["bea@example.com", "off@example.com"])
async def test_a_refused_sign_in_upgrades_nothing(
    sign_in: PasswordSignIn, store: Store, email: str
) -> None:
    """Whoever is not let in changes nothing either."""
    old = BcryptHasher(cost=5).hash(PASSWORD)
    before = await store.find_by_email(email)
    assert before is not None
    store.put(dataclasses.replace(before, password_hash=old, active=False))
    with pytest.raises(InvalidCredentialsError):
        await sign_in.sign_in(email, PASSWORD)
    after = await store.find_by_email(email)
    assert after is not None
    assert after.password_hash == old


async def test_a_busy_pool_does_not_undo_a_right_password(store: Store) -> None:
    """The upgrade of a hash can wait for the next sign-in; the caller can't."""
    old = BcryptHasher(cost=5).hash(PASSWORD)
    store.put(dataclasses.replace(BEA, password_hash=old))

    class BusyAfterTheFirst(HashingPool):
        calls = 0

        async def run(self, function, *arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202 - as its base
            """Run the first call alone."""
            self.calls += 1
            if self.calls > 1:
                self._waiting = self._room
            return await super().run(function, *arguments)

    pool = BusyAfterTheFirst(threads=1, queue=1)
    account = await PasswordSignIn(store, HASHER, pool).sign_in(BEA.email, PASSWORD)
    assert account.password_hash == old
    assert pool.calls == 2
    pool.close()


async def test_a_store_that_is_away_is_no_wrong_password(
    sign_in: PasswordSignIn, store: Store
) -> None:
    """The caller is told to try again, not that the password is wrong."""
    store.away = True
    with pytest.raises(StoreError):
        await sign_in.sign_in(BEA.email, PASSWORD)


async def test_a_flood_of_sign_ins_is_refused(sign_in: PasswordSignIn, pool: HashingPool) -> None:
    """Beyond the queue a sign-in is told to come back, whoever it is."""
    gate = threading.Event()
    running = [asyncio.create_task(pool.run(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await sign_in.sign_in(BEA.email, PASSWORD)
    gate.set()
    await asyncio.gather(*running)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ("", "wrong_password"),
        ("!", "wrong_password"),
        ("!" + "A" * 40, "wrong_password"),
        ("$6$rounds=5000$salt$" + "." * 86, "unreadable_hash"),
        ("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA", "unreadable_hash"),
        ("plain", "unreadable_hash"),
    ],
    ids=ascii,
)
async def test_a_hash_that_can_not_be_read_is_told_from_a_wrong_password(
    pool: HashingPool, stored: str, reason: str
) -> None:
    """Not to the caller, but to whoever has moved the accounts."""
    account = dataclasses.replace(BEA, password_hash=stored)
    service = PasswordSignIn(MemoryAccountStore([account]), HASHER, pool)
    with pytest.raises(InvalidCredentialsError) as caught:
        await service.sign_in("bea@example.com", PASSWORD)
    assert caught.value.reason == f"authentication.{reason}"


async def test_a_password_that_the_new_way_would_not_read_keeps_its_hash(
    pool: HashingPool,
) -> None:
    """It came from a program that reads more than bcrypt; it is neither cut nor an error."""
    password = "a" * 100
    salt, iterations = "salt", 10
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations)
    stored = f"pbkdf2_sha256${iterations}${salt}${base64.b64encode(digest).decode()}"
    store = MemoryAccountStore([dataclasses.replace(BEA, password_hash=stored)])
    service = PasswordSignIn(store, choose_hasher(AuthenticationSettings(bcrypt_cost=4)), pool)
    for _ in range(2):
        account = await service.sign_in("bea@example.com", password)
        assert account.password_hash == stored


async def test_an_imported_hash_is_replaced_at_the_first_sign_in(pool: HashingPool) -> None:
    """By one of the way that is chosen, for the same password."""
    hasher = choose_hasher(AuthenticationSettings(bcrypt_cost=4))
    imported = "bcrypt$" + HASHER.hash(PASSWORD)
    store = MemoryAccountStore([dataclasses.replace(BEA, password_hash=imported)])
    service = PasswordSignIn(store, hasher, pool)
    await service.sign_in("bea@example.com", PASSWORD)
    account = await service.sign_in("bea@example.com", PASSWORD)
    assert account.password_hash.startswith("$2b$04$")
    assert not hasher.needs_rehash(account.password_hash)
