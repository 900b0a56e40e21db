"""Say who calls: the principal, its tenant and its roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NewType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.core.limits import LimitRule

UserId = NewType("UserId", str)
TenantId = NewType("TenantId", str)


class UserType(StrEnum):
    """The kind of an account, across tenants (requirement R8)."""

    SUPER_ADMIN = "super_admin"
    USER = "user"


class TenantRole(StrEnum):
    """The role of an account within one tenant (requirement R8)."""

    ADMIN = "admin"
    OWNER = "owner"
    MEMBER = "member"


class AuthenticationMethod(StrEnum):
    """How a principal proved who it is."""

    API_KEY = "api_key"
    BEARER = "bearer"
    BASIC = "basic"
    COOKIE = "cookie"


class Factor(StrEnum):
    """What a caller has proved itself with.

    `MFA` stands for any second factor where a policy asks for one, and for what an outside issuer
    says of its own sign-in (``amr``, RFC 8176).
    """

    PASSWORD = "password"  # noqa: S105 - the name of a factor
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    PASSKEY = "passkey"
    PROVIDER = "provider"
    """A sign-in elsewhere, which takes the place of the password."""
    MFA = "mfa"


FIRST_FACTORS: Final[frozenset[str]] = frozenset({Factor.PASSWORD, Factor.PROVIDER})
SECOND_FACTORS: Final[frozenset[str]] = frozenset(Factor) - FIRST_FACTORS


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A verified caller.

    It also reads as a mapping of the token claims that teams already use
    (``principal["user_id"]``), so that an endpoint written for ``token: dict =
    Depends(get_current_user)`` keeps working.

    Args:
        user_id: The account, as the token's ``sub`` and ``user_id`` name it.
        email: The account's address.
        user_type: The kind of account.
        tenant_id: The tenant that is active in this token, if any.
        roles: Roles held in the active tenant, as plain strings so that an application may add its
            own.
        permissions: Permissions that follow from the roles, as ``scope:resource:action``.
        method: How the caller proved who it is.
        authenticated_at: When it last gave its password or factor, not when the token was issued
            (OpenID Connect ``auth_time``).
        session_id: The session that the request belongs to, if any.
        actor: The super administrator who acts as this account, if somebody does.
        factors: What the caller has proved itself with in this session, as `Factor` names it.
        limits: Limits of its own, in the place of the default ones; for a program that was given
            some.
    """

    user_id: UserId
    email: str
    user_type: UserType = UserType.USER
    tenant_id: TenantId | None = None
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    method: AuthenticationMethod = AuthenticationMethod.BEARER
    authenticated_at: datetime = field(default=datetime.fromtimestamp(0, tz=UTC))
    session_id: str | None = None
    actor: UserId | None = None
    factors: frozenset[str] = frozenset()
    limits: tuple[LimitRule, ...] = ()

    @property
    def is_super_admin(self) -> bool:
        """Whether the account stands above tenants."""
        return self.user_type is UserType.SUPER_ADMIN

    def has_factor(self, factor: str) -> bool:
        """Whether the caller has given a factor; `Factor.MFA` is any second one."""
        if factor == Factor.MFA:
            return not SECOND_FACTORS.isdisjoint(self.factors)
        return factor in self.factors

    def __getitem__(self, claim: str) -> str | None:
        """Read one of the compatible claims.

        Raises:
            KeyError: The claim is none of `keys`.
        """
        if claim not in _CLAIMS:
            raise KeyError(claim)
        value: str | None = getattr(self, _CLAIMS[claim])
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(_CLAIMS)

    def __len__(self) -> int:
        return len(_CLAIMS)

    def keys(self) -> tuple[str, ...]:
        """Name the claims that can be read by key."""
        return tuple(_CLAIMS)

    def get(self, claim: str, default: Any = None) -> Any:  # noqa: ANN401 - the signature of dict.get
        """Read a claim, or the default where it is not one of `keys` or not set."""
        value = getattr(self, _CLAIMS[claim], None) if claim in _CLAIMS else None
        return default if value is None else value


# Claim name as teams use it, and the attribute behind it.
_CLAIMS = {
    "user_id": "user_id",
    "email": "email",
    "user_type": "user_type",
    "active_tenant_id": "tenant_id",
}
