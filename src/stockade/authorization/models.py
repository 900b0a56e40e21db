"""Values of tenants, memberships and invitations."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.core.identity import TenantId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantMembership:
    """A tenant, and the role of one account in it.

    Args:
        tenant_id: Identifier.
        name: What people call it.
        role: The role of the account.
    """

    tenant_id: TenantId
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An account in a tenant.

    Args:
        user_id: The account.
        email: Its address.
        role: Its role.
    """

    user_id: UserId
    email: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A place in a tenant that is kept for an address.

    Args:
        invitation_id: Identifier; no secret.
        tenant_id: The tenant that it leads into.
        email: Whom it is for.
        role: The role there.
        created_by: Who invites: who has sent it last.
        created_at: When it was made.
        expires_at: When it ends.
        mailed: Whether nobody but its recipient has seen the token, so that whoever has it owns the
            address.
    """

    invitation_id: str
    tenant_id: TenantId
    email: str
    role: str
    created_by: UserId
    created_at: datetime
    expires_at: datetime
    mailed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedInvitation:
    """An invitation and the token that was just made for it, for whoever sends the mail.

    Args:
        invitation: The invitation.
        tenant_name: What people call the tenant.
        sent_at: When it is sent; from then on it holds until its end.
        token: What its recipient comes back with; a secret that is kept nowhere.
    """

    invitation: Invitation
    tenant_name: str
    sent_at: datetime
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What somebody who comes with an invitation finds.

    Args:
        invitation: The invitation.
        tenant_name: What people call the tenant.
        registers: Whether an account can be made with it; otherwise there is one that signs in and
            accepts, or none may be made this way.
    """

    invitation: Invitation
    tenant_name: str
    registers: bool


class Addition(StrEnum):
    """What became of a new invitation."""

    DONE = "done"
    MEMBER = "member"
    """The address is a member's."""
    HELD = "held"
    """The address has an invitation to a role that the caller may not take back."""
    FULL = "full"
    """The tenant has too many."""


class Taking(StrEnum):
    """What became of taking an invitation."""

    DONE = "done"
    GONE = "gone"
    """It was used, taken back or sent anew meanwhile, or it is over."""
    VOID = "void"
    """Whoever has sent it could not send it any longer."""
    ADDRESS = "address"
    """It is for another address, or nobody knows whether the account's is its owner's."""
    KNOWN = "known"
    """The account is a member already, or there is an account where one was to be made."""


class Change(StrEnum):
    """What became of a change of a membership."""

    DONE = "done"
    STALE = "stale"
    """The account has another role by now, or none."""
    LAST = "last"
    """It is the last one of a role that somebody has to have."""


@dataclass(frozen=True, slots=True)
class Switched:
    """What a caller gets who has switched to another tenant.

    Args:
        token: A new access token; None for a caller whose session lives in a cookie.
        expires_in: Seconds that it holds.
    """

    token: str | None = field(repr=False)
    expires_in: int | None
