"""Remember in memory what works once and has been used, for tests and for a single process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class MemorySpentStore:
    """What has been used up, in a dictionary."""

    def __init__(self) -> None:
        self._spent: dict[str, datetime] = {}

    async def spend(self, digest: str, *, now: datetime, until: datetime) -> bool:
        """Use something up; of any number of calls one gets True."""
        # What is over goes, so that this does not grow without end.
        self._spent = {known: ends for known, ends in self._spent.items() if ends > now}
        if digest in self._spent:
            return False
        self._spent[digest] = until
        return True
