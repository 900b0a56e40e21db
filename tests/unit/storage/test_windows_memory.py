"""Expect buckets that count by windows to stay few, and to forget nobody who is being refused."""

import pytest

from stockade.core.limits import LimitRule, Strategy
from stockade.rate_limiting import LimitRequest
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import ManualClock

WINDOWS = [each for each in Strategy if each is not Strategy.GCRA]
EVERY = pytest.mark.parametrize("strategy", WINDOWS)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is set by hand."""
    return ManualClock()


def rule_of(strategy: Strategy, amount: int = 10, window: int = 600) -> LimitRule:
    """Make a rule."""
    return LimitRule(amount=amount, window=window, strategy=strategy)


async def take(store: MemoryLimitStore, key: str, rule: LimitRule) -> bool:
    """Ask for one unit."""
    return (await store.acquire([LimitRequest(key, rule)]))[0].allowed


@EVERY
async def test_a_flood_of_callers_stays_bounded(clock: ManualClock, strategy: Strategy) -> None:
    """Many addresses take no more room than the store may have."""
    store = MemoryLimitStore(clock=clock, max_keys=200)
    for n in range(5000):
        assert await take(store, f"{{ip:{n}}}x", rule_of(strategy))
    assert len(store) == 200


@EVERY
async def test_a_flood_does_not_free_who_is_refused(clock: ManualClock, strategy: Strategy) -> None:
    """A bucket that is used up outlives those of a flood of others."""
    store = MemoryLimitStore(clock=clock, max_keys=200)
    rule = rule_of(strategy)
    while await take(store, "{ip:attacker}login", rule):
        pass
    for n in range(3000):
        await take(store, f"{{ip:{n}}}x", rule)
    assert not await take(store, "{ip:attacker}login", rule)


async def test_moments_are_bounded(clock: ManualClock) -> None:
    """What moving windows remember is bounded over all of them, however large each is."""
    store = MemoryLimitStore(clock=clock, max_keys=100)
    rule = LimitRule(amount=400, window=600, strategy=Strategy.MOVING_WINDOW, cost=100)
    for n in range(60):
        while await take(store, f"{{ip:{n}}}x", rule):
            assert store._windows._units <= 1000
    assert len(store) <= 3


@EVERY
async def test_idle_stores_shrink(clock: ManualClock, strategy: Strategy) -> None:
    """What is over is dropped as new callers come."""
    store = MemoryLimitStore(clock=clock)
    for n in range(500):
        await take(store, f"{{ip:{n}}}x", rule_of(strategy, window=1))
    clock.advance(5)
    for n in range(500):
        await take(store, f"{{ip:{n}}}y", rule_of(strategy, window=1))
    assert len(store) <= 500
    assert store._windows._units <= 500


@EVERY
async def test_resets(clock: ManualClock, strategy: Strategy) -> None:
    """One caller's buckets are forgotten by their prefix, and all of them at once."""
    store = MemoryLimitStore(clock=clock)
    rule = rule_of(strategy, amount=1)
    for key in ("{a}x", "{b}x"):
        assert await take(store, key, rule)
    await store.reset("{a}")
    assert [await take(store, key, rule) for key in ("{a}x", "{b}x")] == [True, False]
    store.clear()
    assert len(store) == 0
    assert await take(store, "{b}x", rule)
