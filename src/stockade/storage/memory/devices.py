"""Remember devices in memory, for tests and for a single process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authentication.models import Sighting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.core.identity import UserId


class MemoryDeviceStore:
    """Devices in dictionaries."""

    def __init__(self) -> None:
        self._seen: dict[UserId, dict[str, datetime]] = {}

    async def see(
        self, user_id: UserId, digests: Sequence[str], *, now: datetime, keep: int
    ) -> Sighting:
        """Remember a device, and say whether the account was seen with it before."""
        seen = self._seen.setdefault(user_id, {})
        sighting = Sighting.NEW if seen else Sighting.FIRST
        for digest in digests:
            if seen.pop(digest, None) is not None:
                sighting = Sighting.KNOWN
        seen[digests[0]] = now
        for digest in sorted(seen, key=seen.__getitem__)[:-keep]:
            del seen[digest]
        return sighting
