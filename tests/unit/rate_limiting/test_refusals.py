"""Expect who is refused to be noted, in the background and whatever the store does."""

import asyncio
from collections.abc import Mapping

import pytest

from stockade.core import Exchange
from stockade.core.limits import LimitRule
from stockade.errors import RateLimitedError, StoreError
from stockade.rate_limiting import LimitStore, RateLimiter, RateLimitingSettings, parse_rules
from stockade.rate_limiting.bans import Bans
from stockade.rate_limiting.refusals import (
    KEPT,
    SPANS,
    Outcome,
    Refusals,
    RefusalStore,
    Refused,
    Span,
)
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.memory.bans import MemoryBanStore
from stockade.storage.memory.refusals import MemoryRefusalStore
from tests.unit.rate_limiting.helpers import (
    ADDRESS,
    ManualClock,
    Recorder,
    make_exchange,
    make_scope,
)

HOUR, DAY = SPANS
KEY = f"{{ip:{ADDRESS}}}route:GET /x:2/60"


class Broken(MemoryRefusalStore):
    """A store that is away, or never answers."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error

    async def add_refusals(self, outcome: Outcome, times: Mapping[str, int], requests: int) -> None:
        """Fail, hang, or do it."""
        if self.error is not None:
            raise self.error
        await super().add_refusals(outcome, times, requests)


class Setting:
    """A limiter of two requests in a minute that notes what it refuses."""

    def __init__(self, store: RefusalStore | None = None, **settings: object) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder(self.clock)
        self.store = store or MemoryRefusalStore(clock=self.clock)
        self.refusals = Refusals(self.store, events=self.recorder.log)
        read = RateLimitingSettings.model_validate({"enabled": True, **settings})
        bans = None
        if read.ban_after is not None:
            bans = Bans(
                MemoryBanStore(clock=self.clock),
                strikes=MemoryLimitStore(clock=self.clock),
                settings=read,
                spared=[],
                clock=self.clock,
                events=self.recorder.log,
            )
        self.limits: LimitStore = MemoryLimitStore(clock=self.clock)
        self.limiter = RateLimiter(
            self.limits,
            settings=read,
            events=self.recorder.log,
            clock=self.clock,
            bans=bans,
            refusals=self.refusals,
        )
        self.rules = parse_rules("2/minute")

    async def call(self, exchange: Exchange | None = None) -> bool:
        """Make one request; tell whether it passed."""
        compiled = self.limiter.compile(self.rules, route="GET /x")
        assert compiled is not None
        exchange = exchange or make_exchange()
        try:
            await self.limiter.check(compiled, exchange, make_scope(exchange))
        except RateLimitedError:
            return False
        return True

    async def read(self, outcome: Outcome = Outcome.REFUSED, span: Span = HOUR) -> Refused:
        """Return who was refused."""
        return await self.refusals.read(outcome, span, most=100)


async def test_refusals_are_counted() -> None:
    """What passes is not noted, and what is refused is, for the hour and the day."""
    setting = Setting()
    assert [await setting.call() for _ in range(5)] == [True, True, False, False, False]
    for span in SPANS:
        assert await setting.read(span=span) == Refused(3, [(KEY, 3)])
        assert await setting.read(Outcome.WOULD_REFUSE, span) == Refused()
    await setting.limiter.close()


async def test_what_passes_starts_nothing() -> None:
    """A request that passes leaves no task and no note behind."""
    setting = Setting()
    before = asyncio.all_tasks()
    assert await setting.call()
    assert asyncio.all_tasks() == before


async def test_a_dry_run_is_apart() -> None:
    """What would have been refused is no refusal."""
    setting = Setting(dry_run=True)
    assert [await setting.call() for _ in range(4)] == [True] * 4
    assert await setting.read(Outcome.WOULD_REFUSE) == Refused(2, [(KEY, 2)])
    assert await setting.read() == Refused()
    await setting.limiter.close()


async def test_made_up_requests_are_not_noted() -> None:
    """What the start-up check makes up is refused by nobody's doing."""
    setting = Setting()
    for _ in range(4):
        exchange = make_exchange()
        exchange.planted = True
        await setting.call(exchange)
    assert await setting.read() == Refused()


async def test_who_is_banned_is_refused() -> None:
    """Refusals go on being counted while a ban lasts."""
    setting = Setting(ban_after=3)
    for _ in range(10):
        await setting.call()
        for _ in range(5):
            await asyncio.sleep(0)
    assert "rate_limiting.ban_started" in setting.recorder.names()
    assert await setting.read() == Refused(8, [(KEY, 8)])
    await setting.limiter.close()


async def test_places_are_noted() -> None:
    """Who has too much in flight is refused as well."""
    setting = Setting()
    rule = LimitRule(amount=1, window=1)
    compiled = setting.limiter.compile([rule], route="GET /x")
    assert compiled is not None
    exchange = make_exchange()
    await setting.limiter.enter(compiled, exchange, make_scope(exchange))
    with pytest.raises(RateLimitedError):
        await setting.limiter.enter(compiled, exchange, make_scope(exchange))
    assert (await setting.read()).requests == 1
    await setting.limiter.close()


async def test_two_limits_are_one_request() -> None:
    """A request that two limits refuse is one, and both buckets are named."""
    setting = Setting()
    setting.rules = parse_rules("1/minute; 1/hour")
    await setting.call()
    assert not await setting.call()
    found = await setting.read()
    assert (found.requests, sorted(times for _, times in found.keys)) == (1, [1, 1])
    await setting.limiter.close()


async def test_the_past_is_forgotten() -> None:
    """An hour shows the last hour, a day the last day, and then there is nothing."""
    setting = Setting()
    for _ in range(3):
        await setting.call()
    await setting.refusals.write()
    setting.clock.advance(3600)
    assert (await setting.read()).requests == 1
    setting.clock.advance(600)
    assert await setting.read() == Refused()
    assert (await setting.read(span=DAY)).requests == 1
    setting.clock.advance(86_400)
    assert await setting.read(span=DAY) == Refused()
    await setting.limiter.close()


@pytest.mark.parametrize("error", [StoreError("away"), TimeoutError()], ids=["away", "late"])
async def test_a_store_that_is_away_changes_no_answer(error: Exception) -> None:
    """Refusals that can't be kept are one event for each change, and nothing else."""
    store = Broken(error)
    setting = Setting(store)
    for _ in range(3):
        assert [await setting.call() for _ in range(3)][-1] is False
        await setting.refusals.write()
    names = [name for name in setting.recorder.names() if "refusals" in name]
    assert names == ["rate_limiting.refusals_lost"]
    store.error = None
    await setting.call()
    await setting.refusals.write()
    names = [name for name in setting.recorder.names() if "refusals" in name]
    assert names == ["rate_limiting.refusals_lost", "rate_limiting.refusals_kept"]
    # What was lost is not counted twice.
    assert (await store.read_refusals(Outcome.REFUSED, HOUR, most=9)).requests == 1
    await setting.limiter.close()


async def test_it_is_written_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to ask: what is noted is written after a while, and one task does it."""
    monkeypatch.setattr("stockade.rate_limiting.refusals._EVERY", 0.0)
    setting = Setting()
    before = asyncio.all_tasks()
    for _ in range(5):
        await setting.call()
    assert len(asyncio.all_tasks() - before) == 1
    async with asyncio.timeout(30):
        await asyncio.gather(*(asyncio.all_tasks() - before))
    assert (await setting.store.read_refusals(Outcome.REFUSED, HOUR, most=9)).requests == 3


async def test_the_end_writes_what_is_left() -> None:
    """A shutdown loses nothing, and leaves no task."""
    setting = Setting()
    before = asyncio.all_tasks()
    for _ in range(3):
        await setting.call()
    await setting.limiter.close()
    assert asyncio.all_tasks() == before
    assert (await setting.store.read_refusals(Outcome.REFUSED, HOUR, most=9)).requests == 1


async def test_strange_keys_are_storable() -> None:
    """No key makes a batch fail: not one that is no Unicode, has a NUL, or is very long."""
    setting = Setting()
    strange = ["{a}\udc80", "{a}\0", "{a}" + "x" * 100_000]
    setting.refusals.note(strange, Outcome.REFUSED)
    found = await setting.read()
    assert {key[:9] for key, _ in found.keys} == {"{a}\\udc80", "{a}\\x00", "{a}xxxxxx"}
    assert max(len(key) for key, _ in found.keys) == 512
    assert all(key.encode() for key, _ in found.keys)
    await setting.limiter.close()


async def test_a_flood_is_a_small_batch() -> None:
    """A hundred thousand networks are one batch of a fixed size, with all requests in it."""
    setting = Setting()
    for number in range(100_000):
        setting.refusals.note([f"{{ip:{number}}}"], Outcome.REFUSED)
    found = await setting.read()
    assert found.requests == 100_000
    assert len(found.keys) <= 100
    whole = await setting.store.read_refusals(Outcome.REFUSED, HOUR, most=10**6)
    assert len(whole.keys) <= 2 * KEPT
    await setting.limiter.close()


class Slow(MemoryRefusalStore):
    """A store that takes its time."""

    async def add_refusals(self, outcome: Outcome, times: Mapping[str, int], requests: int) -> None:
        """Do it later."""
        await asyncio.sleep(0.05)
        await super().add_refusals(outcome, times, requests)


@pytest.mark.parametrize("reads", [True, False])
async def test_one_who_goes_away_takes_nothing_along(reads: bool) -> None:
    """What is being written is written, though the one who asked for it is cancelled."""
    setting = Setting(Slow())
    for outcome in Outcome:
        setting.refusals.note([KEY], outcome)
    asking = setting.refusals.read(Outcome.REFUSED, HOUR, most=1)
    task: asyncio.Task[object] = asyncio.create_task(asking if reads else setting.refusals.write())
    if not reads:
        asking.close()
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await setting.refusals.close()
    for outcome in Outcome:
        assert await setting.store.read_refusals(outcome, HOUR, most=1) == Refused(1, [(KEY, 1)])
