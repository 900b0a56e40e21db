"""Expect the same of every store of passkeys."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockade.authentication.interfaces import PasskeyStore
from stockade.authentication.models import Passkey, Removal
from stockade.core import UserId
from stockade.errors import StoreError
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from stockade.storage.sql.passkeys import SQLPasskeyStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ANA, BEA = UserId("ana"), UserId("bea")


def make_passkey(user_id: UserId = ANA, **changes: object) -> Passkey:
    """Make a passkey that has not signed yet."""
    passkey = Passkey(
        passkey_id=str(uuid.uuid4()),
        credential_id=uuid.uuid4().hex,
        user_id=user_id,
        user_handle=b"\0\xff" * 16,
        public_key=b"\0\xff" * 200,
        sign_count=0,
        backup_eligible=True,
        backed_up=False,
        transports=frozenset({"internal", "hybrid"}),
        name="Téléphone",
        created_at=NOW,
    )
    return dataclasses.replace(passkey, **changes)  # type: ignore[arg-type]  # Any field.


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PasskeyStore]:
    """One store of each kind, with two accounts."""
    if request.param == "memory":
        yield MemoryPasskeyStore()
        return
    url = f"sqlite:///{tmp_path}/passkeys.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for user_id in (ANA, BEA):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="x", user_id=user_id)
            await create_account(connection, account)
    yield SQLPasskeyStore(engine)
    await engine.dispose()


async def test_a_passkey_comes_back_as_it_was(store: PasskeyStore) -> None:
    """Every byte and every moment, also of the longest identifier that there is."""
    for passkey in (
        make_passkey(),
        make_passkey(credential_id="-_" * 682, transports=frozenset(), sign_count=2**32 - 1),
    ):
        assert await store.add(passkey)
        assert await store.find(passkey.credential_id) == passkey
    assert await store.find("nothing") is None


async def test_an_identifier_belongs_to_one_account(store: PasskeyStore) -> None:
    """Of many registrations of one passkey one wins, whoever they are by."""
    made = [make_passkey(user_id, credential_id="same") for user_id in (ANA, BEA) * 10]
    results = await asyncio.gather(*(store.add(passkey) for passkey in made))
    assert sum(results) == 1
    assert await store.find("same") == made[results.index(True)]


async def test_passkeys_are_listed_for_their_owner(store: PasskeyStore) -> None:
    """The oldest first."""
    second = make_passkey(created_at=LATER)
    first = make_passkey()
    foreign = make_passkey(BEA)
    for passkey in (first, second, foreign):
        await store.add(passkey)
    assert await store.list_of(ANA) == [first, second]
    assert await store.list_of(UserId("nobody")) == []


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        (0, 0, True),
        (0, 1, True),
        (5, 6, True),
        (5, 99, True),
        (5, 5, False),
        (5, 4, False),
        (5, 0, False),
    ],
)
async def test_a_count_never_goes_back(
    store: PasskeyStore, before: int, after: int, taken: bool
) -> None:
    """One that does not count says 0 each time."""
    passkey = make_passkey(sign_count=before)
    await store.add(passkey)
    used = await store.use(passkey.passkey_id, sign_count=after, backed_up=True, now=LATER)
    assert used is taken
    expected = dataclasses.replace(passkey, sign_count=after, backed_up=True, last_used_at=LATER)
    assert await store.find(passkey.credential_id) == (expected if taken else passkey)


async def test_of_many_uses_of_a_count_one_wins(store: PasskeyStore) -> None:
    """A copy that counts for itself is noticed, however close the two come."""
    passkey = make_passkey(sign_count=5)
    await store.add(passkey)
    results = await asyncio.gather(
        *(
            store.use(passkey.passkey_id, sign_count=6, backed_up=False, now=LATER)
            for _ in range(100)
        )
    )
    assert sum(results) == 1


async def test_a_passkey_is_removed_by_its_owner(store: PasskeyStore) -> None:
    """Nobody else removes it, and afterwards it is not used."""
    passkey = make_passkey()
    await store.add(passkey)
    assert await store.remove(BEA, passkey.passkey_id, issuers=()) is Removal.UNKNOWN
    assert await store.remove(ANA, passkey.passkey_id, issuers=()) is Removal.DONE
    assert await store.remove(ANA, passkey.passkey_id, issuers=()) is Removal.UNKNOWN
    assert not await store.use(passkey.passkey_id, sign_count=1, backed_up=False, now=NOW)
    assert await store.list_of(ANA) == []


async def test_a_database_that_can_not_answer_has_no_passkeys_to_show(tmp_path: Path) -> None:
    """Nobody signs in without a second factor because of it."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    store = SQLPasskeyStore(engine)
    with pytest.raises(StoreError):
        await store.list_of(ANA)
    await engine.dispose()
