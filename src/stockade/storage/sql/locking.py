"""Make changes of one account or one tenant wait for each other.

A write that changes nothing does so in every database. It comes first in its transaction: SQLite
refuses to turn one that has read into one that writes while another writes. Whoever needs both
locks takes the account's before the tenant's, and several tenants in the order of their
identifiers, so that no two wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.orm import aliased

from stockade.core.identity import TenantId, TenantRole
from stockade.storage.sql.models import Membership, Tenant, User

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from stockade.core.identity import UserId


async def lock_user(connection: AsyncConnection, user_id: UserId) -> bool:
    """Make other changes of an account wait until this transaction ends; False without one."""
    statement = update(User).where(User.id == user_id).values(token_epoch=User.token_epoch)
    return (await connection.execute(statement)).rowcount == 1


async def lock_tenant(connection: AsyncConnection, tenant_id: TenantId) -> None:
    """Make other changes of a tenant's members wait until this transaction ends."""
    await connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(name=Tenant.name))


async def lock_owned(connection: AsyncConnection, user_id: UserId) -> frozenset[TenantId] | None:
    """Return the tenants that have no active owner but an account; None without the account.

    Until the transaction ends nobody changes who is in the tenants of the account, and it joins no
    other one.
    """
    if not await lock_user(connection, user_id):
        return None
    # In PostgreSQL a new membership refers to the account and has to wait for this; SQLite lets one
    # writer in at a time anyway.
    await connection.execute(select(User.id).where(User.id == user_id).with_for_update())
    own = select(Membership.tenant_id).where(Membership.user_id == user_id)
    for tenant_id in sorted((await connection.execute(own)).scalars()):
        await lock_tenant(connection, TenantId(tenant_id))
    other = aliased(Membership)
    others = (
        select(other.user_id)
        .join(User, User.id == other.user_id)
        .where(
            other.tenant_id == Membership.tenant_id,
            other.user_id != user_id,
            other.role == TenantRole.OWNER,
            User.is_active.is_(True),
        )
    )
    owned = own.where(Membership.role == TenantRole.OWNER, ~others.exists())
    return frozenset(TenantId(each) for each in (await connection.execute(owned)).scalars())
