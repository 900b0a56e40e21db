"""Read and write second factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from stockade.authentication.totp import TOTPFactor, owner_of
from stockade.core.identity import UserId
from stockade.crypto.sealing import SealError
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import RecoveryCodeRow, TOTPRow
from stockade.storage.sql.moments import aware

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from stockade.crypto.sealing import Sealer

_AT_ONCE: Final = 500
_COLUMNS: Final = tuple(TOTPRow.__table__.columns)


class SQLFactorStore:
    """Second factors in a SQL database.

    Args:
        engine: Engine without tenant isolation: factors belong to accounts, which stand above
            tenants.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # The two databases write this statement alike, and SQLAlchemy has one for each of them.
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def find_totp(self, user_id: UserId) -> TOTPFactor | None:
        """Return the app of an account, whether it is confirmed or not, or None.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(TOTPRow.user_id == user_id)
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        return TOTPFactor(
            factor_id=row.id,
            user_id=UserId(row.user_id),
            sealed=row.sealed,
            created_at=aware(row.created_at),
            confirmed_at=aware(row.confirmed_at),
            last_step=row.last_step,
        )

    async def enrol_totp(self, factor: TOTPFactor) -> bool:
        """Keep an app that is not confirmed yet; False where there is a confirmed one.

        Raises:
            StoreError: The database is away.
        """
        values = {
            "id": factor.factor_id,
            "user_id": factor.user_id,
            "sealed": factor.sealed,
            "created_at": factor.created_at,
            "last_step": factor.last_step,
        }
        statement = (
            self._insert(TOTPRow)
            .values(**values)
            .on_conflict_do_update(
                index_elements=[TOTPRow.user_id],
                set_=values,
                where=TOTPRow.confirmed_at.is_(None),
            )
            .returning(TOTPRow.id)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).first() is not None

    async def confirm_totp(
        self, factor_id: str, *, step: int, now: datetime, codes: Sequence[str]
    ) -> bool:
        """Turn an app on and put recovery codes in the place of the account's.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(TOTPRow)
            .where(TOTPRow.id == factor_id, TOTPRow.confirmed_at.is_(None))
            .values(confirmed_at=now, last_step=step)
            .returning(TOTPRow.user_id)
        )
        async with store_errors(), self._engine.begin() as connection:
            user_id = (await connection.execute(statement)).scalar_one_or_none()
            if user_id is not None:
                await _replace_codes(connection, user_id, codes)
        return user_id is not None

    async def use_totp(self, factor_id: str, *, step: int, sealed: str) -> bool:
        """Take the code of a step, unless one of it or of a later one was taken.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(TOTPRow)
            .where(
                TOTPRow.id == factor_id,
                TOTPRow.confirmed_at.is_not(None),
                TOTPRow.last_step < step,
            )
            .values(last_step=step, sealed=sealed)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def remove_totp(self, factor_id: str) -> bool:
        """Forget an app; False where there is none.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(TOTPRow).where(TOTPRow.id == factor_id)
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def replace_codes(self, user_id: UserId, codes: Sequence[str]) -> None:
        """Put digests in the place of all that the account has.

        Raises:
            StoreError: The database is away.
        """
        async with store_errors(), self._engine.begin() as connection:
            await _replace_codes(connection, user_id, codes)

    async def use_code(self, user_id: UserId, digests: Sequence[str]) -> bool:
        """Take a code that has one of these digests.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(RecoveryCodeRow).where(
            RecoveryCodeRow.user_id == user_id, RecoveryCodeRow.digest.in_(digests)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def count_codes(self, user_id: UserId) -> int:
        """Return how many codes an account has left.

        Raises:
            StoreError: The database is away.
        """
        statement = select(func.count()).where(RecoveryCodeRow.user_id == user_id)
        async with store_errors(), self._engine.connect() as connection:
            return (await connection.execute(statement)).scalar_one()


async def _replace_codes(connection: AsyncConnection, user_id: str, codes: Sequence[str]) -> None:
    await connection.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))
    if codes:
        rows = [{"user_id": user_id, "digest": digest} for digest in codes]
        await connection.execute(insert(RecoveryCodeRow), rows)


async def reseal_totp(engine: AsyncEngine, sealer: Sealer) -> tuple[int, int]:
    """Seal the secrets of all apps with the newest key.

    It may run beside the application: a secret that was sealed anew meanwhile is left alone.

    Returns:
        How many were sealed, and how many no key of the ring opens.

    Raises:
        StoreError: The database is away.
    """
    resealed = lost = 0
    last = ""
    while True:
        page = (
            select(TOTPRow.id, TOTPRow.user_id, TOTPRow.sealed)
            .where(TOTPRow.id > last)
            .order_by(TOTPRow.id)
            .limit(_AT_ONCE)
        )
        async with store_errors(), engine.begin() as connection:
            rows = (await connection.execute(page)).all()
            for row in rows:
                try:
                    renewed = sealer.renew(row.sealed, owner=owner_of(row.id, UserId(row.user_id)))
                except SealError:
                    lost += 1
                    continue
                if renewed is not None:
                    resealed += await _reseal(connection, row.id, old=row.sealed, new=renewed)
        if not rows:
            return resealed, lost
        last = rows[-1].id


async def _reseal(connection: AsyncConnection, factor_id: str, *, old: str, new: str) -> int:
    statement = (
        update(TOTPRow).where(TOTPRow.id == factor_id, TOTPRow.sealed == old).values(sealed=new)
    )
    return (await connection.execute(statement)).rowcount
