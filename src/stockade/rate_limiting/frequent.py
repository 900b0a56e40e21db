"""Find the most frequent of any number of keys in a fixed amount of memory.

The summary of Misra and Gries, cleared in batches as by Agarwal and others. Each key has a weight
by which it stays, and the times it was counted since it came in, which are never more than there
were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class _Entry:
    weight: int
    times: int


class FrequentKeys:
    """Count keys, and forget those that are rare.

    Whoever is more than a ``size``-th of all that was counted is kept, whatever the others are:
    clearing takes the same weight from more than ``size`` keys at once, so that all clearings
    together take no more than a ``size``-th of everything from one key.

    Args:
        size: Keys that are left by a clearing at most; twice as many are kept before one.

    Source: J. Misra, D. Gries, "Finding repeated elements" (1982); P. K. Agarwal and others,
    "Mergeable summaries" (2012).
    """

    __slots__ = ("_entries", "_floor", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[str, _Entry] = {}
        # What all clearings have taken. To let newcomers start above it is the same as to take it
        # from each of the others.
        self._floor = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield each key with its times: at most as often as it was counted."""
        return ((key, entry.times) for key, entry in self._entries.items())

    def add(self, key: str, times: int = 1) -> None:
        """Count a key."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.weight += times
            entry.times += times
            return
        if len(self._entries) >= 2 * self._size:
            self._clear()
        self._entries[key] = _Entry(self._floor + times, times)

    def _clear(self) -> None:
        weights = sorted((entry.weight for entry in self._entries.values()), reverse=True)
        self._floor = floor = weights[self._size]
        self._entries = {key: entry for key, entry in self._entries.items() if entry.weight > floor}
