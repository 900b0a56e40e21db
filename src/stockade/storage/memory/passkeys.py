"""Keep passkeys in memory, for tests and for a single process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.authentication.models import Passkey
    from stockade.core.identity import UserId


class MemoryPasskeyStore:
    """Passkeys in a dictionary.

    No method waits for anything while it changes one, so that each is atomic.
    """

    def __init__(self) -> None:
        self._passkeys: dict[str, Passkey] = {}
        self._used: dict[str, datetime] = {}

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

    async def remove(self, user_id: UserId, passkey_id: str) -> bool:
        """Forget a passkey of an account; False where it has no such one."""
        known = self._passkeys.get(passkey_id)
        if known is None or known.user_id != user_id:
            return False
        del self._passkeys[passkey_id]
        return True

    async def use_challenge(self, digest: str, *, until: datetime, now: datetime) -> bool:
        """Remember that a challenge was used, and forget those that are over by now."""
        for known, end in list(self._used.items()):
            if end <= now:
                del self._used[known]
        if digest in self._used:
            return False
        self._used[digest] = until
        return True
