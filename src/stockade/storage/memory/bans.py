"""Keep bans in this process."""

from __future__ import annotations

from dataclasses import dataclass

from stockade.core.clock import Clock, SystemClock
from stockade.rate_limiting.bans import MOST_BANS, Ban, BanTerms


@dataclass(slots=True)
class _Entry:
    ends: float
    forgotten: float
    times: int


class MemoryBanStore:
    """Bans in memory, for one process, and never more than a fixed number of them.

    Args:
        clock: Source of time.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._monotonic = (clock or SystemClock()).monotonic
        self._entries: dict[str, _Entry] = {}

    async def add_ban(self, subject: str, terms: BanTerms) -> Ban:
        """Ban somebody, longer than the last time."""
        now = self._monotonic()
        entry = self._entries.get(subject)
        if entry is None or entry.forgotten <= now:
            entry = _Entry(now, now, 0)
        if entry.ends <= now:
            entry.times += 1
            entry.ends = now + terms.length(entry.times)
            entry.forgotten = entry.ends + terms.longest
            self._make_room(now)
            self._entries[subject] = entry
        return Ban(subject, entry.ends - now, entry.times)

    async def list_bans(self) -> list[Ban]:
        """Return the bans that have not ended."""
        now = self._monotonic()
        return [
            Ban(subject, entry.ends - now, entry.times)
            for subject, entry in self._entries.items()
            if entry.ends > now
        ]

    async def lift_ban(self, subject: str) -> bool:
        """End a ban and forget the earlier ones; False where there was none."""
        return self._entries.pop(subject, None) is not None

    def _make_room(self, now: float) -> None:
        if len(self._entries) < MOST_BANS:
            return
        self._entries = {
            subject: entry for subject, entry in self._entries.items() if entry.forgotten > now
        }
        while len(self._entries) >= MOST_BANS:
            del self._entries[min(self._entries, key=lambda each: self._entries[each].ends)]
