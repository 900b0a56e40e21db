"""Expect stores to give back what does not count, and to know what is in flight."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from stockade.core import Policy, SystemClock
from stockade.core.limits import LimitRule, Strategy
from stockade.core.policy import combine
from stockade.errors import RateLimitedError
from stockade.events import EventLog
from stockade.rate_limiting import (
    LimitRequest,
    LimitStore,
    RateLimiter,
    RateLimitingSettings,
    rate_limit,
)
from stockade.rate_limiting.gcra import capacity_of, interval_of
from stockade.rate_limiting.interfaces import LeaseStore, RefundStore
from stockade.rate_limiting.models import Refund
from stockade.storage import limit_store
from stockade.storage.sql import make_engine, upgrade_schema
from tests.unit.rate_limiting.helpers import make_exchange, make_scope

RULE = LimitRule(amount=5, window=3600)
ASK = LimitRequest("{a}x", RULE)


class Store(LimitStore, RefundStore, LeaseStore, Protocol):
    """A store with every power."""


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis_url", marks=pytest.mark.redis),
        pytest.param("redis_cluster", marks=pytest.mark.redis),
        pytest.param("postgres_url", marks=pytest.mark.postgres),
    ]
)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """One store of each kind, empty."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue(request.param)
    if request.param == "postgres_url":
        await make_tables(url)
    opened = limit_store(url, timeout=5.0)
    await opened.reset("")
    assert isinstance(opened, RefundStore)
    assert isinstance(opened, LeaseStore)
    yield opened
    await opened.close()


async def make_tables(url: str) -> None:
    """Make Stockade's tables in an empty database."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()


async def passes(store: Store) -> bool:
    """Tell whether one more request passes."""
    return (await store.acquire([ASK]))[0].allowed


async def test_what_is_given_back_can_be_taken_again(store: Store) -> None:
    """One unit that goes back is one request more."""
    assert [await passes(store) for _ in range(6)] == [True] * 5 + [False]
    await store.give_back([Refund("{a}x", interval_of(RULE))])
    assert [await passes(store) for _ in range(2)] == [True, False]


async def test_a_bucket_never_gets_fuller_than_full(store: Store) -> None:
    """However much goes back, no more can be taken than the limit says."""
    assert await passes(store)
    await store.give_back([Refund("{a}x", 10 * capacity_of(RULE))])
    assert [await passes(store) for _ in range(6)] == [True] * 5 + [False]


async def test_giving_back_to_a_bucket_that_is_gone(store: Store) -> None:
    """A bucket that nobody has taken from stays full."""
    await store.give_back([Refund("{a}x", interval_of(RULE)), Refund("{b}x", 1)])
    assert [await passes(store) for _ in range(6)] == [True] * 5 + [False]


async def test_places_are_as_many_as_the_limit_says(store: Store) -> None:
    """Of many who ask at once exactly as many get a place."""
    got = await asyncio.gather(
        *(store.hold("{a}f", str(n), limit=3, seconds=30) for n in range(20))
    )
    assert sum(got) == 3


async def test_a_place_that_is_given_back_is_free(store: Store) -> None:
    """Who leaves makes room for one other, however often it says so."""
    assert await store.hold("{a}f", "one", limit=1, seconds=30)
    assert not await store.hold("{a}f", "two", limit=1, seconds=30)
    await store.release("{a}f", "one")
    await store.release("{a}f", "one")
    assert await store.hold("{a}f", "two", limit=1, seconds=30)
    assert not await store.hold("{a}f", "three", limit=1, seconds=30)


async def test_a_stranger_frees_no_place(store: Store) -> None:
    """Giving back what one does not hold changes nothing."""
    assert await store.hold("{a}f", "one", limit=1, seconds=30)
    await store.release("{a}f", "two")
    await store.renew([("{a}f", "two")], seconds=30)
    assert not await store.hold("{a}f", "two", limit=1, seconds=30)


async def test_places_of_others_do_not_count(store: Store) -> None:
    """Each key has places of its own, and a reset frees them."""
    for key in ("{a}f", "{b}f"):
        assert await store.hold(key, "one", limit=1, seconds=30)
    await store.reset("{a}")
    assert await store.hold("{a}f", "two", limit=1, seconds=30)
    assert not await store.hold("{b}f", "two", limit=1, seconds=30)


@pytest.mark.redis
async def test_a_process_that_dies_blocks_nobody(redis_url: str) -> None:
    """A place that nobody renews is free after its time, and not before that."""
    store = limit_store(redis_url, timeout=5.0)
    assert isinstance(store, LeaseStore)
    assert store.leases_end
    assert await store.hold("{a}f", "dead", limit=1, seconds=0.3)
    assert not await store.hold("{a}f", "two", limit=1, seconds=30)
    async with asyncio.timeout(30):
        while not await store.hold("{a}f", "two", limit=1, seconds=30):
            pass
    await store.renew([("{a}f", "dead")], seconds=30)
    await store.release("{a}f", "two")
    assert await store.hold("{a}f", "three", limit=1, seconds=30)
    await store.close()


@pytest.mark.redis
async def test_a_place_that_is_renewed_stays(redis_url: str) -> None:
    """As long as its holder renews it, a place is held past its time."""
    store = limit_store(redis_url, timeout=5.0)
    assert isinstance(store, LeaseStore)
    assert await store.hold("{a}f", "one", limit=1, seconds=5)
    await store.renew([("{a}f", "one")], seconds=3600)
    assert await store.hold("{b}f", "one", limit=1, seconds=0.1)
    async with asyncio.timeout(30):
        while not await store.hold("{b}f", "two", limit=1, seconds=0.1):
            assert not await store.hold("{a}f", "two", limit=1, seconds=5)
    await store.close()


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_a_limit_of_failures_over_each_store(store: Store, strategy: Strategy) -> None:
    """Successes in any number use nothing up, and failures as many as the limit lets fail."""
    log = EventLog([], clock=SystemClock())
    limiter = RateLimiter(store, settings=RateLimitingSettings(), events=log)
    policy = combine(
        [Policy(public=("open",)), rate_limit("3/hour", count={401}, strategy=strategy).policy]
    )
    limits = limiter.plan(policy, route="GET /x").before
    assert limits is not None

    async def ask(status: int, client: str = "192.0.2.1") -> bool:
        exchange = make_exchange(client=client)
        try:
            await limiter.check(limits, exchange, make_scope())
        except RateLimitedError:
            return False
        await limiter.settle(exchange, status)
        return True

    assert [await ask(200) for _ in range(10)] == [True] * 10
    # Another address for GCRA, where over a network what goes back is off by the time of a trip.
    other = "192.0.2.2" if strategy is Strategy.GCRA else "192.0.2.1"
    assert sum(await asyncio.gather(*(ask(401, other) for _ in range(10)))) == 3
    assert not await ask(200, other)
