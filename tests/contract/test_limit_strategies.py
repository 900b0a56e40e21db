"""Expect each strategy to count in each store as a slow and exact reference does."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.core.limits import LimitRule, Strategy
from stockade.rate_limiting import LimitRequest, LimitState
from stockade.rate_limiting.binding import compile_limits
from stockade.rate_limiting.models import BoundLimit, KeyKind
from stockade.rate_limiting.refunds import refunds_of, reserve_states
from tests.contract.limit_bench import KINDS, Bench, make_bench
from tests.unit.rate_limiting.reference import SECOND, Event, Reference

EVERY = pytest.mark.parametrize("strategy", list(Strategy))
COUNTS, DOES_NOT_COUNT = 401, 200
START = 1_000_000 * SECOND
RULES = {
    "gcra": LimitRule(amount=4, window=7),
    "fixed": LimitRule(amount=5, window=11, strategy=Strategy.FIXED_WINDOW),
    "sliding": LimitRule(amount=3, window=5, strategy=Strategy.SLIDING_WINDOW_COUNTER),
    "moving": LimitRule(amount=6, window=13, strategy=Strategy.MOVING_WINDOW),
}
# Two callers who share nothing, one of them with a name that is written like the parts of a key.
KEYS = [f"{{{caller}}}{name}" for caller in ("user:a", "a}fixed{b") for name in RULES]

# Moments are exact in a float: multiples of 1/64 of a second, in whole microseconds.
steps = st.integers(min_value=0, max_value=640).map(lambda n: n * 15_625)
# After how many further requests the answer is there and says that it does not count.
lags = st.none() | st.integers(min_value=0, max_value=4)
models = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """One store of each kind."""
    made = make_bench(request, monkeypatch)
    yield made
    made.close()


@dataclass
class Waiting:
    """A request that has passed and whose answer will not count."""

    left: int
    taken: Sequence[tuple[str, Event]]
    reservations: Sequence[object]


class Model:
    """A store beside references, which are asked the same."""

    def __init__(self, bench: Bench, rules: dict[str, LimitRule]) -> None:
        bench.reset()
        self._bench = bench
        self._rules = rules
        self._references = {key: Reference(rule) for key, rule in rules.items()}
        self._waiting: list[Waiting] = []
        self._now = START

    def request(self, step: int, keys: Sequence[str], cost: int, lag: int | None) -> None:
        """Make a request some time later, and compare what is said of each limit."""
        self._now += step
        self._settle()
        taken = dict.fromkeys(keys, 0)
        before, fits = [], []
        for key in keys:
            before.append(taken[key])
            fits.append(self._references[key].fits(self._now, taken[key] + cost))
            taken[key] += cost if fits[-1] else 0
        rules = [replace(self._rules[key], cost=cost) for key in keys]
        states = self._bench.ask(self._now, list(map(LimitRequest, keys, rules)))
        assert [state.allowed for state in states] == fits
        for key, state, already in zip(keys, states, before, strict=True):
            self._compare(key, state, already + cost if all(fits) else already, cost)
        if all(fits):
            events = [(key, self._references[key].take(self._now, cost)) for key in keys]
            if lag is not None and cost:
                reserved = self._reserve(keys, rules, states)
                self._waiting.append(Waiting(lag, events, reserved))
        for key, state in zip(keys, states, strict=True):
            if keys.count(key) == 1:
                self._compare_reset(key, state)

    def _compare(self, key: str, state: LimitState, taken: int, cost: int) -> None:
        reference, rule = self._references[key], self._rules[key]
        assert state.remaining == max(0, int(rule.amount - reference.used(self._now) - taken))
        wait = round(state.retry_after * SECOND)
        if state.allowed:
            assert wait == 0
        elif cost <= rule.amount and not taken:
            assert reference.fits(self._now + wait, cost)
            assert not reference.fits(self._now + wait - 1, cost)

    def _compare_reset(self, key: str, state: LimitState) -> None:
        """Be sure that the bucket is full when the state says so, and not a moment before."""
        reset = round(state.reset_after * SECOND)
        assert self._references[key].used(self._now + reset) == 0
        assert not reset or self._references[key].used(self._now + reset - 1) > 0

    def _reserve(
        self, keys: Sequence[str], rules: Sequence[LimitRule], states: Sequence[LimitState]
    ) -> Sequence[object]:
        bound = [
            BoundLimit(rule, KeyKind.CALLER, key, key, statuses=frozenset({COUNTS}))
            for key, rule in zip(keys, rules, strict=True)
        ]
        return reserve_states(compile_limits(bound), keys, states, self._now / SECOND)

    def _settle(self) -> None:
        """Give back what is due, in the order in which it was taken."""
        for each in self._waiting:
            each.left -= 1
        due = [each for each in self._waiting if each.left < 0]
        self._waiting = [each for each in self._waiting if each.left >= 0]
        for each in due:
            assert not refunds_of(each.reservations, COUNTS, self._now / SECOND)
            refunds = refunds_of(each.reservations, DOES_NOT_COUNT, self._now / SECOND)
            self._bench.give_back(self._now, refunds)
            for key, event in each.taken:
                self._references[key].give_back(self._now, event)


@EVERY
@models
@given(
    amount=st.integers(min_value=1, max_value=9),
    window=st.sampled_from([1, 2, 3, 8, 10]),
    asked=st.lists(st.tuples(steps, st.integers(min_value=0, max_value=12), lags), max_size=30),
)
def test_one_limit(
    bench: Bench,
    strategy: Strategy,
    amount: int,
    window: int,
    asked: list[tuple[int, int, int | None]],
) -> None:
    """What passes, what remains and how long to wait is what the reference says."""
    rule = LimitRule(amount=amount, window=window, strategy=strategy)
    model = Model(bench, {"{a}x": rule})
    for step, cost, lag in asked:
        model.request(step, ["{a}x"], cost, lag)


@models
@given(
    asked=st.lists(
        st.tuples(
            steps,
            st.lists(st.sampled_from(KEYS), min_size=1, max_size=5),
            st.integers(min_value=0, max_value=3),
            lags,
        ),
        max_size=25,
    )
)
def test_several_limits(bench: Bench, asked: list[tuple[int, list[str], int, int | None]]) -> None:
    """Limits of all strategies are decided together, and one that refuses leaves all untouched."""
    model = Model(bench, {key: RULES[key.rpartition("}")[2]] for key in KEYS})
    for step, keys, cost, lag in asked:
        model.request(step, keys, cost, lag)


@EVERY
@pytest.mark.parametrize("bench", KINDS[1:], indirect=True)
@models
@given(
    moves=st.lists(
        st.integers(min_value=-1280, max_value=320).map(lambda n: n * 15_625), max_size=20
    )
)
def test_a_clock_that_jumps(bench: Bench, strategy: Strategy, moves: list[int]) -> None:
    """A clock that goes back gives nothing away, and refuses nobody for longer than two windows."""
    bench.reset()
    rule = LimitRule(amount=3, window=4, strategy=strategy)
    now, forward, passed = START, 0, 0
    for move in moves:
        now += move
        forward += max(0, move)
        ((allowed, _, wait),) = bench.acquire(now, [LimitRequest("{a}x", rule)])
        assert wait <= 8 * SECOND
        passed += allowed
        # A full bucket, another one that was full when the first window ended, and what comes back
        # while time goes forward.
        assert passed <= 3 + 3 * (1 + forward // (4 * SECOND))
    ((allowed, _, _),) = bench.acquire(now + 8 * SECOND, [LimitRequest("{a}x", rule)])
    assert allowed


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
@pytest.mark.parametrize("bench", KINDS[1:], indirect=True)
def test_a_clock_that_goes_back(bench: Bench, strategy: Strategy) -> None:
    """A clock that is set back, by little or much, gives nothing away and refuses not for long."""
    for back in (5, 500):
        bench.reset()
        request = LimitRequest("{a}x", LimitRule(amount=3, window=10, strategy=strategy))
        for _ in range(3):
            bench.acquire(START, [request])
        ((passed, _, wait),) = bench.acquire(START - back * SECOND, [request])
        assert not passed
        assert wait <= 20 * SECOND
        ((passed, _, _),) = bench.acquire(START - back * SECOND + wait, [request])
        assert passed


@EVERY
@pytest.mark.parametrize("numbers", [(1, 1), (5, 900), (10**9, 86_400)], ids=str)
def test_small_and_large_limits(bench: Bench, strategy: Strategy, numbers: tuple[int, int]) -> None:
    """One a second, five in 15 minutes, a thousand million a day: the last unit is the last."""
    bench.reset()
    amount, window = numbers
    if strategy in {Strategy.MOVING_WINDOW, Strategy.SLIDING_WINDOW_COUNTER}:
        amount = min(amount, 10_000)
    rule = LimitRule(amount=amount, window=window, strategy=strategy)
    dear = replace(rule, cost=amount)
    assert (
        bench.acquire(START, [LimitRequest("{a}x", replace(rule, cost=amount + 1))])[0][0] is False
    )
    assert bench.acquire(START, [LimitRequest("{a}x", dear)]) == [(True, 0, 0)]
    ((passed, remaining, wait),) = bench.acquire(START, [LimitRequest("{a}x", rule)])
    assert (passed, remaining) == (False, 0)
    assert 0 < wait <= 2 * window * SECOND
    assert bench.acquire(START + wait - 1, [LimitRequest("{a}x", rule)])[0][0] is False
    assert bench.acquire(START + wait, [LimitRequest("{a}x", rule)])[0][0] is True
