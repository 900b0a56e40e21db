"""Say what a store of identities at providers does, and of what has been used up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from stockade.authentication.models import Identity, Placement, Removal
    from stockade.core.identity import UserId


class IdentityStore(Protocol):
    """Where the identities of accounts at providers live."""

    async def find(self, issuer: str, subject: str) -> Identity | None:
        """Return the identity that a provider knows by this name, or None.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(self, user_id: UserId) -> list[Identity]:
        """Return the identities of an account, the oldest first.

        Raises:
            StoreError: The store is away.
        """

    async def add(self, identity: Identity) -> bool:
        """Link an identity to its account; False where it is linked already, to whichever account.

        Raises:
            StoreError: The store is away.
        """

    async def register(
        self, identity: Identity, *, email: str, placement: Placement | None
    ) -> bool:
        """Make an account without a password and link an identity to it, both or neither.

        Args:
            identity: The identity, with the identifier of the new account.
            email: Address of the account, in lower case.
            placement: Where in which role it belongs; None for an account without a tenant.

        Returns:
            False where an account has the address, or the identity is linked already.

        Raises:
            StoreError: The store is away, or the tenant does not exist.
        """

    async def remove(
        self, user_id: UserId, identity_id: str, *, issuers: Collection[str]
    ) -> Removal:
        """Take an identity off its account, unless it is the last way in, in one atomic step.

        Ways in are a password, an identity at one of the issuers and a passkey. Of any number of
        removals at once, of passkeys too, none takes the last.

        Args:
            user_id: The account.
            identity_id: The identity.
            issuers: The providers that somebody can sign in at.

        Raises:
            StoreError: The store is away.
        """

    async def remove_all(self, user_id: UserId) -> int:
        """Take every identity off an account, and return how many that were.

        Raises:
            StoreError: The store is away.
        """

    async def touch(self, identity_id: str, *, now: datetime) -> None:
        """Remember that somebody has signed in with an identity.

        Raises:
            StoreError: The store is away.
        """


class SpentStore(Protocol):
    """Where it is remembered what works once and has been used."""

    async def spend(self, digest: str, *, now: datetime, until: datetime) -> bool:
        """Use something up, in one atomic step; of any number of calls one gets True.

        Args:
            digest: What it is.
            now: The time.
            until: How long that has to be remembered.

        Raises:
            StoreError: The store is away.
        """
