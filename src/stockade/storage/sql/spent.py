"""Remember what works once and has been used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite

from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import SpentRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine


class SQLSpentStore:
    """What has been used up, in a SQL database.

    Args:
        engine: Engine without tenant isolation.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # The two databases write this statement alike, and SQLAlchemy has one for each of them.
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def spend(self, digest: str, *, now: datetime, until: datetime) -> bool:
        """Use something up, in one statement; of any number of calls one gets True.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            self._insert(SpentRow)
            .values(digest=digest, expires_at=until)
            .on_conflict_do_update(
                index_elements=[SpentRow.digest],
                set_={"expires_at": until},
                where=SpentRow.expires_at <= now,
            )
            .returning(SpentRow.digest)
        )
        async with store_errors(), self._engine.begin() as connection:
            fresh = (await connection.execute(statement)).first() is not None
        over = delete(SpentRow).where(SpentRow.expires_at <= now)
        # Apart from the first: rows that others lock at this moment are theirs to forget.
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(over)
        return fresh
