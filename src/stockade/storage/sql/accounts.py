"""Read and write accounts, tenants and memberships."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from stockade.authentication.models import Account, Closing, NewAccount
from stockade.core.identity import TenantId, UserId, UserType
from stockade.errors import ConfigurationError, StoreError
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.locking import lock_owned
from stockade.storage.sql.models import Membership, Tenant, User

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_COLUMNS = (
    User.id,
    User.email,
    User.user_type,
    User.password_hash,
    User.is_active,
    User.token_epoch,
    User.email_verified,
    Membership.tenant_id,
    Membership.role,
)


class SQLAccountStore:
    """Accounts in a SQL database.

    Args:
        engine: Engine without tenant isolation: accounts stand above tenants.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find_by_email(self, email: str) -> Account | None:
        """Return the account with this address and its default tenant, or None.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(*_COLUMNS)
            .outerjoin(Membership, Membership.user_id == User.id)
            .where(User.email == email)
            .order_by(Membership.is_default.desc(), Membership.tenant_id)
            .limit(1)
        )
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return _to_account(row) if row else None

    async def find_by_id(self, user_id: UserId, tenant_id: TenantId | None) -> Account | None:
        """Return the account and its role in this tenant, or None.

        Raises:
            StoreError: The database is away.
        """
        membership = and_(Membership.user_id == User.id, Membership.tenant_id == tenant_id)
        statement = select(*_COLUMNS).outerjoin(Membership, membership).where(User.id == user_id)
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return _to_account(row) if row else None

    async def replace_password_hash(self, user_id: UserId, *, old: str, new: str) -> bool:
        """Put a new hash in place of the old one; False where somebody else changed it meanwhile.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(User)
            .where(User.id == user_id, User.password_hash == old)
            .values(password_hash=new)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def create(self, account: NewAccount) -> bool:
        """Make an account; False where its address is taken, also by a call at the same time.

        Raises:
            StoreError: The database is away.
        """
        async with store_errors():
            try:
                async with self._engine.begin() as connection:
                    await create_account(connection, account)
            except IntegrityError:
                return False
        return True

    async def set_password(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new hash in place and raise the epoch, in one statement; once for each epoch.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(User)
            .where(User.id == user_id, User.token_epoch == epoch)
            .values(password_hash=new, token_epoch=epoch + 1)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def mark_verified(self, user_id: UserId, *, email: str) -> bool:
        """Remember that the address is the owner's; False where the account has another by now.

        Raises:
            StoreError: The database is away.
        """
        statement = update(User).where(User.id == user_id, User.email == email)
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement.values(email_verified=True))).rowcount == 1

    async def set_email(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new address in place and raise the epoch; False where it is taken.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(User)
            .where(User.id == user_id, User.token_epoch == epoch)
            .values(email=new, email_verified=True, token_epoch=epoch + 1)
        )
        async with store_errors():
            try:
                async with self._engine.begin() as connection:
                    return (await connection.execute(statement)).rowcount == 1
            except IntegrityError:
                return False

    async def set_active(self, user_id: UserId, *, active: bool, force: bool = False) -> Closing:
        """Let an account act or not, and raise the epoch, unless it is the last owner of a tenant.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(User)
            .where(User.id == user_id)
            .values(is_active=active, token_epoch=User.token_epoch + 1)
        )
        async with store_errors(), self._engine.begin() as connection:
            if not active and not force and await lock_owned(connection, user_id):
                return Closing.LAST_OWNER
            changed = await connection.execute(statement)
        return Closing.DONE if changed.rowcount == 1 else Closing.UNKNOWN

    async def delete(self, user_id: UserId, *, tenants: Collection[TenantId] = ()) -> Closing:
        """Delete an account with all that belongs to it, and tenants that nobody else owns.

        Raises:
            StoreError: The database is away, or a table of the application needs the account or
                one of the tenants.
        """
        async with store_errors(), self._engine.begin() as connection:
            owned = await lock_owned(connection, user_id)
            if owned is None:
                return Closing.UNKNOWN
            if owned != frozenset(tenants):
                return Closing.LAST_OWNER
            await connection.execute(delete(User).where(User.id == user_id))
            if owned:
                await connection.execute(delete(Tenant).where(Tenant.id.in_(owned)))
        return Closing.DONE

    async def join(self, user_id: UserId, tenant_id: TenantId, role: str) -> bool:
        """Make an account a member of a tenant; False where it is one, with whatever role.

        Its first tenant is its default one.

        Raises:
            StoreError: The database is away, or there is no such account or tenant.
        """
        own = select(Membership.tenant_id).where(Membership.user_id == user_id)
        async with store_errors(), self._engine.begin() as connection:
            tenants = set((await connection.execute(own)).scalars())
            if tenant_id in tenants:
                return False
            await join_tenant(connection, user_id, tenant_id, role=role, is_default=not tenants)
        return True


def _to_account(row: Row[*tuple[Any, ...]]) -> Account:
    try:
        user_type = UserType(row.user_type)
    except ValueError:
        # A row of a newer release or a hand-made one: nobody can say what this account may do.
        raise StoreError("an account is of a kind that this release does not know") from None
    return Account(
        user_id=UserId(row.id),
        email=row.email,
        user_type=user_type,
        password_hash=row.password_hash,
        active=row.is_active,
        token_epoch=row.token_epoch,
        tenant_id=None if row.tenant_id is None else TenantId(row.tenant_id),
        roles=frozenset() if row.role is None else frozenset({row.role}),
        email_verified=row.email_verified,
    )


async def create_account(connection: AsyncConnection, account: NewAccount) -> UserId:
    """Insert an account within the caller's transaction and return its identifier."""
    await connection.execute(
        insert(User).values(
            id=account.user_id,
            email=account.email.lower(),
            user_type=str(account.user_type),
            password_hash=account.password_hash,
            is_active=True,
            token_epoch=0,
            email_verified=account.email_verified,
        )
    )
    if account.membership is not None:
        tenant_id, role = account.membership
        await join_tenant(connection, account.user_id, tenant_id, role=role, is_default=True)
    return account.user_id


async def add_account(
    engine: AsyncEngine, account: NewAccount, *, new_tenant: str | None = None
) -> None:
    """Make an account as whoever operates the application, in a transaction of its own.

    Args:
        engine: Engine of the accounts.
        account: The account; the tenant that it begins in has to be there.
        new_tenant: Name of a tenant that is made first, under the identifier that the account's
            membership names.

    Raises:
        ConfigurationError: The address is taken, or there is no such tenant.
        StoreError: The database is away.
    """
    async with store_errors(), engine.begin() as connection:
        if account.membership is not None:
            tenant_id = account.membership[0]
            if new_tenant is not None:
                await create_tenant(connection, new_tenant, tenant_id=tenant_id)
            known = select(Tenant.id).where(Tenant.id == tenant_id)
            if (await connection.execute(known)).first() is None:
                raise ConfigurationError("there is no such tenant")
        taken = select(User.id).where(User.email == account.email.lower())
        if (await connection.execute(taken)).first() is not None:
            raise ConfigurationError("there is an account with this address")
        await create_account(connection, account)


async def create_tenant(
    connection: AsyncConnection, name: str, *, tenant_id: str | None = None
) -> TenantId:
    """Insert a tenant within the caller's transaction and return its identifier."""
    identifier = TenantId(tenant_id or str(uuid.uuid4()))
    await connection.execute(insert(Tenant).values(id=identifier, name=name))
    return identifier


async def join_tenant(
    connection: AsyncConnection,
    user_id: UserId,
    tenant_id: TenantId,
    *,
    role: str,
    is_default: bool = False,
) -> None:
    """Make an account a member of a tenant, within the caller's transaction."""
    values = {
        "user_id": user_id,
        "tenant_id": tenant_id,
        "role": str(role),
        "is_default": is_default,
    }
    await connection.execute(insert(Membership).values(**values))
