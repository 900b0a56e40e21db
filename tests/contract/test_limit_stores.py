"""Expect the same of every store of limits."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from stockade.core.limits import LimitRule
from stockade.rate_limiting import LimitRequest, LimitStore
from stockade.storage import limit_store
from stockade.storage.sql import make_engine, upgrade_schema
from tests.servers import PostgresDatabase

MINUTE = LimitRule(amount=5, window=60)
HOUR = LimitRule(amount=8, window=3600)


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("cluster", marks=pytest.mark.redis),
        pytest.param("asyncpg", marks=pytest.mark.postgres),
        pytest.param("psycopg", marks=pytest.mark.postgres),
    ],
)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[LimitStore]:
    """One store of each kind, empty."""
    match request.param:
        case "memory":
            url = "memory://"
        case "redis":
            url = request.getfixturevalue("redis_url")
        case "cluster":
            url = request.getfixturevalue("redis_cluster")
        case driver:
            database: PostgresDatabase = request.getfixturevalue("postgres_database")
            url = getattr(database, f"{driver}_url")
            await make_tables(url)
    # A busy machine may hold up the loop for longer than the default allows.
    opened = limit_store(url, timeout=5.0)
    await opened.reset("")
    yield opened
    await opened.close()


async def make_tables(url: str) -> None:
    """Make Stockade's tables in an empty database."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()


def ask(key: str = "{a}x", rule: LimitRule = MINUTE) -> LimitRequest:
    """Ask for one unit."""
    return LimitRequest(key, rule)


async def passes(store: LimitStore, *requests: LimitRequest) -> bool:
    """Tell whether a request over all these limits passes."""
    return all(state.allowed for state in await store.acquire(requests))


async def test_exactly_the_amount_passes(store: LimitStore) -> None:
    """As many as the limit says pass at once, and the next does not."""
    assert [await passes(store, ask()) for _ in range(7)] == [True] * 5 + [False] * 2


async def test_callers_do_not_share(store: LimitStore) -> None:
    """A used-up bucket says nothing about another one."""
    for _ in range(6):
        await store.acquire([ask("{a}x")])
    assert await passes(store, ask("{b}x"))


async def test_state_of_a_request_that_passed(store: LimitStore) -> None:
    """The state tells what remains and when the bucket is full again."""
    await store.acquire([ask()])
    (state,) = await store.acquire([ask()])
    assert (state.allowed, state.remaining, state.retry_after) == (True, 3, 0.0)
    assert state.reset_after == pytest.approx(24.0, abs=6.0)


async def test_state_of_a_request_that_was_refused(store: LimitStore) -> None:
    """The state tells how long to wait: one unit of five a minute comes back in twelve seconds."""
    for _ in range(5):
        await store.acquire([ask()])
    (state,) = await store.acquire([ask()])
    assert (state.allowed, state.remaining) == (False, 0)
    assert state.retry_after == pytest.approx(12.0, abs=6.0)


async def test_a_refusal_takes_nothing(store: LimitStore) -> None:
    """Hammering on a used-up limit does not make the wait longer."""
    for _ in range(5):
        await store.acquire([ask()])
    (first,) = await store.acquire([ask()])
    later = [(await store.acquire([ask()]))[0].retry_after for _ in range(20)]
    assert max(later) <= first.retry_after


async def test_all_or_nothing(store: LimitStore) -> None:
    """Where one limit refuses, the others are not charged."""
    both = [ask("{a}m"), ask("{a}h", HOUR)]
    for _ in range(5):
        assert await passes(store, *both)
    for _ in range(10):
        minute, hour = await store.acquire(both)
        assert (minute.allowed, hour.allowed, hour.remaining) == (False, True, 3)
    (hour,) = await store.acquire([ask("{a}h", HOUR)])
    assert hour.remaining == 2


async def test_order_of_limits_makes_no_difference(store: LimitStore) -> None:
    """A limit that refuses undoes what an earlier one in the same request has taken."""
    await store.acquire([LimitRequest("{a}tight", LimitRule(amount=1, window=60))])
    both = [ask("{a}wide", HOUR), LimitRequest("{a}tight", LimitRule(amount=1, window=60))]
    assert not await passes(store, *both)
    (wide,) = await store.acquire([ask("{a}wide", HOUR)])
    assert wide.remaining == 7


async def test_a_bucket_named_twice_is_charged_twice(store: LimitStore) -> None:
    """Two limits that fall into one bucket do not hide each other."""
    twice = [ask(), ask()]
    assert [await passes(store, *twice) for _ in range(3)] == [True, True, False]


async def test_cost(store: LimitStore) -> None:
    """A request that costs more takes more, and waits for all of it."""
    dear = LimitRequest("{a}x", LimitRule(amount=5, window=60, cost=3))
    (first,) = await store.acquire([dear])
    (second,) = await store.acquire([dear])
    assert (first.allowed, first.remaining) == (True, 2)
    assert (second.allowed, second.remaining) == (False, 2)
    assert second.retry_after == pytest.approx(12.0, abs=6.0)


async def test_concurrent_requests_get_no_more_than_there_is(store: LimitStore) -> None:
    """Of many requests at the same moment exactly as many pass as the limit says."""
    rule = LimitRule(amount=50, window=3600)
    answers = await asyncio.gather(*(passes(store, ask("{a}x", rule)) for _ in range(300)))
    assert sum(answers) == 50


async def test_concurrent_requests_over_several_limits(store: LimitStore) -> None:
    """Overlapping sets of limits, taken at the same time, never give more than any of them has."""
    shared = LimitRequest("{s}x", LimitRule(amount=40, window=3600))
    own = [LimitRequest(f"{{s}}{n}", LimitRule(amount=7, window=3600)) for n in range(10)]
    calls = [(n, passes(store, own[n], shared)) for n in range(10) for _ in range(20)]
    answers = await asyncio.gather(*(call for _, call in calls))
    by_owner = [0] * 10
    for (owner, _), passed in zip(calls, answers, strict=True):
        by_owner[owner] += passed
    assert sum(by_owner) == 40
    assert max(by_owner) <= 7


async def test_no_request_is_left_waiting(store: LimitStore) -> None:
    """Whoever asks is answered, also at the very moment when the last answer has come in."""
    rule = LimitRule(amount=100_000, window=3600)

    async def ask_often(times: int) -> None:
        for _ in range(times):
            assert await passes(store, ask("{a}x", rule))

    async with asyncio.timeout(30):
        for clients in range(1, 12):
            await asyncio.gather(*(ask_often(20 + client) for client in range(clients)))


async def test_a_cancelled_request_disturbs_no_other(store: LimitStore) -> None:
    """Callers who go away leave no answer behind that somebody else would get."""
    rule = LimitRule(amount=1000, window=3600)
    tasks = [
        asyncio.create_task(passes(store, ask("{a}x", rule), ask(f"{{b}}{n}"))) for n in range(60)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(outcome is True for outcome in outcomes[1::2])
    (state,) = await store.acquire([ask("{c}x")])
    assert (state.allowed, state.remaining) == (True, 4)


async def test_time_gives_back(store: LimitStore) -> None:
    """A used-up limit refuses until the told time is over, and not for ever."""
    fast = LimitRule(amount=20, window=1)
    asked = time.monotonic()
    while (state := (await store.acquire([ask("{a}x", fast)]))[0]).allowed:
        asked = time.monotonic()
    while not await passes(store, ask("{a}x", fast)):
        assert time.monotonic() - asked < 10.0
    assert time.monotonic() - asked >= state.retry_after


async def test_reset_of_one_caller(store: LimitStore) -> None:
    """A prefix forgets the buckets of one caller and no others."""
    for key in ("{a}x", "{a}y", "{b}x"):
        for _ in range(5):
            await store.acquire([ask(key)])
    await store.reset("{a}")
    assert [await passes(store, ask(key)) for key in ("{a}x", "{a}y", "{b}x")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("prefix", ["*", "?", "[a-z]", "{?}", "\\"])
async def test_reset_takes_its_prefix_literally(store: LimitStore, prefix: str) -> None:
    """A caller whose name is a pattern does not reset everybody."""
    for _ in range(5):
        await store.acquire([ask("{a}x")])
    await store.reset(prefix)
    assert not await passes(store, ask("{a}x"))


async def test_reset_of_all(store: LimitStore) -> None:
    """The empty prefix forgets everything."""
    for _ in range(5):
        await store.acquire([ask()])
    await store.reset("")
    assert await passes(store, ask())


async def test_ping(store: LimitStore) -> None:
    """A store that is there says so."""
    await store.ping()


async def test_a_shorter_limit_on_an_old_bucket(store: LimitStore) -> None:
    """What a longer limit has filled counts for no more than a window of the new one."""
    for _ in range(8):
        await store.acquire([ask("{a}x", HOUR)])
    (state,) = await store.acquire([ask("{a}x")])
    assert state.reset_after <= 60.0


@pytest.mark.redis
async def test_two_stores_on_one_server_share_buckets(redis_url: str) -> None:
    """Processes count together."""
    stores = [limit_store(redis_url, timeout=5.0) for _ in range(2)]
    try:
        answers = [await passes(stores[n % 2], ask()) for n in range(6)]
    finally:
        for store in stores:
            await store.close()
    assert answers == [True] * 5 + [False]
