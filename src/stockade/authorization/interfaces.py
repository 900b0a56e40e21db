"""What the authorization layer needs from stores and from the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.authorization.models import (
        Change,
        Invitation,
        IssuedInvitation,
        Member,
        Switched,
        TenantMembership,
    )
    from stockade.core.identity import Principal, TenantId, UserId

InvitationHook: TypeAlias = "Callable[[IssuedInvitation], Awaitable[None]]"
"""Sends an invitation to its address, such as by mail."""


class TenantStore(Protocol):
    """Where tenants and memberships live."""

    async def create(self, name: str, *, owner: UserId, role: str, most: int) -> TenantId | None:
        """Make a tenant with its first member; None where the account has that role too often.

        Args:
            name: What people call it.
            owner: The first member.
            role: Its role.
            most: How many tenants one account may have that role in.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(self, user_id: UserId) -> list[TenantMembership]:
        """Return the tenants of an account.

        Raises:
            StoreError: The store is away.
        """

    async def members(self, tenant_id: TenantId) -> list[Member]:
        """Return the members of a tenant, at most a thousand.

        Raises:
            StoreError: The store is away.
        """

    async def role_of(self, tenant_id: TenantId, user_id: UserId) -> str | None:
        """Return the role of an account that may act, or None.

        Raises:
            StoreError: The store is away.
        """

    async def change(
        self, tenant_id: TenantId, user_id: UserId, *, old: str, new: str | None, keep: str
    ) -> Change:
        """Give a member another role, or none, in one atomic step.

        Of any number of calls at once, none takes the last active member with the role `keep`.

        Args:
            tenant_id: The tenant.
            user_id: The member.
            old: The role that it has to have now.
            new: The new role; None ends the membership.
            keep: The role that somebody has to have.

        Raises:
            StoreError: The store is away.
        """


class InvitationStore(Protocol):
    """Where invitations live, each with the digest of its token."""

    async def add(self, invitation: Invitation, *, digest: str, most: int) -> bool:
        """Keep an invitation in the place of the one for the same address and tenant.

        Returns:
            False where the tenant has too many, or the address is a member's.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(self, tenant_id: TenantId, *, now: datetime) -> list[Invitation]:
        """Return the invitations of a tenant that hold.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, digests: Sequence[str], *, now: datetime) -> Invitation | None:
        """Return the invitation with one of these digests, if it holds.

        Raises:
            StoreError: The store is away.
        """

    async def revoke(self, tenant_id: TenantId, invitation_id: str) -> bool:
        """Forget an invitation of a tenant; False where there is none.

        Raises:
            StoreError: The store is away.
        """

    async def accept(self, invitation: Invitation, user_id: UserId, *, now: datetime) -> bool:
        """Use an invitation up and make the account a member, in one atomic step.

        Of any number of calls one comes through.

        Returns:
            False where it was used, is over, or the account is a member already.

        Raises:
            StoreError: The store is away.
        """


class TenantSwitch(Protocol):
    """Makes another tenant the active one of a session."""

    async def switch(self, principal: Principal, tenant_id: TenantId) -> Switched:
        """Make a tenant the active one of the caller's session.

        Raises:
            NotFoundError: The caller is no member of it.
            ForbiddenError: The caller has no session.
            StoreError: A store is away.
        """
