"""Shut out for a while who is refused again and again.

Off by default: limits alone bound what anybody gets, and a ban of an address refuses all who share
it. What is banned is an address or a verified caller who has used up limits himself; never an
account that somebody else tries to sign in to, an address that is a proxy of ours, one that is not
known, or more of IPv6 than one network of a customer (/64).

Refusals are counted in this process. A ban is kept in the store of the limits; the other processes
learn of it within seconds. A request is compared with what is known here, and waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from math import ceil
from typing import Any, Final, Protocol, runtime_checkable

from stockade.core.clock import Clock
from stockade.core.limits import LimitRule
from stockade.errors import StoreError
from stockade.events import EventLog
from stockade.rate_limiting.interfaces import LimitStore
from stockade.rate_limiting.models import LimitRequest, LimitState
from stockade.rate_limiting.settings import RateLimitingSettings

# Seconds after which the bans of other processes are read again.
_REFRESH: Final = 5.0
MOST_BANS: Final = 10_000
"""Bans that are kept at most; with no room left, the one that ends first goes."""
_LEAST_IPV6_PREFIX: Final = 64
_THIS_MACHINE: Final = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Ban:
    """Somebody who is shut out.

    Args:
        subject: Who: ``ip:`` or ``user:`` and the address or identifier.
        seconds: How long it still lasts.
        times: How often in a row he was banned.
    """

    subject: str
    seconds: float
    times: int


@dataclass(frozen=True, slots=True)
class BanTerms:
    """How long bans last.

    Args:
        first: Seconds of the first ban; each further one lasts twice as long.
        longest: Seconds of the longest one, and for how long after its end a ban is remembered.
    """

    first: float
    longest: float

    def length(self, times: int) -> float:
        """Return the seconds of a ban, by how often there was one."""
        # No number gets so large that it could not be compared.
        return min(self.longest, self.first * float(1 << min(times - 1, 40)))


@runtime_checkable
class BanStore(Protocol):
    """Where bans are kept, for all processes."""

    async def add_ban(self, subject: str, terms: BanTerms) -> Ban:
        """Ban somebody, longer than the last time; one who is banned stays so for as long as he is.

        Raises:
            StoreError: The store could not answer.
        """

    async def list_bans(self) -> list[Ban]:
        """Return the bans that have not ended.

        Raises:
            StoreError: The store could not answer.
        """

    async def lift_ban(self, subject: str) -> bool:
        """End a ban and forget the earlier ones; False where there was none.

        Raises:
            StoreError: The store could not answer.
        """


class Bans:
    """What this process knows of bans.

    It is used from one event loop.

    Args:
        store: Where bans are kept.
        strikes: Where refusals are counted: a bounded store in this process.
        settings: When somebody is banned, and for how long.
        spared: Networks whose addresses are never banned, such as those of trusted proxies.
        clock: Source of time.
        events: Where bans are recorded.
    """

    def __init__(
        self,
        store: BanStore,
        *,
        strikes: LimitStore,
        settings: RateLimitingSettings,
        spared: Sequence[str],
        clock: Clock,
        events: EventLog,
    ) -> None:
        self._store = store
        self._strikes = strikes
        self._rule = LimitRule(amount=settings.ban_after or 1, window=settings.ban_window)
        self._terms = BanTerms(settings.ban_first, settings.ban_longest)
        self._networks = settings.ipv6_prefix >= _LEAST_IPV6_PREFIX
        self._spared = [ip_network(each, strict=False) for each in (*spared, *_THIS_MACHINE)]
        self._monotonic = clock.monotonic
        self._events = events
        self._ends: dict[str, float] = {}
        self._read_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, keys: Sequence[str]) -> tuple[str, float] | None:
        """Find a bucket that belongs to somebody who is banned.

        Args:
            keys: Names of the buckets of a request.

        Returns:
            Its name, and the seconds that are left of the ban; None where nobody is banned.
        """
        now = self._monotonic()
        if now - self._read_at > _REFRESH:
            self._read_at = now
            self._start(self.refresh())
        if self._ends:
            for key in keys:
                ends = self._ends.get(subject_of(key), now)
                if ends > now:
                    return key, ends - now
        return None

    def note_refusals(self, keys: Sequence[str], states: Sequence[LimitState]) -> None:
        """Count a request that limits have refused, for each of those whose bucket had too little.

        Args:
            keys: Names of the buckets.
            states: How each of them stands.
        """
        refused = {
            subject_of(key) for key, state in zip(keys, states, strict=True) if not state.allowed
        }
        for subject in refused:
            if self.may_ban(subject):
                self._start(self._strike(subject))

    async def refresh(self) -> None:
        """Read the bans of all processes; where the store is away, what is known goes on."""
        try:
            found = await self._store.list_bans()
        except StoreError:
            return
        now = self._monotonic()
        self._ends = {ban.subject: now + ban.seconds for ban in found[:MOST_BANS]}

    async def list(self) -> list[Ban]:
        """Return the bans that have not ended, in all processes.

        Raises:
            StoreError: The store could not answer.
        """
        return await self._store.list_bans()

    async def add(self, subject: str, seconds: float) -> Ban:
        """Ban somebody; one who is banned already stays so for as long as he is.

        Args:
            subject: Who, as `may_ban` lets pass.
            seconds: For how long.

        Raises:
            StoreError: The store could not answer.
        """
        ban = await self._store.add_ban(subject, BanTerms(seconds, seconds))
        self._note(ban)
        return ban

    async def lift(self, subject: str) -> bool:
        """End a ban; False where there was none.

        Raises:
            StoreError: The store could not answer.
        """
        lifted = await self._store.lift_ban(subject)
        self._ends.pop(subject, None)
        return lifted

    async def close(self) -> None:
        """End what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _strike(self, subject: str) -> None:
        (state,) = await self._strikes.acquire([LimitRequest(f"{{{subject}}}strikes", self._rule)])
        if state.allowed:
            return
        await self._strikes.reset(f"{{{subject}}}strikes")
        try:
            ban = await self._store.add_ban(subject, self._terms)
        except StoreError:
            # It holds in this process; whoever hammers on another one is banned there.
            ban = Ban(subject, self._terms.first, 1)
        self._note(ban)
        self._events.emit(
            "rate_limiting.ban_started",
            reason="rate_limiting.banned",
            details={
                "subject": subject,
                "seconds": str(ceil(ban.seconds)),
                "times": str(ban.times),
            },
        )

    def _note(self, ban: Ban) -> None:
        if len(self._ends) >= MOST_BANS:
            del self._ends[min(self._ends, key=self._ends.__getitem__)]
        self._ends[ban.subject] = self._monotonic() + ban.seconds

    def may_ban(self, subject: str) -> bool:
        """Tell whether somebody may be banned: a caller, or an address that is no proxy of ours."""
        kind, _, name = subject.partition(":")
        if kind == "user":
            return True
        if kind != "ip":
            return False
        try:
            network = ip_network(name)
        except ValueError:
            return False
        if network.version == 6 and not self._networks:  # noqa: PLR2004 - IPv6
            return False
        return not any(
            network.version == each.version and network.overlaps(each) for each in self._spared
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def subject_of(key: str) -> str:
    """Return whose bucket it is: the part of its name in braces."""
    return key[1 : key.find("}")]
