"""Read and write identities at providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from stockade.authentication.models import Identity, NewAccount
from stockade.core.identity import UserId
from stockade.storage.sql.accounts import create_account, join_tenant
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import IdentityRow
from stockade.storage.sql.moments import aware
from stockade.storage.sql.ways_in import remove_way_in

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from stockade.authentication.models import Placement, Removal

_COLUMNS = tuple(IdentityRow.__table__.columns)


class SQLIdentityStore:
    """Identities at providers in a SQL database.

    Args:
        engine: Engine without tenant isolation: identities belong to accounts, which stand above
            tenants.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, issuer: str, subject: str) -> Identity | None:
        """Return the identity that a provider knows by this name, or None.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(
            IdentityRow.issuer == issuer, IdentityRow.subject == subject
        )
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else _to_identity(row)

    async def list_of(self, user_id: UserId) -> list[Identity]:
        """Return the identities of an account, the oldest first.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(*_COLUMNS)
            .where(IdentityRow.user_id == user_id)
            .order_by(IdentityRow.linked_at, IdentityRow.id)
        )
        async with store_errors(), self._engine.connect() as connection:
            return [_to_identity(row) for row in await connection.execute(statement)]

    async def add(self, identity: Identity) -> bool:
        """Link an identity to its account; False where it is linked already.

        Raises:
            StoreError: The database is away.
        """
        async with store_errors():
            try:
                async with self._engine.begin() as connection:
                    await _insert(connection, identity)
            except IntegrityError:
                if await self.find(identity.issuer, identity.subject) is None:
                    # It was something else, such as an account that has gone.
                    raise
                return False
        return True

    async def register(
        self, identity: Identity, *, email: str, placement: Placement | None
    ) -> bool:
        """Make an account without a password and link an identity to it, in one transaction.

        Raises:
            StoreError: The database is away, or the tenant does not exist.
        """
        account = NewAccount(email=email, password_hash="", user_id=identity.user_id)
        async with store_errors(), self._engine.connect() as connection:
            try:
                await create_account(connection, account)
                await _insert(connection, identity)
            except IntegrityError:
                return False
            if placement is not None:
                await join_tenant(
                    connection,
                    account.user_id,
                    placement.tenant_id,
                    role=placement.role,
                    is_default=True,
                )
            await connection.commit()
        return True

    async def remove(
        self, user_id: UserId, identity_id: str, *, issuers: Collection[str]
    ) -> Removal:
        """Take an identity off its account, unless it is the last way in.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(IdentityRow).where(
            IdentityRow.id == identity_id, IdentityRow.user_id == user_id
        )
        return await remove_way_in(self._engine, statement, user_id, issuers=issuers)

    async def remove_all(self, user_id: UserId) -> int:
        """Take every identity off an account, and return how many that were.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(IdentityRow).where(IdentityRow.user_id == user_id)
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    async def touch(self, identity_id: str, *, now: datetime) -> None:
        """Remember that somebody has signed in with an identity.

        Raises:
            StoreError: The database is away.
        """
        statement = update(IdentityRow).where(IdentityRow.id == identity_id)
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(statement.values(last_used_at=now))


async def _insert(connection: AsyncConnection, identity: Identity) -> None:
    values = {
        "id": identity.identity_id,
        "user_id": identity.user_id,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "linked_at": identity.linked_at,
        "last_used_at": identity.last_used_at,
    }
    await connection.execute(insert(IdentityRow).values(**values))


def _to_identity(row: Row[*tuple[Any, ...]]) -> Identity:
    return Identity(
        identity_id=row.id,
        user_id=UserId(row.user_id),
        issuer=row.issuer,
        subject=row.subject,
        linked_at=aware(row.linked_at),
        last_used_at=aware(row.last_used_at),
    )
