"""Hold places for what is in flight, renew them while it lasts, and give them back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from stockade.core.limits import LimitRule
from stockade.errors import StoreError, UnavailableError
from stockade.rate_limiting.interfaces import LeaseStore, LimitStore
from stockade.rate_limiting.support import innermost

_TOGETHER: Final = 64


@dataclass(frozen=True, slots=True)
class Place:
    """A place that is held.

    Args:
        key: What it belongs to.
        token: Who holds it.
        seconds: Time after which it is free if nobody renews it.
    """

    key: str
    token: str
    seconds: float


class LocalPlaces:
    """Places of this process, which end with it; safe for several threads."""

    leases_end = False

    def __init__(self) -> None:
        self._held: dict[str, set[str]] = {}
        self._lock = Lock()

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:  # noqa: ARG002 - what is in memory ends with the process
        """Hold a place, unless all of them are held; False means that none was free."""
        with self._lock:
            held = self._held.setdefault(key, set())
            if len(held) >= limit:
                return False
            held.add(token)
            return True

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Do nothing: what is in memory ends with the process."""

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held."""
        with self._lock:
            held = self._held.get(key, set())
            held.discard(token)
            if not held:
                self._held.pop(key, None)

    def forget(self, prefix: str) -> None:
        """Forget the places whose key starts with this."""
        with self._lock:
            for key in [key for key in self._held if key.startswith(prefix)]:
                del self._held[key]


class Leases:
    """The places that this process holds.

    They are renewed as long as they are held, three times in their life; a process that dies renews
    nothing, and its places are free once their time is over. It is used from one event loop.

    Args:
        store: Where places are kept; beside one that knows of none they are kept in this process.
    """

    def __init__(self, store: LimitStore) -> None:
        able = isinstance(innermost(store), LeaseStore)
        self._store: LeaseStore = store if isinstance(store, LeaseStore) and able else LocalPlaces()
        self._held: set[Place] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def hold(self, key: str, rule: LimitRule) -> Place | None:
        """Hold a place; None means that all are held.

        Raises:
            UnavailableError: The store is away and its failure policy is ``closed``.
            StoreError: The store is away and has no failure policy.
        """
        place = Place(key, secrets.token_hex(8), float(rule.window))
        store = self._store
        if not await store.hold(key, place.token, limit=rule.amount, seconds=place.seconds):
            return None
        self._held.add(place)
        if store.leases_end and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renew(store, place.seconds / 3))
        return place

    async def release(self, place: Place) -> None:
        """Give a place back; where the store is away, it is free once its time is over."""
        self._held.discard(place)
        if not self._held:
            self.close()
        try:
            await self._store.release(place.key, place.token)
        except (StoreError, UnavailableError):
            return

    def close(self) -> None:
        """Renew nothing any more."""
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    async def _renew(self, store: LeaseStore, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            held = [(place.key, place.token) for place in self._held]
            # In parts, each of which has the time that a store has for an answer.
            for first in range(0, len(held), _TOGETHER):
                try:
                    await store.renew(held[first : first + _TOGETHER], seconds=pause * 3)
                except (StoreError, UnavailableError):
                    # The next turn may find it back, before the places are free.
                    continue
