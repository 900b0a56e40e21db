"""Keep identities at providers in memory, for tests and for a single process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stockade.authentication.models import Account, Removal
from stockade.core.identity import UserType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from stockade.authentication.models import Identity, Placement
    from stockade.core.identity import UserId
    from stockade.storage.memory.accounts import MemoryAccountStore


class MemoryIdentityStore:
    """Identities in a dictionary.

    No method waits for anything between a look and a change, so that each is atomic.

    Args:
        accounts: Where new accounts go.
    """

    def __init__(self, accounts: MemoryAccountStore) -> None:
        self._accounts = accounts
        self._identities: dict[tuple[str, str], Identity] = {}
        self.count_passkeys: Callable[[UserId], int] = lambda _user_id: 0

    async def find(self, issuer: str, subject: str) -> Identity | None:
        """Return the identity that a provider knows by this name, or None."""
        return self._identities.get((issuer, subject))

    async def list_of(self, user_id: UserId) -> list[Identity]:
        """Return the identities of an account, the oldest first."""
        return self._own(user_id)

    def _own(self, user_id: UserId) -> list[Identity]:
        own = (each for each in self._identities.values() if each.user_id == user_id)
        return sorted(own, key=lambda each: each.linked_at)

    async def add(self, identity: Identity) -> bool:
        """Link an identity to its account; False where it is linked already."""
        key = (identity.issuer, identity.subject)
        return self._identities.setdefault(key, identity) is identity

    async def register(
        self, identity: Identity, *, email: str, placement: Placement | None
    ) -> bool:
        """Make an account without a password and link an identity to it, both or neither."""
        taken = await self._accounts.find_by_email(email) is not None
        key = (identity.issuer, identity.subject)
        # Nothing has waited: the accounts are in memory as well.
        if taken or key in self._identities:
            return False
        self._identities[key] = identity
        self._accounts.put(
            Account(
                user_id=identity.user_id,
                email=email,
                user_type=UserType.USER,
                password_hash="",
                active=True,
                token_epoch=0,
                tenant_id=None if placement is None else placement.tenant_id,
                roles=frozenset() if placement is None else frozenset({placement.role}),
            )
        )
        return True

    async def remove(
        self, user_id: UserId, identity_id: str, *, issuers: Collection[str]
    ) -> Removal:
        """Take an identity off its account, unless it is the last way in."""
        own = self._own(user_id)
        found = next((each for each in own if each.identity_id == identity_id), None)
        if found is None:
            return Removal.UNKNOWN
        if self.count_ways_in(user_id, issuers) <= (found.issuer in issuers):
            return Removal.LAST
        del self._identities[found.issuer, found.subject]
        return Removal.DONE

    async def remove_all(self, user_id: UserId) -> int:
        """Take every identity off an account, and return how many that were."""
        own = self._own(user_id)
        for each in own:
            del self._identities[each.issuer, each.subject]
        return len(own)

    def count_ways_in(self, user_id: UserId, issuers: Collection[str]) -> int:
        """Return how many passwords, identities and passkeys let the owner of an account in."""
        identities = sum(each.issuer in issuers for each in self._own(user_id))
        return self._accounts.has_password(user_id) + identities + self.count_passkeys(user_id)

    async def touch(self, identity_id: str, *, now: datetime) -> None:
        """Remember that somebody has signed in with an identity."""
        for key, each in self._identities.items():
            if each.identity_id == identity_id:
                self._identities[key] = replace(each, last_used_at=now)
