"""Read and write passkeys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from stockade.authentication.models import Passkey
from stockade.core.identity import UserId
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import PasskeyRow
from stockade.storage.sql.moments import aware
from stockade.storage.sql.ways_in import remove_way_in

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncEngine

    from stockade.authentication.models import Removal

_COLUMNS: Final = tuple(PasskeyRow.__table__.columns)


class SQLPasskeyStore:
    """Passkeys in a SQL database.

    Args:
        engine: Engine without tenant isolation: passkeys belong to accounts, which stand above
            tenants.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # The two databases write this statement alike, and SQLAlchemy has one for each of them.
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def add(self, passkey: Passkey) -> bool:
        """Keep a new passkey; False where any account has one with its credential identifier.

        Raises:
            StoreError: The database is away.
        """
        values = {
            "id": passkey.passkey_id,
            "credential_id": passkey.credential_id,
            "user_id": passkey.user_id,
            "user_handle": passkey.user_handle,
            "public_key": passkey.public_key,
            "sign_count": passkey.sign_count,
            "backup_eligible": passkey.backup_eligible,
            "backed_up": passkey.backed_up,
            "transports": " ".join(sorted(passkey.transports)),
            "name": passkey.name,
            "created_at": passkey.created_at,
        }
        statement = (
            self._insert(PasskeyRow)
            .values(**values)
            .on_conflict_do_nothing(index_elements=[PasskeyRow.credential_id])
            .returning(PasskeyRow.id)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).first() is not None

    async def find(self, credential_id: str) -> Passkey | None:
        """Return the passkey with this credential identifier, or None.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(PasskeyRow.credential_id == credential_id)
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else _to_passkey(row)

    async def list_of(self, user_id: UserId) -> list[Passkey]:
        """Return the passkeys of an account, the oldest first.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(*_COLUMNS)
            .where(PasskeyRow.user_id == user_id)
            .order_by(PasskeyRow.created_at, PasskeyRow.id)
        )
        async with store_errors(), self._engine.connect() as connection:
            return [_to_passkey(row) for row in await connection.execute(statement)]

    async def use(
        self, passkey_id: str, *, sign_count: int, backed_up: bool, now: datetime
    ) -> bool:
        """Remember that a passkey has signed; False where its count is no higher than before.

        Raises:
            StoreError: The database is away.
        """
        # One that does not count says 0 each time.
        before = PasskeyRow.sign_count
        higher = before < sign_count if sign_count else before == 0
        statement = (
            update(PasskeyRow)
            .where(PasskeyRow.id == passkey_id, higher)
            .values(sign_count=sign_count, backed_up=backed_up, last_used_at=now)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def remove(
        self, user_id: UserId, passkey_id: str, *, issuers: Collection[str]
    ) -> Removal:
        """Forget a passkey of an account, unless it is the last way in.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(PasskeyRow).where(
            PasskeyRow.id == passkey_id, PasskeyRow.user_id == user_id
        )
        return await remove_way_in(self._engine, statement, user_id, issuers=issuers)


def _to_passkey(row: Row[*tuple[Any, ...]]) -> Passkey:
    return Passkey(
        passkey_id=row.id,
        credential_id=row.credential_id,
        user_id=UserId(row.user_id),
        user_handle=row.user_handle,
        public_key=row.public_key,
        sign_count=row.sign_count,
        backup_eligible=row.backup_eligible,
        backed_up=row.backed_up,
        transports=frozenset(row.transports.split()),
        name=row.name,
        created_at=aware(row.created_at),
        last_used_at=aware(row.last_used_at),
    )
