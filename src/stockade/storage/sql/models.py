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
    MetaData,
    String,
    Text,
    func,
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


class LimitRow(Base):
    """A bucket of a limit; used in PostgreSQL alone, where its table is unlogged."""

    __tablename__ = "stockade_limits"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    # Microseconds since 1970 at which the bucket is full again.
    full_at: Mapped[int] = mapped_column(BigInteger)


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
