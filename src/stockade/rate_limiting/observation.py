"""Say how full the buckets of a store are, for whoever runs it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import Final, Protocol, runtime_checkable

_WINDOW: Final = re.compile(r"/([0-9]{1,9})$")


@dataclass(frozen=True, slots=True)
class Bucket:
    """How a bucket stands.

    Args:
        key: Its name: whose it is in braces, then the route or scope, then amount and window.
        seconds: Seconds until it is full again.
    """

    key: str
    seconds: float

    @property
    def used(self) -> float:
        """Which part of it is used up, from 0 to 1; 0 where its name has no window."""
        found = _WINDOW.search(self.key)
        window = int(found[1]) if found else 0
        return min(1.0, self.seconds / window) if window else 0.0


@runtime_checkable
class ObservableStore(Protocol):
    """A store that can say what it holds."""

    async def list_buckets(self, *, most: int) -> list[Bucket]:
        """Return the buckets that are used up most, those first; all of them count by GCRA.

        Raises:
            StoreError: The store could not answer.
        """


def fullest(buckets: Iterable[Bucket], most: int) -> list[Bucket]:
    """Return the buckets that are used up most, those first."""
    return nlargest(most, buckets, key=lambda bucket: (bucket.used, bucket.key))
