"""Keep one-time links in memory, for tests and for a single process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.authentication.models import StoredLink


class MemoryLinkStore:
    """One-time links in a dictionary, by purpose and by account or address.

    No method waits for anything while it changes a link, so that each is atomic.
    """

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], tuple[str, StoredLink]] = {}

    async def put(self, link: StoredLink, *, digest: str, now: datetime) -> None:
        """Keep a link in the place of the one before it, and forget those that are over."""
        for place in [place for place, (_, each) in self._links.items() if each.expires_at <= now]:
            del self._links[place]
        self._links[link.purpose, link.subject] = (digest, link)

    async def find(self, digests: Sequence[str], *, now: datetime) -> StoredLink | None:
        """Return the link with one of these digests, unless it is over."""
        place = self._place(digests, now)
        return None if place is None else self._links[place][1]

    async def take(self, digests: Sequence[str], *, now: datetime) -> bool:
        """Forget the link with one of these digests; False where it is not there or over."""
        place = self._place(digests, now)
        if place is None:
            return False
        del self._links[place]
        return True

    def _place(self, digests: Sequence[str], now: datetime) -> tuple[str, str] | None:
        for place, (digest, link) in self._links.items():
            if digest in digests and link.expires_at > now:
                return place
        return None
