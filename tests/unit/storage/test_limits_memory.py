"""Expect a store that stays small, forgets nobody who is being refused, and is safe in threads."""

import asyncio
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stockade.core.limits import LimitRule
from stockade.rate_limiting import LimitRequest
from stockade.rate_limiting.gcra import charge_of
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import ManualClock

MINUTE = LimitRule(amount=10, window=60)
SECOND = LimitRule(amount=10, window=1)
DAY = LimitRule(amount=10, window=86_400)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is set by hand."""
    return ManualClock()


async def take(store: MemoryLimitStore, key: str, limit: LimitRule = MINUTE) -> bool:
    """Ask for one unit."""
    (state,) = await store.acquire([LimitRequest(key, limit)])
    return state.allowed


async def use_up(store: MemoryLimitStore, key: str, limit: LimitRule = MINUTE) -> None:
    """Ask until the bucket is used up."""
    while await take(store, key, limit):
        pass


async def test_a_flood_of_callers_stays_bounded(clock: ManualClock) -> None:
    """A hundred thousand addresses take no more room than the store may have."""
    store = MemoryLimitStore(clock=clock, max_keys=1000)
    tracemalloc.start()
    try:
        for n in range(100_000):
            assert await take(store, f"{{ip:{n}}}x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) == 1000
    assert peak < 1_500_000


async def test_a_flood_does_not_free_who_is_refused(clock: ManualClock) -> None:
    """Filling the store with other addresses gives a used-up bucket no fresh start."""
    store = MemoryLimitStore(clock=clock, max_keys=500)
    for attacker in range(50):
        await use_up(store, f"{{ip:a{attacker}}}login")
    for n in range(20_000):
        await take(store, f"{{ip:{n}}}x")
    assert not any([await take(store, f"{{ip:a{n}}}login") for n in range(50)])


async def test_a_flood_on_a_slow_limit_does_not_free_who_is_refused(clock: ManualClock) -> None:
    """What counts is how used up a bucket is, not how long it takes to fill again."""
    store = MemoryLimitStore(clock=clock, max_keys=500)
    await use_up(store, "{ip:a}login", SECOND)
    for n in range(5000):
        await take(store, f"{{ip:{n}}}x", DAY)
    assert not await take(store, "{ip:a}login", SECOND)


async def test_hammering_while_flooding(clock: ManualClock) -> None:
    """An attacker who floods and tries by turns gets what the limit says and no more."""
    store = MemoryLimitStore(clock=clock, max_keys=300)
    passed = 0
    for n in range(10_000):
        await take(store, f"{{ip:{n}}}x")
        passed += await take(store, "{ip:attacker}login")
    assert passed == MINUTE.amount


async def test_expired_buckets_go_first(clock: ManualClock) -> None:
    """Buckets that are full again make room, also behind ones that live for long."""
    store = MemoryLimitStore(clock=clock, max_keys=400)
    for n in range(100):
        await take(store, f"{{ip:{n}}}day", DAY)
    for n in range(300):
        await take(store, f"{{ip:{n}}}second", SECOND)
    clock.advance(5)
    for n in range(250):
        await take(store, f"{{ip:{n}}}new")
    kept = [n for n in range(100) if f"{{ip:{n}}}day" in store._buckets]
    assert len(kept) == 100


async def test_idle_stores_shrink(clock: ManualClock) -> None:
    """What has expired is dropped as new callers come, long before the store is full."""
    store = MemoryLimitStore(clock=clock)
    for n in range(1000):
        await take(store, f"{{ip:{n}}}x", SECOND)
    clock.advance(5)
    for n in range(1000):
        await take(store, f"{{ip:{n}}}y", SECOND)
    assert len(store) <= 1000


def test_threads_get_no_more_than_there_is() -> None:
    """Of many threads at once exactly as many pass as the limit says."""
    store = MemoryLimitStore()
    limit = LimitRule(amount=100, window=3600)

    def work() -> int:
        async def ask() -> int:
            return sum([await take(store, "{a}x", limit) for _ in range(200)])

        return asyncio.run(ask())

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: work(), range(8))) == 100


async def test_a_full_store_lets_new_callers_in(clock: ManualClock) -> None:
    """Even where every bucket is used up, a new caller is counted and served."""
    store = MemoryLimitStore(clock=clock, max_keys=100)
    for n in range(100):
        await use_up(store, f"{{ip:{n}}}x")
    assert await take(store, "{ip:new}x")
    assert len(store) == 100


async def test_clear(clock: ManualClock) -> None:
    """Everything can be forgotten at once."""
    store = MemoryLimitStore(clock=clock)
    await use_up(store, "{a}x")
    store.clear()
    assert await take(store, "{a}x")


class StoreAgainstModel(RuleBasedStateMachine):
    """Several limits at once against buckets that are kept as plain lists of arrival times."""

    keys = st.sampled_from(["a", "b", "c"])

    @initialize()
    def start(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryLimitStore(clock=self.clock)
        self.limits = {
            "a": LimitRule(amount=3, window=6),
            "b": LimitRule(amount=5, window=20),
            "c": LimitRule(amount=4, window=8, cost=2),
        }
        self.levels = dict.fromkeys(self.limits, 0.0)

    @rule(chosen=st.lists(keys, min_size=1, max_size=4))
    def ask(self, chosen: list[str]) -> None:
        requests = [LimitRequest(key, self.limits[key]) for key in chosen]
        states = asyncio.run(self.store.acquire(requests))
        levels = dict(self.levels)
        expected = []
        for key in chosen:
            limit = self.limits[key]
            fits = levels[key] + limit.cost <= limit.amount
            expected.append(fits)
            levels[key] += limit.cost if fits else 0
        assert [state.allowed for state in states] == expected
        if all(expected):
            self.levels = levels

    @rule(halves=st.integers(1, 30))
    def wait(self, halves: int) -> None:
        self.clock.advance(halves / 2)
        for key, limit in self.limits.items():
            back = halves / 2 * limit.amount / limit.window
            self.levels[key] = max(0.0, self.levels[key] - back)

    @invariant()
    def bounded(self) -> None:
        assert len(getattr(self, "store", ())) <= 3


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=40, stateful_step_count=30)


RULES = [LimitRule(amount=5, window=60), LimitRule(amount=8, window=3600, cost=3), SECOND]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.lists(
                st.tuples(st.sampled_from("abc"), st.sampled_from(RULES)), min_size=1, max_size=3
            ),
            st.sampled_from([0.0, 0.0, 0.3, 7.0, 100.0]),
        ),
        max_size=40,
    )
)
def test_both_ways_to_take_agree(steps: list[tuple[list[tuple[str, LimitRule]], float]]) -> None:
    """Taking at once and taking by `acquire` pass, refuse and charge the same."""
    clock = ManualClock()
    quick, plain = MemoryLimitStore(clock=clock), MemoryLimitStore(clock=clock)
    for wanted, pause in steps:
        requests = [LimitRequest(f"{name}{rule.window}", rule) for name, rule in wanted]
        keys = [request.key for request in requests]
        expected = asyncio.run(plain.acquire(requests))
        debts = quick.charge(keys, [charge_of(request.rule) for request in requests])
        if debts is None:
            assert asyncio.run(quick.acquire(requests)) == expected
            assert len(set(keys)) < len(keys) or not all(state.allowed for state in expected)
        else:
            assert all(state.allowed for state in expected)
            assert [debt / 1_000_000 for debt in debts] == [state.reset_after for state in expected]
        clock.advance(pause)


def test_a_refusal_at_once_takes_nothing(clock: ManualClock) -> None:
    """Where one bucket has too little, none is touched."""
    store = MemoryLimitStore(clock=clock)
    full, empty = charge_of(MINUTE), charge_of(LimitRule(amount=1, window=60))
    assert store.charge(["b"], [empty]) is not None
    assert store.charge(["a", "b"], [full, empty]) is None
    assert store.charge(["a"], [full]) == [full.amount]


def test_taking_at_once_stays_bounded(clock: ManualClock) -> None:
    """A flood that is decided at once takes no more room than the store may have."""
    store = MemoryLimitStore(clock=clock, max_keys=100)
    for n in range(2000):
        assert store.charge([f"{{ip:{n}}}x", f"{{user:{n}}}x"], [charge_of(MINUTE)] * 2)
    assert len(store) == 100


def test_threads_take_no_more_than_there_is() -> None:
    """Requests that are decided at once in several threads share the limit exactly."""
    store = MemoryLimitStore()
    charge = charge_of(LimitRule(amount=500, window=86_400))
    with ThreadPoolExecutor(4) as pool:
        passed = pool.map(lambda _: store.charge(["k"], [charge]) is not None, range(1000))
    assert sum(passed) == 500
