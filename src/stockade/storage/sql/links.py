"""Read and write one-time links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from stockade.authentication.models import StoredLink
from stockade.core.identity import UserId
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import LinkRow
from stockade.storage.sql.moments import aware

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

_COLUMNS = tuple(LinkRow.__table__.columns)


class SQLLinkStore:
    """One-time links in a SQL database.

    Args:
        engine: Engine without tenant isolation: links belong to accounts, which stand above
            tenants.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, link: StoredLink, *, digest: str, now: datetime) -> None:
        """Keep a link in the place of the one before it, and forget those that are over.

        Raises:
            StoreError: The database is away.
        """
        place = {"purpose": link.purpose, "subject": link.subject}
        rest = {
            "email": link.email,
            "user_id": link.user_id,
            "digest": digest,
            "state": link.state,
            "created_at": link.created_at,
            "expires_at": link.expires_at,
        }
        is_postgresql = self._engine.dialect.name == "postgresql"
        insert = postgresql.insert if is_postgresql else sqlite.insert
        # One statement: of two that are made at once, one takes the place of the other.
        statement = (
            insert(LinkRow)
            .values(**place, **rest)
            .on_conflict_do_update(index_elements=list(place), set_=rest)
        )
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(statement)
        over = delete(LinkRow).where(LinkRow.expires_at <= now)
        # Apart from the first: rows that others lock at this moment are theirs to forget.
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(over)

    async def find(self, digests: Sequence[str], *, now: datetime) -> StoredLink | None:
        """Return the link with one of these digests, unless it is over.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(LinkRow.digest.in_(digests), LinkRow.expires_at > now)
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        return StoredLink(
            purpose=row.purpose,
            email=row.email,
            user_id=None if row.user_id is None else UserId(row.user_id),
            state=row.state,
            created_at=aware(row.created_at),
            expires_at=aware(row.expires_at),
        )

    async def take(self, digests: Sequence[str], *, now: datetime) -> bool:
        """Forget the link with one of these digests, in one statement.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(LinkRow).where(LinkRow.digest.in_(digests), LinkRow.expires_at > now)
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1
