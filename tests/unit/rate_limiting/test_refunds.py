"""Expect what does not count to go back whole, once, and to where it was taken from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from stockade.core import Policy
from stockade.core.dependencies import PolicyMark
from stockade.core.limits import LimitRule, Strategy
from stockade.core.policy import combine
from stockade.errors import RateLimitedError, StoreError
from stockade.rate_limiting import RateLimiter, RateLimitingSettings, ResilientStore, rate_limit
from stockade.rate_limiting.interfaces import LimitStore
from stockade.rate_limiting.models import CompiledLimits, LimitRequest, LimitState
from stockade.rate_limiting.windows import FixedWindow, give_back, take_from_window
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import ManualClock, Recorder, make_exchange, make_scope

EVERY = pytest.mark.parametrize("strategy", list(Strategy))
SECOND = 1_000_000


class Gate:
    """A limiter over a store, and one limit of failures."""

    def __init__(
        self,
        store: LimitStore,
        clock: ManualClock,
        mark: PolicyMark,
        settings: RateLimitingSettings | None = None,
    ) -> None:
        self.clock = clock
        settings = settings or RateLimitingSettings()
        self.limiter = RateLimiter(
            store, settings=settings, events=Recorder(clock).log, clock=clock
        )
        policy = combine([Policy(public=("open",)), mark.policy])
        found = self.limiter.plan(policy, route="GET /x").before
        assert found is not None
        self.limits: CompiledLimits = found

    async def ask(self, status: int, *, seconds: float = 0, client: str = "192.0.2.1") -> bool:
        """Tell whether a request passes that takes so long and is answered with this status."""
        exchange = make_exchange(client=client)
        try:
            await self.limiter.check(self.limits, exchange, make_scope())
        except RateLimitedError:
            return False
        self.clock.advance(seconds)
        await self.limiter.settle(exchange, status)
        return True


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is set by hand."""
    return ManualClock()


@EVERY
async def test_successes_leave_no_trace(clock: ManualClock, strategy: Strategy) -> None:
    """However many succeed, as many fail afterwards as the limit lets fail, and no more."""
    mark = rate_limit("3/hour", count="failures", strategy=strategy)
    gate = Gate(MemoryLimitStore(clock=clock), clock, mark)
    assert [await gate.ask(200) for _ in range(20)] == [True] * 20
    assert [await gate.ask(401) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not await gate.ask(200)


@EVERY
async def test_a_slow_answer_gives_nothing_twice(clock: ManualClock, strategy: Strategy) -> None:
    """What time has given back already does not go back once more."""
    mark = rate_limit("2/minute", count="failures", strategy=strategy)
    store = MemoryLimitStore(clock=clock)
    gate = Gate(store, clock, mark)
    assert await gate.ask(200, seconds=600)
    assert [await gate.ask(401) for _ in range(3)] == [True, True, False]


@EVERY
async def test_a_request_that_costs_nothing(clock: ManualClock, strategy: Strategy) -> None:
    """A limit of failures whose cost is worked out may cost nothing."""
    costs = iter([0, 0, 1, 0, 1, 1])
    mark = rate_limit("2/hour", count="failures", strategy=strategy, cost=lambda: next(costs))
    gate = Gate(MemoryLimitStore(clock=clock), clock, mark)
    assert [await gate.ask(401) for _ in range(6)] == [True] * 5 + [False]


@EVERY
async def test_what_the_process_has_counted_goes_back_to_no_store(
    clock: ManualClock, strategy: Strategy
) -> None:
    """A request that was counted here while the store was away takes nothing out of the store."""

    class Shaky(MemoryLimitStore):
        away = False

        async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
            if self.away:
                raise StoreError("away")
            return await super().acquire(requests)

    store = Shaky(clock=clock)
    resilient = ResilientStore(
        store,
        local=MemoryLimitStore(clock=clock),
        settings=RateLimitingSettings(failure="local"),
        clock=clock,
        events=Recorder(clock).log,
    )
    mark = rate_limit("4/hour", count="failures", strategy=strategy)
    gate = Gate(resilient, clock, mark)
    assert [await gate.ask(401) for _ in range(2)] == [True, True]
    store.away = True
    exchanges = [make_exchange(client="192.0.2.1") for _ in range(2)]
    for exchange in exchanges:
        await gate.limiter.check(gate.limits, exchange, make_scope())
    store.away = False
    for exchange in exchanges:
        await gate.limiter.settle(exchange, 200)
    assert [await gate.ask(401) for _ in range(3)] == [True, True, False]


@EVERY
@pytest.mark.parametrize("count", ["failures", {401}, {401, 403}])
async def test_equal_numbers_beside_a_limit_of_all(
    clock: ManualClock,
    strategy: Strategy,
    count: Any,  # noqa: ANN401 - of rate_limit
) -> None:
    """A limit of failures and one of all requests with the same numbers are two buckets."""
    settings = RateLimitingSettings(public="4/hour")
    mark = rate_limit("4/hour", count=count, strategy=strategy)
    gate = Gate(MemoryLimitStore(clock=clock), clock, mark, settings)
    assert [await gate.ask(401) for _ in range(5)] == [True] * 4 + [False]
    other = [await gate.ask(200, client="192.0.2.9") for _ in range(5)]
    assert other == [True] * 4 + [False]


async def test_a_window_begins_with_what_counts(clock: ManualClock) -> None:
    """A success begins no fixed window, which would end before the failures that follow it."""
    mark = rate_limit("2/minute", count="failures", strategy="fixed-window")
    gate = Gate(MemoryLimitStore(clock=clock), clock, mark)
    assert await gate.ask(200)
    clock.advance(59)
    assert [await gate.ask(401) for _ in range(3)] == [True, True, False]
    clock.advance(2)
    assert not await gate.ask(401)


def test_a_window_that_has_ended_gets_nothing_back() -> None:
    """An answer that comes after the end of its window takes nothing out of the next one."""
    rule = LimitRule(amount=2, window=60, strategy=Strategy.FIXED_WINDOW)
    old, _ = take_from_window(FixedWindow(0, 0), rule, 100 * SECOND)
    assert give_back(old, rule, 100 * SECOND) == FixedWindow(0, 0)
    new, _ = take_from_window(old, replace(rule, cost=2), 160 * SECOND)
    assert give_back(new, rule, 100 * SECOND) == new
    assert give_back(new, rule, 160 * SECOND) == FixedWindow(220 * SECOND, 1)
