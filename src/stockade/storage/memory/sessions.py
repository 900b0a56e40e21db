"""Keep sessions in memory, for tests and for a single process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stockade.authentication.models import StoredSession

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.authentication.models import RefreshUse, Session
    from stockade.core.identity import TenantId, UserId


class MemorySessionStore:
    """Sessions in a dictionary.

    No method waits for anything while it changes a session, so that each is atomic.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, StoredSession] = {}

    async def add(self, session: Session, *, digest: str, keep: int) -> None:
        """Keep a new session, and forget the oldest ones of its account beyond `keep`."""
        self._sessions[session.session_id] = StoredSession(session=session, digest=digest)
        # In the order in which they were added.
        own = [
            identifier
            for identifier, each in self._sessions.items()
            if each.session.user_id == session.user_id
        ]
        for identifier in own[:-keep]:
            del self._sessions[identifier]

    async def find(self, session_id: str) -> StoredSession | None:
        """Return a session with what is known of its refresh tokens, or None."""
        return self._sessions.get(session_id)

    async def list_active(self, user_id: UserId, *, now: datetime) -> list[Session]:
        """Return the sessions of an account that are neither revoked nor past their end."""
        return [
            each.session
            for each in self._sessions.values()
            if each.session.user_id == user_id and _is_active(each.session, now)
        ]

    async def rotate(
        self, use: RefreshUse, *, now: datetime, used_since: datetime
    ) -> Session | None:
        """Put the successor in the place of the current refresh token."""
        stored = self._sessions.get(use.session_id)
        if stored is None or stored.digest not in use.presented:
            return None
        session = stored.session
        if not _is_active(session, now) or session.last_used_at <= used_since:
            return None
        session = replace(session, last_used_at=now, device=use.device, address=use.address)
        self._sessions[use.session_id] = StoredSession(
            session=session, digest=use.successor, previous=stored.digest, rotated_at=now
        )
        return session

    async def set_tenant(
        self, session_id: str, user_id: UserId, tenant_id: TenantId, *, now: datetime
    ) -> bool:
        """Make a tenant the active one of an account's living session; False without one."""
        stored = self._sessions.get(session_id)
        if stored is None or stored.session.user_id != user_id:
            return False
        if not _is_active(stored.session, now):
            return False
        session = replace(stored.session, tenant_id=tenant_id)
        self._sessions[session_id] = replace(stored, session=session)
        return True

    async def touch(self, session_id: str, *, now: datetime) -> None:
        """Remember that a session was used."""
        stored = self._sessions.get(session_id)
        if stored is not None:
            session = replace(stored.session, last_used_at=now)
            self._sessions[session_id] = replace(stored, session=session)

    async def revoke(self, session_id: str, *, now: datetime) -> bool:
        """End a session; False where it had ended already or never was."""
        stored = self._sessions.get(session_id)
        if stored is None or stored.session.revoked_at is not None:
            return False
        self._sessions[session_id] = replace(
            stored, session=replace(stored.session, revoked_at=now)
        )
        return True

    async def revoke_all(
        self, user_id: UserId, *, now: datetime, except_for: str | None = None
    ) -> int:
        """End all sessions of an account but one, and return how many that were."""
        ended = 0
        for identifier, each in list(self._sessions.items()):
            if each.session.user_id == user_id and identifier != except_for:
                ended += await self.revoke(identifier, now=now)
        return ended


def _is_active(session: Session, now: datetime) -> bool:
    return session.revoked_at is None and now < session.expires_at
