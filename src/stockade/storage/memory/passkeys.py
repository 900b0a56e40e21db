"""Keep passkeys in memory, for tests and for a single process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stockade.authentication.models import Removal

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from stockade.authentication.models import Passkey
    from stockade.core.identity import UserId
    from stockade.storage.memory.identities import MemoryIdentityStore


class MemoryPasskeyStore:
    """Passkeys in a dictionary.

    No method waits for anything while it changes one, so that each is atomic.

    Args:
        beside: Knows the other ways in to an account; without it there is said to be one.
    """

    def __init__(self, beside: MemoryIdentityStore | None = None) -> None:
        self._passkeys: dict[str, Passkey] = {}
        self._beside = beside
        if beside is not None:
            beside.count_passkeys = self._count

    async def add(self, passkey: Passkey) -> bool:
        """Keep a new passkey; False where any account has one with its credential identifier."""
        if await self.find(passkey.credential_id) is not None:
            return False
        self._passkeys[passkey.passkey_id] = passkey
        return True

    async def find(self, credential_id: str) -> Passkey | None:
        """Return the passkey with this credential identifier, or None."""
        known = self._passkeys.values()
        return next((each for each in known if each.credential_id == credential_id), None)

    async def list_of(self, user_id: UserId) -> list[Passkey]:
        """Return the passkeys of an account, the oldest first."""
        return [each for each in self._passkeys.values() if each.user_id == user_id]

    async def use(
        self, passkey_id: str, *, sign_count: int, backed_up: bool, now: datetime
    ) -> bool:
        """Remember that a passkey has signed; False where its count is no higher than before."""
        known = self._passkeys.get(passkey_id)
        if known is None:
            return False
        if sign_count <= known.sign_count and (sign_count, known.sign_count) != (0, 0):
            return False
        self._passkeys[passkey_id] = replace(
            known, sign_count=sign_count, backed_up=backed_up, last_used_at=now
        )
        return True

    async def remove(
        self, user_id: UserId, passkey_id: str, *, issuers: Collection[str]
    ) -> Removal:
        """Forget a passkey of an account, unless it is the last way in that is known of."""
        known = self._passkeys.get(passkey_id)
        if known is None or known.user_id != user_id:
            return Removal.UNKNOWN
        if self._beside is not None and self._beside.count_ways_in(user_id, issuers) <= 1:
            return Removal.LAST
        del self._passkeys[passkey_id]
        return Removal.DONE

    def _count(self, user_id: UserId) -> int:
        return sum(each.user_id == user_id for each in self._passkeys.values())
