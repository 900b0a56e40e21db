"""Expect places to be held, renewed while they are, and given back whatever happens."""

import asyncio
from collections.abc import Sequence

import pytest

from stockade.core.limits import LimitRule, Unit
from stockade.core.policy import Policy, combine
from stockade.errors import RateLimitedError, StoreError
from stockade.rate_limiting import rate_limit, unlimited
from stockade.rate_limiting.leases import Leases, Place
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import (
    ManualClock,
    Recorder,
    make_exchange,
    make_limiter,
    make_scope,
)

RULE = LimitRule(amount=2, window=30, unit=Unit.IN_FLIGHT)


class EndingStore(MemoryLimitStore):
    """A store whose places end, as those of a server do; it may be away."""

    leases_end = True

    def __init__(self) -> None:
        super().__init__()
        self.renewed: list[tuple[str, str]] = []
        self.turn = asyncio.Event()
        self.away = False
        self.largest = 0

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Note who holds on to what."""
        self.renewed += leases
        self.largest = max(self.largest, len(leases))
        self.turn.set()
        assert seconds >= 0
        if self.away:
            raise StoreError("away")

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if there is an answer."""
        if self.away:
            raise StoreError("away")
        await super().release(key, token)


async def test_a_place_is_renewed_while_it_is_held() -> None:
    """Also after a turn that failed; and nobody renews what has been given back."""
    store = EndingStore()
    leases = Leases(store)
    place = await leases.hold("{a}f", LimitRule(amount=2, window=0, unit=Unit.IN_FLIGHT))
    assert place is not None
    store.away = True
    for _ in range(2):
        store.turn.clear()
        await store.turn.wait()
    assert set(store.renewed) == {(place.key, place.token)}
    await leases.release(place)
    assert leases._renewing is None


async def test_many_places_are_renewed_in_parts() -> None:
    """No renewal is so large that a store could not answer in time, and nobody is left out."""
    store = EndingStore()
    leases = Leases(store)
    rule = LimitRule(amount=1000, window=0, unit=Unit.IN_FLIGHT)
    places = {await leases.hold("{a}f", rule) for _ in range(200)}
    async with asyncio.timeout(10):
        while len(set(store.renewed)) < 200:
            store.turn.clear()
            await store.turn.wait()
    assert store.largest <= 64
    for place in places:
        assert place is not None
        await leases.release(place)


async def test_giving_back_to_a_store_that_is_away() -> None:
    """It is no error of the request: the place is free after its time."""
    store = EndingStore()
    leases = Leases(store)
    place = await leases.hold("{a}f", RULE)
    assert place is not None
    store.away = True
    await leases.release(place)


async def test_all_places_are_held() -> None:
    """One more than there are gets none, until one is given back."""
    leases = Leases(MemoryLimitStore())
    places = [await leases.hold("{a}f", RULE) for _ in range(3)]
    assert places[2] is None
    assert isinstance(places[0], Place)
    await leases.release(places[0])
    assert await leases.hold("{a}f", RULE) is not None


async def test_several_limits_hold_places_of_each_or_of_none() -> None:
    """Where one limit refuses, the places of the others are free again."""
    recorder = Recorder(ManualClock())
    limiter = make_limiter(MemoryLimitStore(), recorder)
    policy = combine(
        [
            Policy(public=("open",)),
            rate_limit(in_flight=5, scope="wide").policy,
            rate_limit(in_flight=1, scope="tight").policy,
        ]
    )
    limits = limiter.plan(policy, route="GET /x").in_flight
    assert limits is not None
    exchange = make_exchange()
    first = await limiter.enter(limits, exchange, make_scope())
    for _ in range(10):
        with pytest.raises(RateLimitedError) as caught:
            await limiter.enter(limits, exchange, make_scope())
        assert caught.value.reason == "rate_limiting.too_many_at_once"
    await limiter.leave(first)
    assert len(await limiter.enter(limits, exchange, make_scope())) == 2
    assert recorder.names() == ["rate_limiting.refused"] * 10
    assert recorder.sink.named("rate_limiting.refused")[0].details == {
        "limits": "address:1:in_flight"
    }


async def test_callers_have_places_of_their_own() -> None:
    """One caller's requests take no place of another's."""
    limiter = make_limiter(MemoryLimitStore(), Recorder(ManualClock()))
    policy = Policy(authenticated=True, limits=rate_limit(in_flight=1).policy.limits)
    limits = limiter.plan(policy, route="GET /x").in_flight
    assert limits is not None
    for user in ("1", "2"):
        assert await limiter.enter(limits, make_exchange(user=user), make_scope())
    with pytest.raises(RateLimitedError):
        await limiter.enter(limits, make_exchange(user="1", client="203.0.113.9"), make_scope())


async def test_a_dry_run_holds_what_it_can_and_refuses_nobody() -> None:
    """What would have been refused is recorded."""
    recorder = Recorder(ManualClock())
    limiter = make_limiter(MemoryLimitStore(), recorder, dry_run=True)
    policy = combine([Policy(public=("open",)), rate_limit(in_flight=1).policy])
    limits = limiter.plan(policy, route="GET /x").in_flight
    assert limits is not None
    held = [len(await limiter.enter(limits, make_exchange(), make_scope())) for _ in range(3)]
    assert held == [1, 0, 0]
    assert recorder.names() == ["rate_limiting.would_refuse"] * 2


async def test_an_exempt_request_holds_no_place() -> None:
    """What is free of limits is free of this one, too."""
    limiter = make_limiter(MemoryLimitStore(), Recorder(ManualClock()))
    policy = combine(
        [
            Policy(public=("open",)),
            rate_limit(in_flight=1).policy,
            unlimited("the probe", when=lambda: True).policy,
        ]
    )
    limits = limiter.plan(policy, route="GET /x").in_flight
    assert limits is not None
    for _ in range(3):
        assert await limiter.enter(limits, make_exchange(), make_scope()) == []
