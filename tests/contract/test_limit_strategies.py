"""Expect each strategy to count in each store as a slow and exact reference does."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.core.limits import LimitRule, Strategy
from stockade.rate_limiting import LimitRequest, LimitStore
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.redis import RedisLimitStore
from stockade.storage.redis import limits as redis_limits
from stockade.storage.redis.scripts import TAKE
from stockade.storage.redis.windows import TAKE_WINDOWS
from tests.unit.rate_limiting.helpers import ManualClock
from tests.unit.rate_limiting.reference import SECOND, Reference

EVERY = pytest.mark.parametrize("strategy", list(Strategy))
_TOGETHER = {
    "gcra": LimitRule(amount=4, window=7),
    "fixed": LimitRule(amount=5, window=11, strategy=Strategy.FIXED_WINDOW),
    "sliding": LimitRule(amount=3, window=5, strategy=Strategy.SLIDING_WINDOW_COUNTER),
    "moving": LimitRule(amount=6, window=13, strategy=Strategy.MOVING_WINDOW),
}


class Bench:
    """A store whose clock is set by hand."""

    def __init__(self, store: LimitStore, set_clock: Callable[[int], Awaitable[None]]) -> None:
        self.runner = asyncio.Runner()
        self.store = store
        self._set_clock = set_clock

    def acquire(self, now: int, requests: list[LimitRequest]) -> list[tuple[bool, int, int]]:
        """Ask at a moment; return for each limit whether it passed, what remains and the wait."""

        async def ask() -> list[tuple[bool, int, int]]:
            await self._set_clock(now)
            states = await self.store.acquire(requests)
            return [
                (state.allowed, state.remaining, round(state.retry_after * SECOND))
                for state in states
            ]

        return self.runner.run(ask())

    def reset(self) -> None:
        """Forget everything."""
        self.runner.run(self.store.reset(""))

    def close(self) -> None:
        """End it."""
        self.runner.run(self.store.close())
        self.runner.close()


def _on_our_clock(script: str) -> str:
    """Let a script read its time from a key, and let nothing expire on the server's clock."""
    script = script.replace("redis.call('TIME')", "redis.call('MGET', 'test:s', 'test:us')")
    script = re.sub(r"redis\.call\('PEXPIRE', .*\)", "", script)
    return re.sub(r", 'PX', .*\)", ")", script)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """One store of each kind."""
    if request.param == "memory":
        clock = ManualClock()

        async def set_by_hand(now: int) -> None:
            clock.advance(now / SECOND - clock.monotonic())

        made = Bench(MemoryLimitStore(clock=clock), set_by_hand)
    else:
        for name, script in (("TAKE", TAKE), ("TAKE_WINDOWS", TAKE_WINDOWS)):
            monkeypatch.setattr(redis_limits, name, _on_our_clock(script))
            # No script has this name, so that each call brings the script along.
            monkeypatch.setattr(redis_limits, f"{name}_SHA", "0" * 40)
        store = RedisLimitStore.from_url(request.getfixturevalue("redis_url"), timeout=5.0)

        async def set_on_server(now: int) -> None:
            seconds, rest = divmod(now, SECOND)
            await store._client.mset({"test:s": seconds, "test:us": rest})

        made = Bench(store, set_on_server)
    yield made
    made.close()


# Moments are exact in a float: multiples of 1/64 of a second, in whole microseconds.
steps = st.integers(min_value=0, max_value=640).map(lambda n: n * 15_625)
START = 1_000_000 * SECOND


@EVERY
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    amount=st.integers(min_value=1, max_value=9),
    window=st.sampled_from([1, 2, 3, 8, 10]),
    asked=st.lists(st.tuples(steps, st.integers(min_value=0, max_value=4)), max_size=30),
)
def test_one_limit(
    bench: Bench, strategy: Strategy, amount: int, window: int, asked: list[tuple[int, int]]
) -> None:
    """What passes, what remains and how long to wait is what the reference says."""
    bench.reset()
    rule = LimitRule(amount=amount, window=window, strategy=strategy)
    reference, now = Reference(rule), START
    for step, cost in asked:
        now += step
        fits = reference.fits(now, cost)
        request = LimitRequest("{a}x", replace(rule, cost=cost))
        ((passed, remaining, wait),) = bench.acquire(now, [request])
        assert passed == fits
        if fits:
            reference.take(now, cost)
            assert wait == 0
        elif cost <= amount:
            assert reference.fits(now + wait, cost)
            assert not reference.fits(now + wait - 1, cost)
        assert remaining == max(0, int(amount - reference.used(now)))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    asked=st.lists(
        st.tuples(
            steps,
            st.lists(st.sampled_from(sorted(_TOGETHER)), min_size=1, max_size=5),
            st.integers(min_value=1, max_value=2),
        ),
        max_size=25,
    )
)
def test_several_limits(bench: Bench, asked: list[tuple[int, list[str], int]]) -> None:
    """Limits of all strategies are decided together, and one that refuses leaves all untouched."""
    bench.reset()
    references = {name: Reference(rule) for name, rule in _TOGETHER.items()}
    now = START
    for step, names, cost in asked:
        now += step
        taken = dict.fromkeys(names, 0)
        expected = []
        for name in names:
            fits = references[name].fits(now, taken[name] + cost)
            taken[name] += cost if fits else 0
            expected.append(fits)
        requests = [LimitRequest("{a}" + n, replace(_TOGETHER[n], cost=cost)) for n in names]
        found = bench.acquire(now, requests)
        assert [passed for passed, _, _ in found] == expected
        if all(expected):
            for name in names:
                references[name].take(now, cost)


@EVERY
def test_concurrent_requests(bench: Bench, strategy: Strategy) -> None:
    """Of many requests at the same moment exactly as many pass as the limit says."""
    bench.reset()
    request = LimitRequest("{a}x", LimitRule(amount=20, window=60, strategy=strategy))

    async def ask_all() -> int:
        answers = await asyncio.gather(*(bench.store.acquire([request]) for _ in range(100)))
        return sum(state.allowed for (state,) in answers)

    bench.acquire(START, [LimitRequest("{b}x", request.rule)])
    assert bench.runner.run(ask_all()) == 20


@EVERY
def test_a_window_comes_back(bench: Bench, strategy: Strategy) -> None:
    """A bucket that nobody has touched for two windows is full."""
    bench.reset()
    rule = LimitRule(amount=3, window=10, strategy=strategy)
    for _ in range(4):
        bench.acquire(START, [LimitRequest("{a}x", rule)])
    ((passed, remaining, _),) = bench.acquire(START + 20 * SECOND, [LimitRequest("{a}x", rule)])
    assert (passed, remaining) == (True, 2)


@EVERY
def test_a_clock_that_goes_back(bench: Bench, strategy: Strategy) -> None:
    """A clock that is set back gives nothing away."""
    bench.reset()
    request = LimitRequest("{a}x", LimitRule(amount=3, window=10, strategy=strategy))
    for _ in range(3):
        bench.acquire(START, [request])
    ((passed, _, _),) = bench.acquire(START - 5 * SECOND, [request])
    assert not passed
