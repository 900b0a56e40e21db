"""Expect the same of every store of one-time links."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from stockade.authentication.interfaces import LinkStore
from stockade.authentication.models import StoredLink
from stockade.core import UserId
from stockade.errors import StoreError
from stockade.storage.memory.links import MemoryLinkStore
from stockade.storage.sql import (
    NewAccount,
    create_account,
    make_engine,
    upgrade_schema,
)
from stockade.storage.sql.links import SQLLinkStore
from stockade.storage.sql.models import User

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ANA, BEA = UserId("ana"), UserId("bea")
FIRST, SECOND, THIRD = (letter * 64 for letter in "abc")
RESET = StoredLink(
    purpose="reset-password",
    email="ana@example.com",
    user_id=ANA,
    state="d" * 64,
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=30),
)
REGISTER = dataclasses.replace(RESET, purpose="register", user_id=None, email="new@example.com")


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LinkStore]:
    """One store of each kind, with two accounts."""
    if request.param == "memory":
        yield MemoryLinkStore()
        return
    url = f"sqlite:///{tmp_path}/links.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for user_id in (ANA, BEA):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="", user_id=user_id)
            await create_account(connection, account)
    yield SQLLinkStore(engine)
    await engine.dispose()


@pytest.mark.parametrize("link", [RESET, REGISTER], ids=lambda link: link.purpose)
async def test_a_link_comes_back_as_it_was(store: LinkStore, link: StoredLink) -> None:
    """Every moment keeps its time zone and its microseconds; looking uses nothing up."""
    await store.put(link, digest=FIRST, now=NOW)
    for _ in range(2):
        assert await store.find([SECOND, FIRST], now=NOW) == link
    assert await store.find([SECOND], now=NOW) is None
    assert await store.find([], now=NOW) is None


async def test_a_link_is_taken_once(store: LinkStore) -> None:
    """After that it is not found either."""
    await store.put(RESET, digest=FIRST, now=NOW)
    assert not await store.take([SECOND], now=NOW)
    assert await store.take([SECOND, FIRST], now=NOW)
    assert not await store.take([FIRST], now=NOW)
    assert await store.find([FIRST], now=NOW) is None


async def test_of_many_takers_one_gets_it(store: LinkStore) -> None:
    """Two hundred parallel uses of one link come through once."""
    await store.put(RESET, digest=FIRST, now=NOW)
    taken = await asyncio.gather(*(store.take([FIRST], now=NOW) for _ in range(200)))
    assert sum(taken) == 1


async def test_the_newest_link_holds(store: LinkStore) -> None:
    """One for the same purpose and account takes the place of the one before; others stay."""
    other = dataclasses.replace(RESET, purpose="other")
    foreign = dataclasses.replace(RESET, user_id=BEA)
    await store.put(RESET, digest=FIRST, now=NOW)
    await store.put(other, digest=THIRD, now=NOW)
    await store.put(foreign, digest="e" * 64, now=NOW)
    await store.put(REGISTER, digest="f" * 64, now=NOW)
    await store.put(RESET, digest=SECOND, now=NOW)
    assert await store.find([FIRST], now=NOW) is None
    assert await store.find([SECOND], now=NOW) == RESET
    assert await store.find([THIRD], now=NOW) == other
    assert await store.find(["e" * 64], now=NOW) == foreign
    assert await store.find(["f" * 64], now=NOW) == REGISTER


async def test_of_links_made_at_once_one_holds(store: LinkStore) -> None:
    """Nobody who asks many times at once gets several links, and no asking fails."""
    digests = [f"{number:064d}" for number in range(30)]
    await asyncio.gather(*(store.put(RESET, digest=each, now=NOW) for each in digests))
    found = [await store.find([each], now=NOW) for each in digests]
    assert [link for link in found if link is not None] == [RESET]


async def test_a_link_ends(store: LinkStore) -> None:
    """At its last moment it does not hold any longer."""
    await store.put(RESET, digest=FIRST, now=NOW)
    before = RESET.expires_at - timedelta(microseconds=1)
    assert await store.find([FIRST], now=before) == RESET
    assert await store.find([FIRST], now=RESET.expires_at) is None
    assert not await store.take([FIRST], now=RESET.expires_at)


async def test_links_that_are_over_are_forgotten(store: LinkStore) -> None:
    """The next one that is made clears them away; those that hold stay."""
    await store.put(RESET, digest=FIRST, now=NOW)
    longer = dataclasses.replace(REGISTER, expires_at=NOW + timedelta(days=2))
    await store.put(longer, digest=SECOND, now=NOW)
    later = dataclasses.replace(
        RESET, user_id=BEA, created_at=RESET.expires_at, expires_at=NOW + timedelta(days=1)
    )
    await store.put(later, digest=THIRD, now=RESET.expires_at)
    # A clock that was set back would find it.
    assert await store.find([FIRST], now=NOW) is None
    assert await store.find([SECOND], now=NOW) == longer


@pytest.mark.parametrize("digest", ["", "' OR 1=1 --", "%", "_" * 64, FIRST.upper()], ids=ascii)
async def test_another_digest_finds_nothing(store: LinkStore, digest: str) -> None:
    """A digest is compared as it is."""
    await store.put(RESET, digest=FIRST, now=NOW)
    assert await store.find([digest], now=NOW) is None
    assert not await store.take([digest], now=NOW)


async def test_links_go_with_their_account(tmp_path: Path) -> None:
    """A deleted account leaves none behind."""
    engine = make_engine(f"sqlite:///{tmp_path}/links.db")
    await upgrade_schema(engine)
    store = SQLLinkStore(engine)
    async with engine.begin() as connection:
        new = NewAccount(email="ana@example.com", password_hash="", user_id=ANA)
        await create_account(connection, new)
    await store.put(RESET, digest=FIRST, now=NOW)
    async with engine.begin() as connection:
        await connection.execute(delete(User))
    assert await store.find([FIRST], now=NOW) is None
    await engine.dispose()


async def test_a_database_that_can_not_answer_is_no_used_link(tmp_path: Path) -> None:
    """Nobody is told to ask for a new link because of it."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    store = SQLLinkStore(engine)
    with pytest.raises(StoreError):
        await store.put(RESET, digest=FIRST, now=NOW)
    with pytest.raises(StoreError):
        await store.find([FIRST], now=NOW)
    with pytest.raises(StoreError):
        await store.take([FIRST], now=NOW)
    await engine.dispose()
