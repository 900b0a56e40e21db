"""Keep second factors in memory, for tests and for a single process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.authentication.totp import TOTPFactor
    from stockade.core.identity import UserId


class MemoryFactorStore:
    """Second factors in dictionaries.

    No method waits for anything while it changes one, so that each is atomic.
    """

    def __init__(self) -> None:
        self._apps: dict[UserId, TOTPFactor] = {}
        self._codes: dict[UserId, set[str]] = {}

    async def find_totp(self, user_id: UserId) -> TOTPFactor | None:
        """Return the app of an account, whether it is confirmed or not, or None."""
        return self._apps.get(user_id)

    async def enrol_totp(self, factor: TOTPFactor) -> bool:
        """Keep an app that is not confirmed yet; False where there is a confirmed one."""
        known = self._apps.get(factor.user_id)
        if known is not None and known.confirmed_at is not None:
            return False
        self._apps[factor.user_id] = factor
        return True

    async def confirm_totp(
        self, factor_id: str, *, step: int, now: datetime, codes: Sequence[str]
    ) -> bool:
        """Turn an app on and put recovery codes in the place of the account's."""
        known = self._find(factor_id)
        if known is None or known.confirmed_at is not None:
            return False
        self._apps[known.user_id] = replace(known, confirmed_at=now, last_step=step)
        self._codes[known.user_id] = set(codes)
        return True

    async def use_totp(self, factor_id: str, *, step: int, sealed: str) -> bool:
        """Take the code of a step, unless one of it or of a later one was taken."""
        known = self._find(factor_id)
        if known is None or known.confirmed_at is None or known.last_step >= step:
            return False
        self._apps[known.user_id] = replace(known, last_step=step, sealed=sealed)
        return True

    async def remove_totp(self, factor_id: str) -> bool:
        """Forget an app; False where there is none."""
        known = self._find(factor_id)
        if known is None:
            return False
        del self._apps[known.user_id]
        return True

    async def replace_codes(self, user_id: UserId, codes: Sequence[str]) -> None:
        """Put digests in the place of all that the account has."""
        self._codes[user_id] = set(codes)

    async def use_code(self, user_id: UserId, digests: Sequence[str]) -> bool:
        """Take a code that has one of these digests."""
        own = self._codes.get(user_id, set())
        found = own.intersection(digests)
        own -= found
        return bool(found)

    async def count_codes(self, user_id: UserId) -> int:
        """Return how many codes an account has left."""
        return len(self._codes.get(user_id, set()))

    def _find(self, factor_id: str) -> TOTPFactor | None:
        return next((each for each in self._apps.values() if each.factor_id == factor_id), None)
