"""Expect the same of every store of devices."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockade.authentication.interfaces import DeviceStore
from stockade.authentication.models import Sighting
from stockade.core import UserId
from stockade.errors import StoreError
from stockade.storage.memory.devices import MemoryDeviceStore
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from stockade.storage.sql.devices import SQLDeviceStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ANA, BEA = UserId("ana"), UserId("bea")
PHONE, LAPTOP, OLD = (letter * 64 for letter in "abc")


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DeviceStore]:
    """One store of each kind, with two accounts."""
    if request.param == "memory":
        yield MemoryDeviceStore()
        return
    url = f"sqlite:///{tmp_path}/devices.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for user_id in (ANA, BEA):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="", user_id=user_id)
            await create_account(connection, account)
    yield SQLDeviceStore(engine)
    await engine.dispose()


async def test_a_device_is_new_once(store: DeviceStore) -> None:
    """The first one of an account is told apart, and accounts do not share them."""
    for user_id in (ANA, BEA):
        assert await store.see(user_id, [PHONE], now=NOW, keep=9) is Sighting.FIRST
        assert await store.see(user_id, [PHONE], now=NOW, keep=9) is Sighting.KNOWN
        assert await store.see(user_id, [LAPTOP], now=NOW, keep=9) is Sighting.NEW
        assert await store.see(user_id, [LAPTOP], now=NOW, keep=9) is Sighting.KNOWN


async def test_a_device_stays_known_under_a_newer_key(store: DeviceStore) -> None:
    """Afterwards the older digest is not needed any more."""
    await store.see(ANA, [OLD], now=NOW, keep=9)
    assert await store.see(ANA, [PHONE, OLD], now=NOW, keep=9) is Sighting.KNOWN
    assert await store.see(ANA, [PHONE], now=NOW, keep=9) is Sighting.KNOWN
    assert await store.see(ANA, [OLD], now=NOW, keep=9) is Sighting.NEW


async def test_the_one_that_was_not_seen_for_longest_gives_way(store: DeviceStore) -> None:
    """There are no more than may be kept."""
    for minutes, device in enumerate((PHONE, LAPTOP, PHONE, OLD)):
        await store.see(ANA, [device], now=NOW + timedelta(minutes=minutes), keep=2)
    later = NOW + timedelta(hours=1)
    assert await store.see(ANA, [PHONE], now=later, keep=2) is Sighting.KNOWN
    assert await store.see(ANA, [LAPTOP], now=later, keep=2) is Sighting.NEW


async def test_many_sign_ins_at_once_are_no_error(store: DeviceStore) -> None:
    """Each of them is told something, and afterwards the device is known."""
    await asyncio.gather(*(store.see(ANA, [PHONE], now=NOW, keep=9) for _ in range(50)))
    assert await store.see(ANA, [PHONE], now=NOW, keep=9) is Sighting.KNOWN


async def test_a_database_that_can_not_answer_says_so(tmp_path: Path) -> None:
    """It is an error of the store."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(StoreError):
        await SQLDeviceStore(engine).see(ANA, [PHONE], now=NOW, keep=9)
    await engine.dispose()
