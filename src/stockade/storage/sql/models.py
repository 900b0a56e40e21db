"""Map Stockade's own tables."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Constraints with names of their own can be changed by later migrations on every database.
_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of Stockade's own models; an application's models have another."""

    metadata = MetaData(naming_convention=_NAMING)


class User(Base):
    """An account."""

    __tablename__ = "stockade_users"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    user_type: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(Boolean)
    token_epoch: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    email_verified: Mapped[bool] = mapped_column(Boolean, server_default=true())


class Tenant(Base):
    """A tenant: a company, a team, a customer."""

    __tablename__ = "stockade_tenants"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Membership(Base):
    """The role of an account in a tenant."""

    __tablename__ = "stockade_memberships"
    __table_args__ = (Index(None, "tenant_id"),)

    user_id: Mapped[str] = mapped_column(
        ForeignKey("stockade_users.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("stockade_tenants.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(String(64))
    is_default: Mapped[bool] = mapped_column(Boolean)


class SessionRow(Base):
    """A session of an account, with the digests of its last two refresh tokens."""

    __tablename__ = "stockade_sessions"
    __table_args__ = (Index(None, "user_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("stockade_users.id", ondelete="CASCADE"))
    # No reference: a tenant that is gone ends its memberships, and with them the session's use.
    tenant_id: Mapped[str | None] = mapped_column(String(36))
    token_epoch: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    authenticated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    device: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(45))
    digest: Mapped[str] = mapped_column(String(64))
    previous_digest: Mapped[str | None] = mapped_column(String(64))
    rotated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Names parted by spaces.
    factors: Mapped[str] = mapped_column(String(100), server_default=text("''"))


class APIClientRow(Base):
    """A program that calls with a key of its own."""

    __tablename__ = "stockade_api_clients"
    __table_args__ = (Index(None, "tenant_id", "user_id"), Index(None, "user_id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    tenant_id: Mapped[str | None] = mapped_column(
        ForeignKey("stockade_tenants.id", ondelete="CASCADE")
    )
    user_id: Mapped[str | None] = mapped_column(ForeignKey("stockade_users.id", ondelete="CASCADE"))
    # Names parted by spaces, as OAuth2 writes scopes.
    roles: Mapped[str] = mapped_column(Text)
    scopes: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[str] = mapped_column(String(36))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)


class APISecretRow(Base):
    """The digest of one key of a program."""

    __tablename__ = "stockade_api_secrets"
    __table_args__ = (Index(None, "client_id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    client_id: Mapped[str] = mapped_column(
        ForeignKey("stockade_api_clients.id", ondelete="CASCADE")
    )
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class InvitationRow(Base):
    """A place in a tenant that is kept for an address, with the digest of its token."""

    __tablename__ = "stockade_invitations"
    __table_args__ = (UniqueConstraint("tenant_id", "email"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("stockade_tenants.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    # No reference: whether whoever invited is still a member is looked up when it counts.
    created_by: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    mailed: Mapped[bool] = mapped_column(Boolean, server_default=false())


class TOTPRow(Base):
    """The authenticator app of an account."""

    __tablename__ = "stockade_totp"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(
        ForeignKey("stockade_users.id", ondelete="CASCADE"), unique=True
    )
    sealed: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_step: Mapped[int] = mapped_column(BigInteger)


class RecoveryCodeRow(Base):
    """The digest of a recovery code that was not used yet."""

    __tablename__ = "stockade_recovery_codes"

    user_id: Mapped[str] = mapped_column(
        ForeignKey("stockade_users.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)


class PasskeyRow(Base):
    """A passkey of an account."""

    __tablename__ = "stockade_passkeys"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    # 1023 bytes at most, in base64url.
    credential_id: Mapped[str] = mapped_column(String(1364), unique=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("stockade_users.id", ondelete="CASCADE"))
    user_handle: Mapped[bytes] = mapped_column(LargeBinary(64))
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    backup_eligible: Mapped[bool] = mapped_column(Boolean)
    backed_up: Mapped[bool] = mapped_column(Boolean)
    # Names parted by spaces.
    transports: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class KnownDeviceRow(Base):
    """The digest of a device that an account was seen with."""

    __tablename__ = "stockade_known_devices"

    user_id: Mapped[str] = mapped_column(
        ForeignKey("stockade_users.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class LinkRow(Base):
    """A one-time link, with the digest of its token."""

    __tablename__ = "stockade_one_time_links"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)
    # The account or the address: it has one link for each purpose.
    subject: Mapped[str] = mapped_column(String(300), primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("stockade_users.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class IdentityRow(Base):
    """What a provider calls the owner of an account."""

    __tablename__ = "stockade_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"), Index(None, "user_id"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("stockade_users.id", ondelete="CASCADE"))
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    linked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class SpentRow(Base):
    """The digest of something that works once and has been used."""

    __tablename__ = "stockade_spent"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class LimitRow(Base):
    """A bucket of a limit; used in PostgreSQL alone, where its table is unlogged."""

    __tablename__ = "stockade_limits"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    # Microseconds since 1970 at which the bucket is full again.
    full_at: Mapped[int] = mapped_column(BigInteger)
    # What this and the last window gave, where windows count.
    used: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class LimitUnitRow(Base):
    """Units that a moving window remembers, all those of one moment together."""

    __tablename__ = "stockade_limit_units"

    key: Mapped[str] = mapped_column(
        ForeignKey("stockade_limits.key", ondelete="CASCADE"), primary_key=True
    )
    # Microseconds since 1970.
    at: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    units: Mapped[int] = mapped_column(BigInteger)


class LimitPlaceRow(Base):
    """A place that something in flight holds."""

    __tablename__ = "stockade_limit_places"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    ends_at: Mapped[int] = mapped_column(BigInteger)


class LimitBanRow(Base):
    """Somebody who is shut out, or was a while ago."""

    __tablename__ = "stockade_limit_bans"

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    times: Mapped[int] = mapped_column(Integer)
    ends_at: Mapped[int] = mapped_column(BigInteger)


class LimitRefusalRow(Base):
    """How often a bucket was used up when a request came, in one slice of time."""

    __tablename__ = "stockade_limit_refusals"

    span: Mapped[str] = mapped_column(String(16), primary_key=True)
    # Seconds since 1970, divided by the length of a slice.
    slice: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16), primary_key=True)
    # Empty in the row that has all requests, and what clearings have taken.
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    weight: Mapped[int] = mapped_column(BigInteger)
    times: Mapped[int] = mapped_column(BigInteger)
