"""Remember with which devices accounts were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from stockade.authentication.models import Sighting
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import KnownDeviceRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

    from stockade.core.identity import UserId


class SQLDeviceStore:
    """Devices in a SQL database.

    Args:
        engine: Engine without tenant isolation: devices belong to accounts, which stand above
            tenants.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # The two databases write this statement alike, and SQLAlchemy has one for each of them.
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def see(
        self, user_id: UserId, digests: Sequence[str], *, now: datetime, keep: int
    ) -> Sighting:
        """Remember a device, and say whether the account was seen with it before.

        Raises:
            StoreError: The database is away.
        """
        own = KnownDeviceRow.user_id == user_id
        known = select(KnownDeviceRow.digest).where(own).limit(keep)
        values = {"user_id": user_id, "digest": digests[0], "seen_at": now}
        remember = (
            self._insert(KnownDeviceRow)
            .values(**values)
            .on_conflict_do_update(
                index_elements=[KnownDeviceRow.user_id, KnownDeviceRow.digest],
                set_={"seen_at": now},
            )
        )
        kept = (
            select(KnownDeviceRow.digest)
            .where(own)
            .order_by(KnownDeviceRow.seen_at.desc(), KnownDeviceRow.digest)
            .limit(keep)
        )
        older = KnownDeviceRow.digest.in_(digests[1:]) | KnownDeviceRow.digest.not_in(kept)
        async with store_errors(), self._engine.begin() as connection:
            before = set((await connection.execute(known)).scalars())
            await connection.execute(remember)
            await connection.execute(delete(KnownDeviceRow).where(own, older))
        if before.isdisjoint(digests):
            return Sighting.NEW if before else Sighting.FIRST
        return Sighting.KNOWN
