"""Say what a store of limits has to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from stockade.core.limits import Strategy
from stockade.rate_limiting.models import Charge, LimitRequest, LimitState, Refund, UnitRefund


class LimitStore(Protocol):
    """Where the buckets are kept."""

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        The decision is atomic: whatever runs at the same time, no bucket gives more than it holds.
        The answer has one state for each request, in the same order; the whole passes if each of
        them says ``allowed``.

        Raises:
            StoreError: The store could not answer.
        """

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: The store could not answer.
        """

    async def ping(self) -> None:
        """Return if the store answers.

        Raises:
            StoreError: It does not.
        """

    async def close(self) -> None:
        """Give back connections."""


@runtime_checkable
class ClearableStore(Protocol):
    """A store that can forget everything without waiting for anything."""

    def clear(self) -> None:
        """Forget all buckets."""


@runtime_checkable
class ImmediateStore(Protocol):
    """A store that can decide without waiting for anything."""

    def charge(self, keys: Sequence[str], charges: Sequence[Charge]) -> Sequence[int] | None:
        """Take from all buckets, as `LimitStore.acquire` does, where that is plain.

        Args:
            keys: Names of the buckets.
            charges: What is taken from each, in the same order.

        Returns:
            The debt of each bucket after it, in microseconds; None where nothing was taken and
            `LimitStore.acquire` has to decide, since a bucket has too little or is named twice.
        """


@runtime_checkable
class PunctualStore(Protocol):
    """A store whose `LimitStore.acquire` answers in time or fails, by itself."""

    @property
    def timeout(self) -> float:
        """Seconds within which it does, unless this process is held up."""


@runtime_checkable
class StrategicStore(Protocol):
    """A store that counts by more than GCRA."""

    @property
    def strategies(self) -> frozenset[Strategy]:
        """Strategies by which it can count."""


@runtime_checkable
class RefundStore(Protocol):
    """A store that takes back what should not have been counted."""

    async def give_back(self, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Give back to buckets; one that is gone is full anyway.

        Raises:
            StoreError: The store could not answer.
        """


@runtime_checkable
class LeaseStore(Protocol):
    """A store that knows what is in flight, as places that are held for a while."""

    @property
    def leases_end(self) -> bool:
        """Whether a place that nobody renews becomes free."""

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, unless all of them are held; False means that none was free.

        Args:
            key: What the places belong to.
            token: Name of the holder, which nobody else has.
            limit: How many places there are.
            seconds: Time after which the place is free again if nobody renews it.

        Raises:
            StoreError: The store could not answer.
        """

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Hold on to places, given as key and token; those that were lost stay so.

        Raises:
            StoreError: The store could not answer.
        """

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held.

        Raises:
            StoreError: The store could not answer.
        """
