"""Expect bans of those who are refused again and again, and of nobody else."""

import asyncio

import pytest

from stockade.core.policy import Policy
from stockade.errors import RateLimitedError, StoreError
from stockade.rate_limiting import RateLimiter, RateLimitingSettings, parse_rules
from stockade.rate_limiting.bans import Ban, Bans, BanTerms
from stockade.rate_limiting.models import CompiledLimits
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.memory.bans import MemoryBanStore
from tests.unit.rate_limiting.helpers import (
    ADDRESS,
    ManualClock,
    Recorder,
    make_exchange,
    make_scope,
)


class Setting:
    """A limiter with bans after three refusals, over memory."""

    def __init__(
        self,
        *,
        shared: MemoryBanStore | None = None,
        clock: ManualClock | None = None,
        **more: object,
    ) -> None:
        self.clock = clock or ManualClock()
        self.recorder = Recorder(self.clock)
        self.shared = shared or MemoryBanStore(clock=self.clock)
        settings = RateLimitingSettings.model_validate(
            {"enabled": True, "ban_after": 3, "ban_first": 30, "ban_longest": 100, **more}
        )
        self.bans = Bans(
            self.shared,
            strikes=MemoryLimitStore(clock=self.clock, max_keys=1000),
            settings=settings,
            spared=["203.0.113.0/24"],
            clock=self.clock,
            events=self.recorder.log,
        )
        self.limiter = RateLimiter(
            MemoryLimitStore(clock=self.clock),
            settings=settings,
            events=self.recorder.log,
            bans=self.bans,
        )

    def limits(self, text: str = "1/hour", **more: object) -> CompiledLimits:
        """Compile limits of an open route."""
        rules = parse_rules(text, **more)  # type: ignore[arg-type]  # options of a rule
        compiled = self.limiter.compile(rules, route="GET /x")
        assert compiled is not None
        return compiled

    async def ask(
        self, limits: CompiledLimits, *, client: str = ADDRESS, user: str | None = None
    ) -> str:
        """Ask once; say why it was refused, or nothing."""
        exchange = make_exchange(client=client, user=user)
        reason = ""
        try:
            await self.limiter.check(limits, exchange, make_scope(exchange))
        except RateLimitedError as error:
            reason = error.reason
        await asyncio.gather(*self.bans._tasks)
        return reason

    async def hammer(self, times: int, **who: str) -> list[str]:
        """Ask so often over a limit that is used up by the first."""
        limits = self.limits()
        return [await self.ask(limits, **who) for _ in range(times)]


OVER = "rate_limiting.exceeded"
BANNED = "rate_limiting.banned"


async def test_repeated_refusals_ban() -> None:
    """After as many refusals as the setting says, the next one bans, with one event."""
    setting = Setting()
    assert await setting.hammer(7) == ["", OVER, OVER, OVER, OVER, BANNED, BANNED]
    assert setting.recorder.names().count("rate_limiting.ban_started") == 1


async def test_a_ban_holds_on_every_route() -> None:
    """Whoever is banned is refused where he has not used up anything."""
    setting = Setting()
    await setting.hammer(6)
    assert await setting.ask(setting.limits("100/hour", scope="other")) == BANNED


async def test_a_ban_ends_and_the_next_is_longer() -> None:
    """A ban is over by itself; hammering on it does not prolong it."""
    setting = Setting()
    await setting.hammer(50)
    setting.clock.advance(31)
    assert await setting.hammer(7) == [OVER] * 4 + [BANNED] * 3
    setting.clock.advance(31)
    assert await setting.hammer(1) == [BANNED]
    setting.clock.advance(30)
    assert await setting.hammer(1) == [OVER]


async def test_few_refusals_do_not_ban() -> None:
    """Refusals that are spread out are no reason for a ban."""
    setting = Setting(ban_window=30)
    limits = setting.limits("1/day")
    for _ in range(20):
        assert await setting.ask(limits) in {"", OVER}
        setting.clock.advance(11)


async def test_others_are_not_banned() -> None:
    """The ban of one address is none of another's."""
    setting = Setting()
    await setting.hammer(6)
    assert await setting.hammer(1, client="192.0.2.8") == [""]


async def test_a_caller_is_banned_by_himself() -> None:
    """A verified caller who hammers is banned, and others at his address are not."""
    setting = Setting()
    assert (await setting.hammer(7, user="7"))[-1] == BANNED
    assert await setting.hammer(1, user="8") == [""]
    assert await setting.hammer(1) == [""]


@pytest.mark.parametrize(
    "client", ["203.0.113.9", "127.0.0.1", "::1", "unknown", "", "testclient", "::ffff:127.0.0.1"]
)
async def test_who_is_never_banned(client: str) -> None:
    """A trusted proxy, this machine, and who has no address are refused and never banned."""
    setting = Setting()
    assert set((await setting.hammer(20, client=client))[1:]) == {OVER}


async def test_a_whole_48_is_never_banned() -> None:
    """Where limits count wide networks of IPv6, no network is banned."""
    wide = Setting(ipv6_prefix=48)
    assert set((await wide.hammer(20, client="2001:db8::1"))[1:]) == {OVER}
    narrow = Setting(ipv6_prefix=64)
    assert (await narrow.hammer(20, client="2001:db8::1"))[-1] == BANNED
    assert await narrow.hammer(1, client="2001:db8:0:1::1") == [""]


async def test_keys_of_an_application_are_never_banned() -> None:
    """Whoever chooses a key can't have somebody else banned by it."""
    setting = Setting()
    limits = setting.limits(key=lambda: "victim")
    outcomes = [await setting.ask(limits) for _ in range(20)]
    assert set(outcomes[1:]) == {OVER}
    assert await setting.shared.list_bans() == []


async def test_all_processes_know() -> None:
    """A ban that one process made is known to another within seconds, and so is its end."""
    first = Setting()
    second = Setting(shared=first.shared, clock=first.clock)
    limits = second.limits("100/hour")
    assert await second.ask(limits) == ""
    await first.hammer(6)
    first.clock.advance(6)
    await second.ask(limits)
    assert await second.ask(limits) == BANNED
    await first.shared.lift_ban(f"ip:{ADDRESS}")
    first.clock.advance(6)
    await second.ask(limits)
    assert await second.ask(limits) == ""


class AwayBanStore(MemoryBanStore):
    """A store that is away."""

    async def add_ban(self, subject: str, terms: BanTerms) -> Ban:
        """Fail."""
        raise StoreError("away")

    async def list_bans(self) -> list[Ban]:
        """Fail."""
        raise StoreError("away")


async def test_while_the_store_is_away() -> None:
    """A ban holds in the process that made it, and nothing fails."""
    setting = Setting(shared=AwayBanStore())
    assert (await setting.hammer(6))[-1] == BANNED
    setting.clock.advance(6)
    assert await setting.hammer(1) == [BANNED]


async def test_many_bans_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no room left, the ban that ends first goes."""
    monkeypatch.setattr("stockade.rate_limiting.bans.MOST_BANS", 3)
    setting = Setting()
    for number in range(5):
        await setting.hammer(6, client=f"192.0.2.{number}")
        setting.clock.advance(1)
    assert len(setting.bans._ends) == 3
    assert await setting.hammer(1, client="192.0.2.4") == [BANNED]


def test_off_by_default() -> None:
    """Nobody is banned unless the settings ask for it."""
    assert RateLimitingSettings().ban_after is None


async def test_a_plan_of_a_route_is_checked_too() -> None:
    """Limits that a route has by default are checked for bans."""
    setting = Setting(public="1/hour")
    plan = setting.limiter.plan(Policy(public=("open",)), route="GET /y")
    assert plan.before is not None
    assert [await setting.ask(plan.before) for _ in range(6)][-1] == BANNED
