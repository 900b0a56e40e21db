"""What the authorization layer needs from stores and from the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from stockade.authorization.models import (
        Addition,
        Change,
        Invitation,
        IssuedInvitation,
        Member,
        Switched,
        Taking,
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

    async def name_of(self, tenant_id: TenantId) -> str:
        """Return what people call a tenant; empty where there is none.

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

    async def role_of_member(self, tenant_id: TenantId, user_id: UserId) -> str | None:
        """Return the role of a member, whether its account may act or not, or None.

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

    async def add(
        self, invitation: Invitation, *, digest: str, most: int, over: Collection[str]
    ) -> Addition:
        """Keep an invitation in the place of the one for the same address and tenant.

        Args:
            invitation: The invitation.
            digest: Digest of its token.
            most: How many the tenant may have.
            over: Roles of earlier ones that it may take the place of.

        Raises:
            StoreError: The store is away.
        """

    async def renew(self, invitation: Invitation, *, digest: str, now: datetime) -> bool:
        """Put another token in the place of an invitation's, and what else has changed.

        Returns:
            False where it is not there any longer, or over.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(self, tenant_id: TenantId, *, now: datetime) -> list[Invitation]:
        """Return the invitations of a tenant that hold.

        Raises:
            StoreError: The store is away.
        """

    async def revoke(self, tenant_id: TenantId, invitation_id: str) -> bool:
        """Forget an invitation of a tenant; False where there is none.

        Raises:
            StoreError: The store is away.
        """


class TakenInvitationStore(Protocol):
    """Where invitations are taken: each by one call, in one atomic step.

    That whoever has sent it could still do so is decided in that step, so that no change of the
    sender's role comes between.
    """

    async def find(self, digests: Sequence[str], *, now: datetime) -> Invitation | None:
        """Return the invitation with one of these digests, if it holds.

        Raises:
            StoreError: The store is away.
        """

    async def has_account(self, email: str) -> bool:
        """Tell whether there is an account with an address, active or not.

        Raises:
            StoreError: The store is away.
        """

    async def accept(
        self,
        invitation: Invitation,
        user_id: UserId,
        *,
        digests: Sequence[str],
        givers: Collection[str],
        now: datetime,
    ) -> Taking:
        """Use an invitation up and make an account a member.

        The account has to be active and have the address of the invitation, as its owner's unless
        the invitation was mailed, which shows as much.

        Args:
            invitation: The invitation.
            user_id: The account.
            digests: Of the token that it is taken with.
            givers: Roles that whoever has sent it may have.
            now: The time.

        Raises:
            StoreError: The store is away.
        """

    async def register(
        self,
        invitation: Invitation,
        user_id: UserId,
        *,
        password_hash: str,
        digests: Sequence[str],
        givers: Collection[str],
        now: datetime,
    ) -> Taking:
        """Use an invitation up and make an account that is a member, with its address.

        Args:
            invitation: The invitation; it was mailed, so that the address is the owner's.
            user_id: Identifier of the new account.
            password_hash: Its password, hashed.
            digests: Of the token that it is taken with.
            givers: Roles that whoever has sent it may have.
            now: The time.

        Raises:
            StoreError: The store is away.
        """


class InvitationPost(Protocol):
    """Sends invitations to their addresses, and shows them to nobody else."""

    async def admit(self, email: str, *, address: str) -> None:
        """Count an invitation that is to be sent.

        Args:
            email: Where to.
            address: Where the request comes from.

        Raises:
            RateLimitedError: There are too many.
            StoreError: The counts are away.
        """

    def send(self, issued: IssuedInvitation, *, scope: Mapping[str, Any] | None) -> None:
        """Send an invitation, later.

        Raises:
            UnavailableError: Too many mails are under way.
        """


class NewcomerPasswords(Protocol):
    """Checks and hashes the first passwords of new accounts."""

    async def hash(self, password: str, *, email: str) -> str:
        """Return the hash of a password that may be chosen.

        Args:
            password: As it was submitted; untrusted.
            email: Address of the account.

        Raises:
            DeniedError: It breaks a rule, or too many wait already.
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
