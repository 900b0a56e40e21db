"""Expect the same of every store of refusals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from stockade.errors import StoreError
from stockade.rate_limiting.refusals import KEPT, SPANS, Outcome, RefusalKeeper, RefusalStore
from stockade.storage import limit_store
from stockade.storage.memory.refusals import MemoryRefusalStore
from stockade.storage.redis.addresses import open_client
from stockade.storage.sql import make_engine, upgrade_schema
from tests.unit.rate_limiting.helpers import ManualClock

HOUR, DAY = SPANS


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis_url", marks=pytest.mark.redis),
        pytest.param("redis_cluster", marks=pytest.mark.redis),
        pytest.param("postgres_url", marks=pytest.mark.postgres),
    ]
)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[RefusalStore]:
    """One empty store of each kind."""
    if request.param == "memory":
        yield MemoryRefusalStore(clock=ManualClock())
        return
    url: str = request.getfixturevalue(request.param)
    if request.param == "redis_cluster":
        client = open_client(url, timeout=5.0, trips=1).client
        await client.flushall()
        await client.aclose()
    if request.param == "postgres_url":
        engine = make_engine(url)
        await upgrade_schema(engine)
        await engine.dispose()
    opened = limit_store(url, timeout=5.0)
    assert isinstance(opened, RefusalKeeper)
    await opened.ping()
    yield opened.refusals
    await opened.close()


async def test_times_add_up(store: RefusalStore) -> None:
    """Batches add up, those who were refused most come first, and no more than asked for."""
    await store.add_refusals(Outcome.REFUSED, {"{a}": 1, "{b}": 5}, 6)
    await store.add_refusals(Outcome.REFUSED, {"{a}": 7, "{c} with spaces ü": 2}, 10)
    for span in SPANS:
        found = await store.read_refusals(Outcome.REFUSED, span, most=10)
        assert found.requests == 16
        assert found.keys == [("{a}", 8), ("{b}", 5), ("{c} with spaces ü", 2)]
        assert (await store.read_refusals(Outcome.REFUSED, span, most=1)).keys == [("{a}", 8)]


async def test_outcomes_are_apart(store: RefusalStore) -> None:
    """What would have been refused is no refusal."""
    await store.add_refusals(Outcome.WOULD_REFUSE, {"{dry}": 3}, 3)
    would = await store.read_refusals(Outcome.WOULD_REFUSE, HOUR, most=10)
    real = await store.read_refusals(Outcome.REFUSED, HOUR, most=10)
    assert ((would.requests, would.keys), [key for key, _ in real.keys if key == "{dry}"]) == (
        (3, [("{dry}", 3)]),
        [],
    )


async def test_processes_write_at_once(store: RefusalStore) -> None:
    """Batches that come at the same time all count."""
    await asyncio.gather(
        *(
            store.add_refusals(Outcome.REFUSED, {"{all}": 2, f"{{own:{number}}}": 1}, 3)
            for number in range(20)
        )
    )
    found = await store.read_refusals(Outcome.REFUSED, HOUR, most=100)
    assert (found.requests, found.keys[0], len(found.keys)) == (60, ("{all}", 40), 21)


async def test_a_flood_fills_nothing_and_hides_nobody(store: RefusalStore) -> None:
    """Thousands of networks are dropped again; who comes again and again stays, exactly counted."""
    for number in range(40):
        flood = {f"{{ip:{number}:{each}}}": 1 for each in range(2 * KEPT - 1)}
        await store.add_refusals(Outcome.REFUSED, {**flood, "{loud}": 60}, 2 * KEPT + 59)
    found = await store.read_refusals(Outcome.REFUSED, DAY, most=10_000)
    assert found.requests == 40 * (2 * KEPT + 59)
    assert found.keys[0] == ("{loud}", 2400)
    assert len(found.keys) <= 4 * KEPT
    assert all(times == 1 for _, times in found.keys[1:])


async def test_huge_numbers(store: RefusalStore) -> None:
    """A number is what it is up to 2^53, and what no store can add up is a store error at most."""
    await store.add_refusals(Outcome.REFUSED, {"{huge}": 2**52}, 2**52)
    await store.add_refusals(Outcome.REFUSED, {"{huge}": 2**52, "{a}": 1}, 2**52)
    found = await store.read_refusals(Outcome.REFUSED, HOUR, most=1)
    assert (found.requests, found.keys) == (2**53, [("{huge}", 2**53)])
    with suppress(StoreError):
        await store.add_refusals(Outcome.REFUSED, {"{huge}": 2**63 - 1}, 2**63 - 1)
    found = await store.read_refusals(Outcome.REFUSED, HOUR, most=1)
    assert found.keys[0][1] >= 2**53


async def test_no_batch(store: RefusalStore) -> None:
    """Requests without any bucket that has a name still count."""
    await store.add_refusals(Outcome.REFUSED, {}, 4)
    found = await store.read_refusals(Outcome.REFUSED, HOUR, most=10)
    assert (found.requests, found.keys) == (4, [])
