"""Say who is refused most, for whoever runs it: within the last hour and the last day.

A refusal is noted in this process, in memory that does not grow with the number of callers, and
written to the store of the limits every few seconds, in one go and in the background. So an answer
never waits for it, and what the limits allow is not noted at all. Where the store is away, what
should have been written is lost, with an event: written again, it might count twice. What is shown
is therefore never more than there was.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import nlargest
from threading import Lock
from typing import Final, Protocol, runtime_checkable

from stockade.errors import StoreError
from stockade.events import EventLog
from stockade.rate_limiting.frequent import FrequentKeys

KEPT: Final = 256
"""Whoever is more than one in so many refusals is kept, whatever the others are."""
# Seconds for which refusals are collected before they are written.
_EVERY: Final = 5.0
# Seconds that a store may take to write them; nobody waits for it but a shutdown.
_PATIENCE: Final = 2.0
_LONGEST_KEY: Final = 512


class Outcome(StrEnum):
    """What became of a request whose bucket had too little."""

    REFUSED = "refused"
    WOULD_REFUSE = "would_refuse"


@dataclass(frozen=True, slots=True)
class Span:
    """A time that is looked back on, in slices of which the oldest are dropped.

    Args:
        name: Its name.
        slice: Seconds of a slice.
        slices: Whole slices before the one that has begun.
    """

    name: str
    slice: int
    slices: int


SPANS: Final = (Span("hour", 600, 6), Span("day", 3600, 24))
"""The last hour, and up to ten minutes before it; the last day, and up to an hour before it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Who was refused, within a span.

    Args:
        requests: All requests that were refused.
        keys: Buckets that were used up and how often, most often first; at most as often as they
            were.
    """

    requests: int = 0
    keys: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Noted:
    """Requests that were refused, and the buckets that were used up."""

    requests: int = 0
    keys: FrequentKeys = field(default_factory=lambda: FrequentKeys(KEPT))

    def add(self, times: Iterable[tuple[str, int]], requests: int) -> None:
        """Count requests, and buckets with how often each was used up."""
        self.requests += requests
        for key, each in times:
            self.keys.add(key, each)


@runtime_checkable
class RefusalStore(Protocol):
    """Where it is kept who was refused, for all processes; bounded."""

    async def add_refusals(self, outcome: Outcome, times: Mapping[str, int], requests: int) -> None:
        """Add refusals to the slices of now.

        Args:
            outcome: What became of the requests.
            times: How often each bucket was used up.
            requests: How many requests there were, also of buckets that are not named.

        Raises:
            StoreError: The store could not answer.
        """

    async def read_refusals(self, outcome: Outcome, span: Span, *, most: int) -> Refused:
        """Return who was refused most.

        Raises:
            StoreError: The store could not answer.
        """


@runtime_checkable
class RefusalKeeper(Protocol):
    """A store of limits beside which refusals are kept."""

    @property
    def refusals(self) -> RefusalStore:
        """Where they are kept."""


class Refusals:
    """What this process has refused and not yet written.

    Several event loops may use it, in several threads; the first one that notes something writes
    for all of them.

    Args:
        store: Where refusals are kept.
        events: Where it is recorded that they can't be.
    """

    def __init__(self, store: RefusalStore, *, events: EventLog) -> None:
        self._store = store
        self._events = events
        self._noted: dict[Outcome, Noted] = {}
        self._lock = Lock()
        self._writing: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._healthy = True

    def note(self, keys: Iterable[str], outcome: Outcome) -> None:
        """Note the buckets that were used up when a request came.

        Args:
            keys: Names of the buckets.
            outcome: What became of the request.
        """
        with self._lock:
            noted = self._noted.setdefault(outcome, Noted())
            noted.add(((key, 1) for key in keys), 1)
        writing = self._writing
        if writing is None or writing.get_loop().is_closed():
            self._writing = asyncio.create_task(self._write_later())

    async def write(self) -> None:
        """Write what was noted; where the store is away it is lost, and an event says so."""
        # A task of its own: whoever asks and goes away takes nothing of it along.
        task = asyncio.create_task(self._write())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)

    async def _write(self) -> None:
        with self._lock:
            noted, self._noted = self._noted, {}
        for outcome, each in noted.items():
            try:
                async with asyncio.timeout(_PATIENCE):
                    times = _storable(each.keys)
                    await self._store.add_refusals(outcome, times, each.requests)
            except (StoreError, TimeoutError) as error:
                self._note_failure(error)
            else:
                self._note_success()

    async def read(self, outcome: Outcome, span: Span, *, most: int) -> Refused:
        """Return who was refused most, in all processes and with all that this one has noted.

        Raises:
            StoreError: The store could not answer.
        """
        await self.write()
        return await self._store.read_refusals(outcome, span, most=most)

    async def close(self) -> None:
        """Write what is left."""
        here = asyncio.get_running_loop()
        writing, self._writing = self._writing, None
        if writing is not None and writing.get_loop() is here:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        await self.write()
        begun = [task for task in list(self._under_way) if task.get_loop() is here]
        await asyncio.gather(*begun, return_exceptions=True)

    async def _write_later(self) -> None:
        try:
            while self._noted:
                await asyncio.sleep(_EVERY)
                await self.write()
        finally:
            self._writing = None

    def _note_failure(self, error: Exception) -> None:
        if self._healthy:
            self._healthy = False
            self._events.emit(
                "rate_limiting.refusals_lost",
                reason="rate_limiting.refusals_lost",
                details={"error": type(error.__cause__ or error).__name__},
            )

    def _note_success(self) -> None:
        if not self._healthy:
            self._healthy = True
            self._events.emit("rate_limiting.refusals_kept")


def most_refused(found: Iterable[tuple[str, int]], most: int, *, requests: int) -> Refused:
    """Add up the times of each key, and return the greatest."""
    times: Counter[str] = Counter()
    for key, each in found:
        times[key] += each
    return Refused(requests, nlargest(most, times.items(), key=lambda item: (item[1], item[0])))


def _storable(keys: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Write keys as every store can hold them: a function of the application may name any text."""
    times: Counter[str] = Counter()
    for key, each in keys:
        text = key.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
        times[text[:_LONGEST_KEY]] += each
    return dict(times)
