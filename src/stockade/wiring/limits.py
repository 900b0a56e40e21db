"""Wire limits: their store, what bans, and the count of attempts to sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stockade.rate_limiting import RateLimiter
from stockade.rate_limiting.bans import Bans
from stockade.rate_limiting.refusals import Refusals
from stockade.settings import variables_of_slowapi
from stockade.storage.limits import (
    ban_store,
    guarded_limit_store,
    limit_store_url,
    refusal_store,
)
from stockade.storage.memory.limits import MemoryLimitStore
from stockade.wiring.secrets import reveal

if TYPE_CHECKING:
    from stockade.core.clock import Clock
    from stockade.events import EventLog
    from stockade.rate_limiting import RateLimitingSettings
    from stockade.rate_limiting.interfaces import LimitStore
    from stockade.settings import Settings

_FAILURES: Final = (
    "failure",
    "failure_public",
    "failure_authenticated",
    "failure_address",
    "failure_login",
)


class LimitWiring:
    """Makes what counts requests, attempts and refusals.

    Args:
        settings: Settings of all layers.
        events: Where it is recorded what is refused, and that a store is away.
        clock: Source of time.

    Attributes:
        are_on: Whether limits are counted at all: in every environment that is deployed, unless the
            settings say otherwise.
        limiter: Counts requests.
        bans: Bans who is refused again and again; None where nobody is banned.
        refusals: Who was refused most.
        attempts: Store of attempts to sign in; None where limits are off.

    Raises:
        ConfigurationError: A store can't be used as it is set.
    """

    def __init__(self, settings: Settings, *, events: EventLog, clock: Clock) -> None:
        enabled = settings.rate_limiting.enabled
        self.are_on = settings.environment.is_deployed if enabled is None else enabled
        self._settings = settings
        self._events = events
        self._clock = clock
        limits = settings.rate_limiting.model_copy(update={"enabled": self.are_on})
        if limits.dry_run:
            # What only counts refuses nobody for want of a store either.
            limits = limits.model_copy(update=dict.fromkeys(_FAILURES, "open"))
        store = self._make_store(limits)
        self.bans = self._make_bans(store, limits)
        self.refusals = Refusals(refusal_store(store, clock=clock), events=events)
        self.limiter = RateLimiter(
            store,
            settings=limits,
            events=events,
            clock=clock,
            url=self._url(limits),
            bans=self.bans,
            refusals=self.refusals,
            unread=variables_of_slowapi(),
        )
        self.attempts = self._make_attempts()

    @property
    def only_counts(self) -> bool:
        """Whether limits refuse nobody and are counted all the same."""
        return self.are_on and self._settings.rate_limiting.dry_run

    async def close(self) -> None:
        """Give back connections."""
        if self.bans is not None:
            await self.bans.close()
        await self.limiter.close()
        if self.attempts is not None and self.attempts is not self.limiter.store:
            await self.attempts.close()

    def _make_bans(self, store: LimitStore, limits: RateLimitingSettings) -> Bans | None:
        if not self.are_on or limits.ban_after is None or limits.dry_run:
            return None
        return Bans(
            ban_store(store, clock=self._clock),
            strikes=MemoryLimitStore(clock=self._clock, max_keys=limits.max_keys),
            settings=limits,
            spared=[str(each) for each in self._settings.web.trusted_proxies],
            clock=self._clock,
            events=self._events,
        )

    def _make_attempts(self) -> LimitStore | None:
        """Make the store of attempts to sign in: while it is away, nobody signs in."""
        if not self.are_on:
            return None
        limits = self._settings.rate_limiting
        if limits.failure == "closed" and not limits.dry_run:
            return self.limiter.store
        return self._make_store(limits.model_copy(update={"failure": "closed"}))

    def _url(self, limits: RateLimitingSettings) -> str:
        return limit_store_url(
            limits.store,
            redis=reveal(self._settings.redis_url),
            database=reveal(self._settings.database_url),
        )

    def _make_store(self, limits: RateLimitingSettings) -> LimitStore:
        return guarded_limit_store(
            self._url(limits), settings=limits, events=self._events, clock=self._clock
        )
