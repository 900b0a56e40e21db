"""Read and write tenants and memberships."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from stockade.authorization.models import Change, Member, TenantMembership
from stockade.core.identity import TenantId, UserId
from stockade.storage.sql.accounts import create_tenant, join_tenant
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.locking import lock_tenant, lock_user
from stockade.storage.sql.models import Membership, Tenant, User

if TYPE_CHECKING:
    from sqlalchemy import Select
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
            await lock_user(connection, owner)
            if (await connection.scalar(held) or 0) >= most:
                return None
            tenant_id = await create_tenant(connection, name, tenant_id=str(uuid.uuid4()))
            await join_next(connection, owner, tenant_id, role)
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

    async def name_of(self, tenant_id: TenantId) -> str:
        """Return what people call a tenant; empty where there is none.

        Raises:
            StoreError: The database is away.
        """
        async with store_errors(), self._engine.connect() as connection:
            name = await connection.scalar(select(Tenant.name).where(Tenant.id == tenant_id))
        return name or ""

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
            _role_of(tenant_id, user_id)
            .join(User, User.id == Membership.user_id)
            .where(User.is_active.is_(True))
        )
        async with store_errors(), self._engine.connect() as connection:
            return await connection.scalar(statement)

    async def role_of_member(self, tenant_id: TenantId, user_id: UserId) -> str | None:
        """Return the role of a member, whether its account may act or not, or None.

        Raises:
            StoreError: The database is away.
        """
        async with store_errors(), self._engine.connect() as connection:
            return await connection.scalar(_role_of(tenant_id, user_id))

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
            await lock_tenant(connection, tenant_id)
            if await connection.scalar(select(Membership.role).where(*place)) != old:
                return Change.STALE
            if old == keep and new != keep and not await connection.scalar(others):
                return Change.LAST
            if new is None:
                await connection.execute(delete(Membership).where(*place))
            else:
                await connection.execute(update(Membership).where(*place).values(role=new))
        return Change.DONE


def _role_of(tenant_id: TenantId, user_id: UserId) -> Select[str]:
    return select(Membership.role).where(
        Membership.tenant_id == tenant_id, Membership.user_id == user_id
    )


async def join_next(
    connection: AsyncConnection, user_id: UserId, tenant_id: TenantId, role: str
) -> None:
    """Make an account a member of a tenant, which is its default one if it is its first."""
    held = select(func.count()).select_from(Membership).where(Membership.user_id == user_id)
    is_first = not await connection.scalar(held)
    await join_tenant(connection, user_id, tenant_id, role=role, is_default=is_first)
