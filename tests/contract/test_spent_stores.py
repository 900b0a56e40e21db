"""Expect the same of every store of what has been used up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockade.authentication.interfaces import SpentStore
from stockade.errors import StoreError
from stockade.storage.memory.spent import MemorySpentStore
from stockade.storage.sql import make_engine, upgrade_schema
from stockade.storage.sql.spent import SQLSpentStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SpentStore]:
    """One store of each kind."""
    if request.param == "memory":
        yield MemorySpentStore()
        return
    url = f"sqlite:///{tmp_path}/spent.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    yield SQLSpentStore(engine)
    await engine.dispose()


async def test_what_works_once_is_used_up_once(store: SpentStore) -> None:
    """Of many calls one gets it, and none after that."""
    done = await asyncio.gather(*(store.spend(FIRST, now=NOW, until=LATER) for _ in range(100)))
    assert sum(done) == 1
    assert not await store.spend(FIRST, now=NOW, until=LATER)
    assert await store.spend(SECOND, now=NOW, until=LATER)


async def test_what_is_over_is_forgotten(store: SpentStore) -> None:
    """To the microsecond; the table does not grow without end."""
    assert await store.spend(FIRST, now=NOW, until=LATER)
    just_before = LATER - timedelta(microseconds=1)
    assert not await store.spend(FIRST, now=just_before, until=LATER)
    again = [store.spend(FIRST, now=LATER, until=LATER + timedelta(hours=1)) for _ in range(20)]
    assert sum(await asyncio.gather(*again)) == 1


async def test_a_database_that_can_not_answer_takes_nothing_as_fresh(tmp_path: Path) -> None:
    """A code does not work twice because of it."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(StoreError):
        await SQLSpentStore(engine).spend(FIRST, now=NOW, until=LATER)
    await engine.dispose()
