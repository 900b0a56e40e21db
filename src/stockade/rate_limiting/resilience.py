"""Decide what happens to requests while the store of the limits is away or slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from math import ceil
from typing import Final, TypeVar, assert_never

from stockade.core.clock import Clock
from stockade.core.limits import FailurePolicy
from stockade.errors import StoreError, UnavailableError
from stockade.events import EventLog
from stockade.rate_limiting.breaker import CircuitBreaker
from stockade.rate_limiting.errors import UnreadableBucketError
from stockade.rate_limiting.interfaces import LeaseStore, LimitStore, PunctualStore, RefundStore
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund, UnitRefund
from stockade.rate_limiting.settings import RateLimitingSettings

# A timer that fires after twice its time says that this process was held up, by a handler that
# blocks the event loop or by its start, and nothing about the store: it is asked once more. At
# worst the request is counted twice.
_HELD_UP: Final = 2
# Seconds that a check of health has at least: a connection may have to be made first.
_FIRST: Final = 1.0
# Seconds between two events that say the same of a bucket.
_QUIET: Final = 60.0
_Answer = TypeVar("_Answer")


class ResilientStore:
    """Put a time limit, a circuit breaker and a declared failure policy around a store.

    Whatever the store does, a request waits for it no longer than ``timeout``; after some failures
    in a row it is not asked at all for ``cooldown``. Then each limit falls under a policy of its
    own, and one that is ``closed`` refuses the request. One event says that the store failed and
    one that it answers again, not one for each request.

    Args:
        store: The store that may be away.
        local: Store in this process, used under the policy ``local``; it must be bounded.
        settings: Policy of limits that have none of their own, timeout and breaker.
        clock: Source of time.
        events: Where failure and recovery are recorded.
    """

    def __init__(
        self,
        store: LimitStore,
        *,
        local: LimitStore,
        settings: RateLimitingSettings,
        clock: Clock,
        events: EventLog,
    ) -> None:
        self._store = store
        self._local = local
        self._policy: FailurePolicy = settings.failure
        self._timeout = settings.timeout
        self._punctual = isinstance(store, PunctualStore)
        self._clock = clock
        self._retry_after = timedelta(seconds=max(1, ceil(settings.cooldown)))
        self._events = events
        self._healthy = True
        self._silent_until = 0.0
        self._cause: BaseException | None = None
        self._breaker = CircuitBreaker(
            threshold=settings.failure_threshold, cooldown=settings.cooldown, clock=clock
        )

    @property
    def inner(self) -> LimitStore:
        """The store that may be away."""
        return self._store

    @property
    def leases_end(self) -> bool:
        """Whether a place that nobody renews becomes free."""
        return isinstance(self._store, LeaseStore) and self._store.leases_end

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Ask the store, or apply the failure policy.

        Raises:
            UnavailableError: The store is away and the policy of a limit is ``closed``.
        """
        if not self._breaker.admits():
            return await self._fall_back(requests)
        try:
            states = await self._ask(requests)
        except UnreadableBucketError as error:
            # The store has answered: whoever can spoil one key must not put it out of work for all.
            self._note_success()
            self._note_unreadable()
            return await self._fall_back(requests, cause=error)
        except (StoreError, TimeoutError) as error:
            self._note_failure(error)
            return await self._fall_back(requests, cause=error)
        except BaseException:
            # The request was cancelled, or something is broken; either way the breaker must not
            # wait for its outcome.
            self._breaker.abandon()
            raise
        self._note_success()
        return states

    async def give_back(self, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Give back what should not have been taken, where the store can; else time does.

        Raises:
            UnavailableError: The store is away and the policy is ``closed``.
        """

        async def give_back(store: LimitStore) -> None:
            # What the store has counted does not go back to this process, which would give more
            # than there is.
            if store is self._store and isinstance(store, RefundStore):
                await store.give_back(refunds)

        await self._guarded(give_back, opened=None)

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, or apply the failure policy.

        Raises:
            UnavailableError: The store is away and the policy is ``closed``.
        """

        async def hold(store: LimitStore) -> bool:
            if not isinstance(store, LeaseStore):
                raise StoreError("this store does not know what is in flight")
            return await store.hold(key, token, limit=limit, seconds=seconds)

        return await self._guarded(hold, opened=True)

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Hold on to places.

        Raises:
            UnavailableError: The store is away and the policy is ``closed``.
        """

        async def renew(store: LimitStore) -> None:
            if isinstance(store, LeaseStore):
                await store.renew(leases, seconds=seconds)

        await self._guarded(renew, opened=None)

    async def release(self, key: str, token: str) -> None:
        """Give a place back, wherever it is held.

        Raises:
            UnavailableError: The store is away and the policy is ``closed``.
        """

        async def release(store: LimitStore) -> None:
            if isinstance(store, LeaseStore):
                await store.release(key, token)

        await release(self._local)
        await self._guarded(release, opened=None)

    async def _guarded(
        self, ask: Callable[[LimitStore], Awaitable[_Answer]], *, opened: _Answer
    ) -> _Answer:
        """Ask the store, or answer by the failure policy."""
        cause: Exception | None = None
        if self._breaker.admits():
            try:
                answer = await self._in_time(ask(self._store))
            except StoreError as error:
                self._note_failure(error)
                cause = error
            except BaseException:
                self._breaker.abandon()
                raise
            else:
                self._note_success()
                return answer
        match self._policy:
            case "closed":
                raise UnavailableError(
                    reason="rate_limiting.store_away", retry_after=self._retry_after
                ) from cause
            case "open":
                return opened
            case "local":
                return await ask(self._local)
            case unknown:
                assert_never(unknown)

    async def _in_time(self, call: Awaitable[_Answer]) -> _Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except TimeoutError as error:
            raise StoreError("the store of the limits did not answer in time") from error

    async def reset(self, prefix: str) -> None:
        """Forget buckets, here and in the store.

        Raises:
            StoreError: The store could not answer.
        """
        await self._local.reset(prefix)
        await self._store.reset(prefix)

    async def ping(self) -> None:
        """Return if the store itself answers in time; the failure policy does not apply.

        Raises:
            StoreError: It does not.
        """
        try:
            async with asyncio.timeout(max(self._timeout, _FIRST)):
                await self._store.ping()
        except TimeoutError as error:
            raise StoreError("the store of the limits did not answer in time") from error

    async def close(self) -> None:
        """Give back connections."""
        await self._store.close()
        await self._local.close()

    async def _ask(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        if self._punctual:
            return await self._store.acquire(requests)
        started = self._clock.monotonic()
        try:
            return await self._ask_once(requests)
        except (StoreError, TimeoutError):
            if self._clock.monotonic() - started < _HELD_UP * self._timeout:
                raise
        return await self._ask_once(requests)

    async def _ask_once(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        async with asyncio.timeout(self._timeout):
            return await self._store.acquire(requests)

    async def _fall_back(
        self, requests: Sequence[LimitRequest], *, cause: Exception | None = None
    ) -> Sequence[LimitState]:
        policies = [request.rule.failure or self._policy for request in requests]
        if "closed" in policies:
            raise UnavailableError(
                reason="rate_limiting.store_away", retry_after=self._retry_after
            ) from cause
        counted = [
            request for request, policy in zip(requests, policies, strict=True) if policy == "local"
        ]
        states = iter(await self._local.acquire(counted) if counted else ())
        # What this process has counted must not go back to the store, which would give more than
        # there is.
        return [
            next(states)._replace(at=None) if policy == "local" else _full(request)
            for request, policy in zip(requests, policies, strict=True)
        ]

    def _note_unreadable(self) -> None:
        now = self._clock.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _QUIET
            self._events.emit(
                "rate_limiting.bucket_unreadable",
                reason="rate_limiting.bucket_unreadable",
                details={"policy": self._policy},
            )

    def _note_failure(self, error: Exception) -> None:
        # Requests that were sent together fail together, which is one failure.
        if error.__cause__ is None or error.__cause__ is not self._cause:
            self._breaker.fail()
        self._cause = error.__cause__
        if self._healthy:
            self._healthy = False
            self._events.emit(
                "rate_limiting.store_failed",
                reason="rate_limiting.store_away",
                details={"policy": self._policy, "error": type(error.__cause__ or error).__name__},
            )

    def _note_success(self) -> None:
        self._breaker.succeed()
        self._cause = None
        if not self._healthy:
            self._healthy = True
            self._events.emit("rate_limiting.store_recovered", details={"policy": self._policy})


def _full(request: LimitRequest) -> LimitState:
    """Return how a bucket stands that nobody counts."""
    return LimitState(
        allowed=True, remaining=request.rule.amount, retry_after=0.0, reset_after=0.0, at=None
    )
