"""Read and write tenants, memberships and invitations."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from stockade.authorization.models import Change, Invitation, Member, TenantMembership
from stockade.core.identity import TenantId, UserId
from stockade.storage.sql.accounts import create_tenant, join_tenant
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import InvitationRow, Membership, Tenant, User
from stockade.storage.sql.moments import aware

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_MOST_LISTED = 1000


class SQLTenantStore:
    """Tenants and memberships in a SQL database.

    Args:
        engine: Engine without tenant isolation: tenants stand above their rows.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self, name: str, *, owner: UserId, role: str, most: int) -> TenantId | None:
        """Make a tenant with its first member; None where the account has that role too often.

        Raises:
            StoreError: The database is away.
        """
        held = select(func.count()).where(Membership.user_id == owner, Membership.role == role)
        async with store_errors(), self._engine.begin() as connection:
            await _lock_user(connection, owner)
            if (await connection.scalar(held) or 0) >= most:
                return None
            tenant_id = await create_tenant(connection, name, tenant_id=str(uuid.uuid4()))
            await _join(connection, owner, tenant_id, role)
        return tenant_id

    async def list_of(self, user_id: UserId) -> list[TenantMembership]:
        """Return the tenants of an account.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(Tenant.id, Tenant.name, Membership.role)
            .join(Membership, Membership.tenant_id == Tenant.id)
            .where(Membership.user_id == user_id)
            .order_by(Tenant.name, Tenant.id)
            .limit(_MOST_LISTED)
        )
        async with store_errors(), self._engine.connect() as connection:
            return [
                TenantMembership(tenant_id=TenantId(row.id), name=row.name, role=row.role)
                for row in await connection.execute(statement)
            ]

    async def members(self, tenant_id: TenantId) -> list[Member]:
        """Return the members of a tenant, at most a thousand.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(User.id, User.email, Membership.role)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.tenant_id == tenant_id)
            .order_by(User.email)
            .limit(_MOST_LISTED)
        )
        async with store_errors(), self._engine.connect() as connection:
            return [
                Member(user_id=UserId(row.id), email=row.email, role=row.role)
                for row in await connection.execute(statement)
            ]

    async def role_of(self, tenant_id: TenantId, user_id: UserId) -> str | None:
        """Return the role of an account that may act, or None.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(Membership.role)
            .join(User, User.id == Membership.user_id)
            .where(
                Membership.tenant_id == tenant_id,
                Membership.user_id == user_id,
                User.is_active.is_(True),
            )
        )
        async with store_errors(), self._engine.connect() as connection:
            role: str | None = await connection.scalar(statement)
        return role

    async def change(
        self, tenant_id: TenantId, user_id: UserId, *, old: str, new: str | None, keep: str
    ) -> Change:
        """Give a member another role, or none; the changes of one tenant wait for each other.

        Raises:
            StoreError: The database is away.
        """
        place = (Membership.tenant_id == tenant_id, Membership.user_id == user_id)
        others = (
            select(func.count())
            .select_from(Membership)
            .join(User, User.id == Membership.user_id)
            .where(
                Membership.tenant_id == tenant_id,
                Membership.user_id != user_id,
                Membership.role == keep,
                User.is_active.is_(True),
            )
        )
        async with store_errors(), self._engine.begin() as connection:
            await _lock_tenant(connection, tenant_id)
            if await connection.scalar(select(Membership.role).where(*place)) != old:
                return Change.STALE
            if old == keep and new != keep and not await connection.scalar(others):
                return Change.LAST
            if new is None:
                await connection.execute(delete(Membership).where(*place))
            else:
                await connection.execute(update(Membership).where(*place).values(role=new))
        return Change.DONE


class SQLInvitationStore:
    """Invitations in a SQL database.

    Args:
        engine: Engine without tenant isolation.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, invitation: Invitation, *, digest: str, most: int) -> bool:
        """Keep an invitation in the place of the one for the same address and tenant.

        Raises:
            StoreError: The database is away.
        """
        tenant_id = invitation.tenant_id
        own = InvitationRow.tenant_id == tenant_id
        over = delete(InvitationRow).where(
            own,
            (InvitationRow.email == invitation.email)
            | (InvitationRow.expires_at <= invitation.created_at),
        )
        member = (
            select(func.count())
            .select_from(Membership)
            .join(User, User.id == Membership.user_id)
            .where(Membership.tenant_id == tenant_id, User.email == invitation.email)
        )
        values = {
            "id": invitation.invitation_id,
            "tenant_id": tenant_id,
            "email": invitation.email,
            "role": invitation.role,
            "digest": digest,
            "created_by": invitation.created_by,
            "created_at": invitation.created_at,
            "expires_at": invitation.expires_at,
        }
        async with store_errors(), self._engine.begin() as connection:
            await _lock_tenant(connection, tenant_id)
            if await connection.scalar(member):
                return False
            await connection.execute(over)
            count = select(func.count()).select_from(InvitationRow).where(own)
            if (await connection.scalar(count) or 0) >= most:
                return False
            await connection.execute(insert(InvitationRow).values(**values))
        return True

    async def list_of(self, tenant_id: TenantId, *, now: datetime) -> list[Invitation]:
        """Return the invitations of a tenant that hold.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(*_COLUMNS)
            .where(InvitationRow.tenant_id == tenant_id, InvitationRow.expires_at > now)
            .order_by(InvitationRow.created_at, InvitationRow.id)
        )
        async with store_errors(), self._engine.connect() as connection:
            return [_to_invitation(row) for row in await connection.execute(statement)]

    async def find(self, digests: Sequence[str], *, now: datetime) -> Invitation | None:
        """Return the invitation with one of these digests, if it holds.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(
            InvitationRow.digest.in_(digests), InvitationRow.expires_at > now
        )
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else _to_invitation(row)

    async def revoke(self, tenant_id: TenantId, invitation_id: str) -> bool:
        """Forget an invitation of a tenant; False where there is none.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(InvitationRow).where(
            InvitationRow.tenant_id == tenant_id, InvitationRow.id == invitation_id
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def accept(self, invitation: Invitation, user_id: UserId, *, now: datetime) -> bool:
        """Use an invitation up and make the account a member, in one transaction.

        Raises:
            StoreError: The database is away.
        """
        taken = delete(InvitationRow).where(
            InvitationRow.id == invitation.invitation_id,
            InvitationRow.role == invitation.role,
            InvitationRow.expires_at > now,
        )
        async with store_errors():
            try:
                async with self._engine.begin() as connection:
                    if (await connection.execute(taken)).rowcount != 1:
                        return False
                    await _join(connection, user_id, invitation.tenant_id, invitation.role)
            except IntegrityError:
                # A member already, or the account or the tenant is gone; the invitation stays.
                return False
        return True


_COLUMNS = (
    InvitationRow.id,
    InvitationRow.tenant_id,
    InvitationRow.email,
    InvitationRow.role,
    InvitationRow.created_by,
    InvitationRow.created_at,
    InvitationRow.expires_at,
)


def _to_invitation(row: Row[*tuple[Any, ...]]) -> Invitation:
    return Invitation(
        invitation_id=row.id,
        tenant_id=TenantId(row.tenant_id),
        email=row.email,
        role=row.role,
        created_by=UserId(row.created_by),
        created_at=aware(row.created_at),
        expires_at=aware(row.expires_at),
    )


async def _join(
    connection: AsyncConnection, user_id: UserId, tenant_id: TenantId, role: str
) -> None:
    held = select(func.count()).select_from(Membership).where(Membership.user_id == user_id)
    is_first = not await connection.scalar(held)
    await join_tenant(connection, user_id, tenant_id, role=role, is_default=is_first)


async def _lock_tenant(connection: AsyncConnection, tenant_id: TenantId) -> None:
    """Make other changes of the same tenant wait until this transaction ends.

    A write that changes nothing does so in every database. It comes first: SQLite refuses to turn a
    transaction that has read into one that writes while another writes.
    """
    await connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(name=Tenant.name))


async def _lock_user(connection: AsyncConnection, user_id: UserId) -> None:
    await connection.execute(update(User).where(User.id == user_id).values(email=User.email))
