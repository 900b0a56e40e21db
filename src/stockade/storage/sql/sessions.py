"""Read and write sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from stockade.authentication.models import Session, StoredSession
from stockade.core.identity import TenantId, UserId
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import SessionRow
from stockade.storage.sql.moments import aware

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncEngine

    from stockade.authentication.models import RefreshUse

_TABLE = SessionRow.__table__
_COLUMNS = tuple(_TABLE.columns)


class SQLSessionStore:
    """Sessions in a SQL database.

    Args:
        engine: Engine without tenant isolation: sessions belong to accounts, which stand above
            tenants.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, session: Session, *, digest: str, keep: int) -> None:
        """Keep a new session, and forget the oldest ones of its account beyond `keep`.

        Raises:
            StoreError: The database is away.
        """
        values = {
            "id": session.session_id,
            "user_id": session.user_id,
            "tenant_id": session.tenant_id,
            "token_epoch": session.token_epoch,
            "created_at": session.created_at,
            "authenticated_at": session.authenticated_at,
            "last_used_at": session.last_used_at,
            "expires_at": session.expires_at,
            "device": session.device,
            "address": session.address,
            "digest": digest,
            "factors": " ".join(sorted(session.factors)),
        }
        kept = (
            select(SessionRow.id)
            .where(SessionRow.user_id == session.user_id)
            .order_by(SessionRow.created_at.desc(), SessionRow.id)
            .limit(keep)
        )
        beyond = delete(SessionRow).where(
            SessionRow.user_id == session.user_id,
            SessionRow.id != session.session_id,
            SessionRow.id.not_in(kept),
        )
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(insert(SessionRow).values(**values))
            await connection.execute(beyond)

    async def find(self, session_id: str) -> StoredSession | None:
        """Return a session with what is known of its refresh tokens, or None.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(SessionRow.id == session_id)
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        return StoredSession(
            session=_to_session(row),
            digest=row.digest,
            previous=row.previous_digest,
            rotated_at=aware(row.rotated_at),
        )

    async def list_active(self, user_id: UserId, *, now: datetime) -> list[Session]:
        """Return the sessions of an account that are neither revoked nor past their end.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(
            SessionRow.user_id == user_id,
            SessionRow.revoked_at.is_(None),
            SessionRow.expires_at > now,
        )
        async with store_errors(), self._engine.connect() as connection:
            return [_to_session(row) for row in await connection.execute(statement)]

    async def rotate(
        self, use: RefreshUse, *, now: datetime, used_since: datetime
    ) -> Session | None:
        """Put the successor in the place of the current refresh token, in one statement.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(SessionRow)
            .where(
                SessionRow.id == use.session_id,
                SessionRow.digest.in_(use.presented),
                SessionRow.revoked_at.is_(None),
                SessionRow.expires_at > now,
                SessionRow.last_used_at > used_since,
            )
            .values(
                previous_digest=SessionRow.digest,
                digest=use.successor,
                rotated_at=now,
                last_used_at=now,
                device=use.device,
                address=use.address,
            )
            .returning(*_COLUMNS)
        )
        async with store_errors(), self._engine.begin() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else _to_session(row)

    async def set_tenant(
        self, session_id: str, user_id: UserId, tenant_id: TenantId, *, now: datetime
    ) -> bool:
        """Make a tenant the active one of an account's living session; False without one.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(SessionRow)
            .where(
                SessionRow.id == session_id,
                SessionRow.user_id == user_id,
                SessionRow.revoked_at.is_(None),
                SessionRow.expires_at > now,
            )
            .values(tenant_id=tenant_id)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def touch(self, session_id: str, *, now: datetime) -> None:
        """Remember that a session was used.

        Raises:
            StoreError: The database is away.
        """
        statement = update(SessionRow).where(SessionRow.id == session_id)
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(statement.values(last_used_at=now))

    async def revoke(self, session_id: str, *, now: datetime) -> bool:
        """End a session; False where it had ended already or never was.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(SessionRow)
            .where(SessionRow.id == session_id, SessionRow.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def revoke_all(
        self, user_id: UserId, *, now: datetime, except_for: str | None = None
    ) -> int:
        """End all sessions of an account but one, and return how many that were.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(SessionRow)
            .where(
                SessionRow.user_id == user_id,
                SessionRow.revoked_at.is_(None),
                SessionRow.id != (except_for or ""),
            )
            .values(revoked_at=now)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount


def _to_session(row: Row[*tuple[Any, ...]]) -> Session:
    return Session(
        session_id=row.id,
        user_id=UserId(row.user_id),
        tenant_id=None if row.tenant_id is None else TenantId(row.tenant_id),
        token_epoch=row.token_epoch,
        created_at=aware(row.created_at),
        authenticated_at=aware(row.authenticated_at),
        last_used_at=aware(row.last_used_at),
        expires_at=aware(row.expires_at),
        revoked_at=aware(row.revoked_at),
        device=row.device,
        address=row.address,
        factors=frozenset(row.factors.split()),
    )
