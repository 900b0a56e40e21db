"""Expect a declared outcome for every request while the store is away."""

import asyncio
from collections.abc import Sequence

import pytest

from stockade.core.limits import LimitRule
from stockade.errors import StoreError, UnavailableError
from stockade.rate_limiting import (
    LimitRequest,
    LimitState,
    LimitStore,
    RateLimitingSettings,
    ResilientStore,
)
from stockade.rate_limiting.models import Refund, UnitRefund
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import ManualClock, Recorder

RULE = LimitRule(amount=3, window=60)
REQUEST = [LimitRequest("{a}x", RULE)]


class FailingStore(MemoryLimitStore):
    """A store that can be taken away, or made to hang."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.failing = False
        self.hanging = False
        self.broken = False
        self.asked = 0
        self.held_up: list[float] = []
        self.manual = clock

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Fail, hang or answer."""
        self.asked += 1
        if self.held_up:
            self.manual.advance(self.held_up.pop())
            raise StoreError("too late")
        if self.broken:
            raise ZeroDivisionError
        if self.hanging:
            await asyncio.Event().wait()
        if self.failing:
            raise StoreError("away") from ConnectionRefusedError()
        return await super().acquire(requests)

    async def _answer(self) -> None:
        if self.hanging:
            await asyncio.Event().wait()
        if self.failing:
            raise StoreError("away")

    async def give_back(self, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Fail, hang or answer."""
        await self._answer()
        await super().give_back(refunds)

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Fail, hang or answer."""
        await self._answer()
        return await super().hold(key, token, limit=limit, seconds=seconds)

    async def release(self, key: str, token: str) -> None:
        """Fail, hang or answer."""
        await self._answer()
        await super().release(key, token)

    async def ping(self) -> None:
        """Fail or hang as well."""
        if self.hanging:
            await asyncio.Event().wait()


class Setting:
    """A failing store behind a failure policy."""

    def __init__(self, policy: str, *, timeout: float = 0.02) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder(self.clock)
        self.inner = FailingStore(self.clock)
        self.local = MemoryLimitStore(clock=self.clock)
        self.store: LimitStore = ResilientStore(
            self.inner,
            local=self.local,
            settings=RateLimitingSettings.model_validate(
                {"failure": policy, "timeout": timeout, "failure_threshold": 2, "cooldown": 5}
            ),
            clock=self.clock,
            events=self.recorder.log,
        )

    async def passes(self) -> bool:
        """Tell whether a request passes."""
        return all(state.allowed for state in await self.store.acquire(REQUEST))


async def test_closed() -> None:
    """Under closed, nobody passes, and the caller is told when to come back."""
    setting = Setting("closed")
    setting.inner.failing = True
    for _ in range(5):
        with pytest.raises(UnavailableError) as caught:
            await setting.passes()
        assert caught.value.reason == "rate_limiting.store_away"
        assert caught.value.retry_after.total_seconds() == 5


async def test_open() -> None:
    """Under open, everybody passes."""
    setting = Setting("open")
    setting.inner.failing = True
    assert all([await setting.passes() for _ in range(10)])


async def test_local() -> None:
    """Under local, the same limit holds in this process."""
    setting = Setting("local")
    setting.inner.failing = True
    assert [await setting.passes() for _ in range(5)] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("policy", ["closed", "open", "local"])
async def test_one_event_for_each_change(policy: str) -> None:
    """Failure and recovery are one event each, however many requests see them."""
    setting = Setting(policy)
    for _ in range(2):
        setting.inner.failing = True
        for _ in range(6):
            await asyncio.gather(setting.passes(), return_exceptions=True)
        setting.inner.failing = False
        setting.clock.advance(5)
        await setting.passes()
    assert (
        setting.recorder.names()
        == [
            "rate_limiting.store_failed",
            "rate_limiting.store_recovered",
        ]
        * 2
    )
    event = setting.recorder.sink.named("rate_limiting.store_failed")[0]
    assert event.details == {"policy": policy, "error": "ConnectionRefusedError"}


async def test_a_failing_store_is_left_alone() -> None:
    """After the threshold the store is not asked again until the cooldown is over."""
    setting = Setting("open")
    setting.inner.failing = True
    for _ in range(20):
        await setting.passes()
    assert setting.inner.asked == 2
    setting.clock.advance(5)
    for _ in range(20):
        await setting.passes()
    assert setting.inner.asked == 3


async def test_it_recovers() -> None:
    """One probe that is answered puts the store back in charge."""
    setting = Setting("closed")
    setting.inner.failing = True
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await setting.passes()
    setting.inner.failing = False
    with pytest.raises(UnavailableError):
        await setting.passes()
    setting.clock.advance(5)
    assert [await setting.passes() for _ in range(4)] == [True] * 3 + [False]


async def test_one_probe_at_a_time() -> None:
    """While a probe is under way, everybody else is answered by the policy at once."""
    setting = Setting("open", timeout=5.0)
    setting.inner.failing = True
    for _ in range(2):
        await setting.passes()
    setting.clock.advance(5)
    setting.inner.hanging = True
    probe = asyncio.create_task(setting.passes())
    await asyncio.sleep(0)
    assert all([await setting.passes() for _ in range(10)])
    assert setting.inner.asked == 3
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


async def test_a_cancelled_probe_is_followed_by_another() -> None:
    """A client that goes away during the probe does not keep the store locked out."""
    setting = Setting("open", timeout=5.0)
    setting.inner.failing = True
    for _ in range(2):
        await setting.passes()
    setting.clock.advance(5)
    setting.inner.hanging = True
    probe = asyncio.create_task(setting.passes())
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    setting.inner.hanging = setting.inner.failing = False
    await setting.passes()
    assert setting.recorder.names()[-1] == "rate_limiting.store_recovered"


async def test_a_slow_store_is_a_failing_one() -> None:
    """A store that does not answer in time costs a request no more than the timeout."""
    setting = Setting("local")
    setting.inner.hanging = True
    async with asyncio.timeout(5):
        assert [await setting.passes() for _ in range(4)] == [True] * 3 + [False]
    assert setting.recorder.names() == ["rate_limiting.store_failed"]


async def test_a_process_that_was_held_up_asks_again() -> None:
    """A timeout that comes far too late is the process's own fault, not the store's."""
    setting = Setting("closed")
    setting.inner.held_up = [0.05]
    assert await setting.passes()
    assert setting.recorder.names() == []


async def test_a_process_that_is_held_up_again_gives_up() -> None:
    """It asks once more and no oftener."""
    setting = Setting("closed")
    setting.inner.held_up = [0.05, 0.05, 0.05]
    with pytest.raises(UnavailableError):
        await setting.passes()
    assert setting.inner.asked == 2


async def test_a_programming_error_is_no_failure_of_the_store() -> None:
    """Other errors are not turned into a policy: they surface."""
    setting = Setting("open")
    setting.inner.broken = True
    with pytest.raises(ZeroDivisionError):
        await setting.passes()
    assert setting.recorder.names() == []


async def test_ping_has_no_policy() -> None:
    """A health check sees the store as it is."""
    setting = Setting("open")
    await setting.store.ping()
    setting.inner.hanging = True
    with pytest.raises(StoreError):
        await setting.store.ping()


async def test_reset_reaches_both() -> None:
    """A reset forgets buckets of the store and of the fallback."""
    setting = Setting("local")
    await setting.passes()
    setting.inner.failing = True
    await setting.passes()
    await setting.store.reset("")
    assert (len(setting.inner), len(setting.local)) == (0, 0)
    await setting.store.close()


def _powers(setting: Setting) -> ResilientStore:
    assert isinstance(setting.store, ResilientStore)
    return setting.store


@pytest.mark.parametrize("how", ["failing", "hanging"])
async def test_places_while_the_store_is_away_under_closed(how: str) -> None:
    """Under closed nobody gets a place, and after some failures the store is left alone."""
    setting = Setting("closed")
    store = _powers(setting)
    setattr(setting.inner, how, True)
    for token in "abcd":
        with pytest.raises(UnavailableError):
            await store.hold("{a}f", token, limit=9, seconds=30)
    assert setting.recorder.names() == ["rate_limiting.store_failed"]
    setattr(setting.inner, how, False)
    setting.clock.advance(6)
    assert await store.hold("{a}f", "e", limit=1, seconds=30)


async def test_places_while_the_store_is_away_under_open() -> None:
    """Under open everybody passes."""
    setting = Setting("open")
    setting.inner.failing = True
    store = _powers(setting)
    assert all([await store.hold("{a}f", token, limit=1, seconds=30) for token in "abcd"])


async def test_places_while_the_store_is_away_under_local() -> None:
    """Under local there are as many places in this process, and they become free again."""
    setting = Setting("local")
    setting.inner.failing = True
    store = _powers(setting)
    held = [await store.hold("{a}f", token, limit=2, seconds=30) for token in "abc"]
    assert held == [True, True, False]
    await store.release("{a}f", "a")
    assert await store.hold("{a}f", "d", limit=2, seconds=30)


async def test_what_the_store_has_counted_does_not_go_back_to_this_process() -> None:
    """A store that is away loses what would go back, and nobody gets more in the meantime."""
    setting = Setting("local")
    assert await setting.passes()
    setting.inner.failing = True
    assert [await setting.passes() for _ in range(4)] == [True, True, True, False]
    await _powers(setting).give_back([Refund("{a}x", 20_000_000)])
    assert not await setting.passes()


async def test_giving_back_to_a_store_that_answers() -> None:
    """What goes back can be taken again."""
    setting = Setting("closed")
    assert [await setting.passes() for _ in range(4)] == [True, True, True, False]
    await _powers(setting).give_back([Refund("{a}x", 20_000_000)])
    assert await setting.passes()
