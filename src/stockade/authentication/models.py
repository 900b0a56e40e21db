"""Values of the authentication layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.core.identity import TenantId, UserId, UserType


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as the store knows it, with its role in one tenant.

    Args:
        user_id: Identifier of the account.
        email: Address, as stored.
        user_type: Kind of account.
        password_hash: Stored hash; empty where the account has no password.
        active: Whether the account may sign in and act.
        token_epoch: Number that is raised to end all tokens issued so far.
        tenant_id: The tenant that `roles` belong to; None where the account is in no tenant.
        roles: Roles in that tenant.
    """

    user_id: UserId
    email: str
    user_type: UserType
    password_hash: str = field(repr=False)
    active: bool
    token_epoch: int
    tenant_id: TenantId | None
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a verified access token says.

    Args:
        user_id: Subject.
        tenant_id: Tenant that is active in the token.
        token_epoch: Epoch of the account at issue.
        expires_at: Seconds since 1970 at which the token ends.
        authenticated_at: When the subject last gave its password.
        token_id: Unique identifier (``jti``).
    """

    user_id: UserId
    tenant_id: TenantId | None
    token_epoch: int
    expires_at: int
    authenticated_at: datetime
    token_id: str


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token.

    Args:
        value: The token itself; a secret.
        expires_in: Seconds that it holds.
    """

    value: str = field(repr=False)
    expires_in: int
