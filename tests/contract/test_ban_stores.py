"""Expect the same of every store of bans."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from stockade.rate_limiting.bans import Ban, BanStore, BanTerms
from stockade.storage import limit_store
from stockade.storage.memory.bans import MemoryBanStore
from stockade.storage.sql import make_engine, upgrade_schema

TERMS = BanTerms(first=60, longest=200)
# So short that it is over at once, and remembered for a while.
SHORT = BanTerms(first=0.002, longest=100)


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis_url", marks=pytest.mark.redis),
        pytest.param("redis_cluster", marks=pytest.mark.redis),
        pytest.param("postgres_url", marks=pytest.mark.postgres),
    ]
)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[BanStore]:
    """One store of each kind."""
    if request.param == "memory":
        yield MemoryBanStore()
        return
    url: str = request.getfixturevalue(request.param)
    if request.param == "postgres_url":
        engine = make_engine(url)
        await upgrade_schema(engine)
        await engine.dispose()
    opened = limit_store(url, timeout=5.0)
    assert isinstance(opened, BanStore)
    await opened.ping()
    yield opened
    await opened.close()


@pytest.fixture
def subject() -> str:
    """Somebody nobody has heard of."""
    return f"user:{secrets.token_hex(4)} with a space"


async def listed(store: BanStore, subject: str) -> list[Ban]:
    """Return the bans of somebody."""
    return [ban for ban in await store.list_bans() if ban.subject == subject]


async def test_a_ban_is_listed(store: BanStore, subject: str) -> None:
    """A ban says who, for how long and how often."""
    ban = await store.add_ban(subject, TERMS)
    (found,) = await listed(store, subject)
    assert (ban.subject, ban.times, found.times) == (subject, 1, 1)
    assert 50 < found.seconds <= ban.seconds <= 60


async def test_who_is_banned_stays_so(store: BanStore, subject: str) -> None:
    """Several processes that ban somebody at once ban him once."""
    bans = await asyncio.gather(*(store.add_ban(subject, TERMS) for _ in range(8)))
    assert {ban.times for ban in bans} == {1}
    assert max(ban.seconds for ban in bans) <= 60


async def test_bans_grow(store: BanStore, subject: str) -> None:
    """Each further ban lasts twice as long, up to the longest."""
    seconds = [(await store.add_ban(subject, SHORT)).seconds]
    async with asyncio.timeout(30):
        for times in (2, 3, 4):
            while (ban := await store.add_ban(subject, SHORT)).times < times:
                continue
            seconds.append(ban.seconds)
    assert seconds == pytest.approx([0.002, 0.004, 0.008, 0.016], abs=0.0011)


@pytest.mark.parametrize("times", [1, 2, 3, 50, 10_000])
def test_the_longest_ban(times: int) -> None:
    """No ban is longer than the longest."""
    assert TERMS.length(times) == min(200, 60 * 2.0 ** (min(times, 10) - 1))


async def test_a_ban_that_is_over_is_not_listed(store: BanStore, subject: str) -> None:
    """What has ended is no ban."""
    await store.add_ban(subject, SHORT)
    async with asyncio.timeout(30):
        while await listed(store, subject):
            continue


async def test_a_lifted_ban_is_forgotten(store: BanStore, subject: str) -> None:
    """Whoever is free again starts anew."""
    await store.add_ban(subject, SHORT)
    assert await store.lift_ban(subject)
    assert not await store.lift_ban(subject)
    assert (await store.add_ban(subject, TERMS)).times == 1
    assert await store.lift_ban(subject)
    assert await listed(store, subject) == []


async def test_callers_do_not_share(store: BanStore, subject: str) -> None:
    """The ban of one is not that of another."""
    await store.add_ban(subject, TERMS)
    assert not await store.lift_ban(f"{subject}x")
    assert await listed(store, f"{subject}x") == []
