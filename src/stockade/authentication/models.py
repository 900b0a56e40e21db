"""Values of the authentication layer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from stockade.core.identity import UserId, UserType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from stockade.core.identity import TenantId


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
        email_verified: Whether the owner has shown that the address is theirs, or whoever made the
            account vouches for it.
    """

    user_id: UserId
    email: str
    user_type: UserType
    password_hash: str = field(repr=False)
    active: bool
    token_epoch: int
    tenant_id: TenantId | None
    roles: frozenset[str]
    email_verified: bool = True

    @property
    def has_password(self) -> bool:
        """Whether somebody can sign in with a password; Django marks what is none with ``!``."""
        return self.password_hash[:1] not in {"", "!"}

    @property
    def must_have_no_password(self) -> bool:
        """Whether Django has marked it as one that nobody may give a password."""
        return self.password_hash.startswith("!")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account that is to be made.

    Args:
        email: Address; kept in lower case.
        password_hash: Hash as a hasher made it.
        user_type: Kind of account.
        user_id: Identifier; drawn at random unless given.
        email_verified: Whether the address is known to be the owner's.
        membership: The tenant that it begins in, which is its default one, and its role there.
    """

    email: str
    password_hash: str = field(repr=False)
    user_type: UserType = UserType.USER
    user_id: UserId = field(default_factory=lambda: UserId(str(uuid.uuid4())))
    email_verified: bool = True
    membership: tuple[TenantId, str] | None = None


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
        session_id: The session that it belongs to (``sid``), if any.
        factors: What the subject has proved itself with (``amr``).
    """

    user_id: UserId
    tenant_id: TenantId | None
    token_epoch: int
    expires_at: int
    authenticated_at: datetime
    token_id: str
    session_id: str | None = None
    factors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in of an account: a device, a browser, a program.

    Args:
        session_id: Identifier; no secret.
        user_id: Whose it is.
        tenant_id: The tenant that is active in it.
        token_epoch: Epoch of the account when it began; a later one has ended it.
        created_at: When it began.
        authenticated_at: When the account last gave its password or factor in it.
        last_used_at: When its refresh token was last exchanged.
        expires_at: When it ends at the latest, however much it is used.
        revoked_at: When it was ended before that, if it was.
        device: What the client calls itself; untrusted, cut short.
        address: Address of the client at its last use.
        factors: What the account has proved itself with in it.
    """

    session_id: str
    user_id: UserId
    tenant_id: TenantId | None
    token_epoch: int
    created_at: datetime
    authenticated_at: datetime
    last_used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    device: str = ""
    address: str = ""
    factors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session with what a store knows of its refresh tokens.

    Args:
        session: The session.
        digest: Digest of the current refresh token.
        previous: Digest of the one before it, if there was one.
        rotated_at: When the current one took its place.
    """

    session: Session
    digest: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    rotated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshUse:
    """One exchange of a refresh token.

    Args:
        session_id: Its session.
        presented: Digests of the token that is exchanged, one for each key.
        successor: Digest of the one that takes its place.
        device: What the client calls itself now.
        address: Address of the client now.
    """

    session_id: str
    presented: tuple[str, ...] = field(repr=False)
    successor: str = field(repr=False)
    device: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token.

    Args:
        value: The token itself; a secret.
        expires_in: Seconds that it holds.
    """

    value: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class APIClient:
    """A program that calls with a key of its own.

    Args:
        client_id: Its public identifier.
        name: What people call it.
        tenant_id: The tenant that it works in; None for one that its owner uses outside of tenants.
        user_id: The account that it acts for; None for a service of the tenant itself.
        roles: Roles that it has, as far as its owner has them.
        scopes: Permissions that it has, as far as its owner has them.
        created_at: When it was made.
        created_by: Who made it.
        expires_at: When it ends by itself, if it does.
        revoked_at: When it was ended before that, if it was.
        last_used_at: When it last called, to the minute.
        requests_per_minute: Limit of its own over all routes without limits of their own; None
            keeps the default ones.
    """

    client_id: str
    name: str
    tenant_id: TenantId | None
    user_id: UserId | None
    roles: frozenset[str]
    scopes: frozenset[str]
    created_at: datetime
    created_by: UserId
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class APISecret:
    """One of the keys of a client; two of them overlap while they are exchanged.

    Args:
        secret_id: Identifier; no secret.
        digest: What is kept of the key.
        created_at: When it was made.
        expires_at: When it ends, if it does.
    """

    secret_id: str
    digest: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAPIClient:
    """A client with its keys, the newest first."""

    client: APIClient
    secrets: tuple[APISecret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLink:
    """What a store knows of a one-time link, beside the digest of its token.

    Args:
        purpose: What it is for.
        email: The address that it is about.
        user_id: Whose it is; None where there is no account yet.
        state: Digest of what must not have changed when it is used.
        created_at: When it was made.
        expires_at: When it ends.
    """

    purpose: str
    email: str
    user_id: UserId | None
    state: str = field(repr=False)
    created_at: datetime
    expires_at: datetime

    @property
    def subject(self) -> str:
        """What has one link for each purpose: an account, or an address."""
        return self.email if self.user_id is None else self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a provider calls somebody, linked to an account.

    Args:
        identity_id: Identifier; no secret.
        user_id: The account.
        issuer: The provider's name for itself.
        subject: The provider's name for the user.
        linked_at: When it was linked.
        last_used_at: When somebody last signed in with it.
    """

    identity_id: str
    user_id: UserId
    issuer: str
    subject: str
    linked_at: datetime
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Somebody who signs in at a provider for the first time and is to get an account.

    Args:
        provider: Name of the provider in the settings.
        subject: The provider's name for the user.
        email: Address that the provider has verified, in a domain that it is trusted with.
        claims: All that the identity token says, verified; the user may have written some of it.
    """

    provider: str
    subject: str
    email: str
    claims: Mapping[str, Any] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, hash=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a new account belongs.

    Args:
        tenant_id: Its tenant.
        role: Its role there.
    """

    tenant_id: TenantId
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A passkey of an account.

    Args:
        passkey_id: Our identifier of it.
        credential_id: Its own identifier, in base64url.
        user_id: Whose it is.
        user_handle: What it knows the account by; says nothing about anybody.
        public_key: Its public key, as COSE has it.
        sign_count: How often it has signed, as it says itself; 0 where it does not count.
        backup_eligible: Whether it may be copied to other devices of its owner.
        backed_up: Whether it has been.
        transports: How it can be reached, as its browser says.
        name: What its owner calls it.
        created_at: When it was registered.
        last_used_at: When it last signed.
    """

    passkey_id: str
    credential_id: str
    user_id: UserId
    user_handle: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    transports: frozenset[str]
    name: str
    created_at: datetime
    last_used_at: datetime | None = None


class Removal(StrEnum):
    """What became of taking a way in off an account."""

    DONE = "done"
    UNKNOWN = "unknown"
    """The account has no such one."""
    LAST = "last"
    """Without it nobody could sign in to the account any longer."""


class Closing(StrEnum):
    """What became of switching an account off or deleting it."""

    DONE = "done"
    UNKNOWN = "unknown"
    """There is no such account."""
    LAST_OWNER = "last_owner"
    """It is the last active owner of a tenant that stays."""


class Sighting(StrEnum):
    """How a device stands to an account."""

    FIRST = "first"
    """The account had none before."""
    NEW = "new"
    KNOWN = "known"
