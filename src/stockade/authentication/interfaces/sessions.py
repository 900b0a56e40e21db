"""Say what a store of sessions does, and of the devices that accounts were seen with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.authentication.models import RefreshUse, Session, Sighting, StoredSession
    from stockade.core.identity import UserId


class SessionStore(Protocol):
    """Where sessions live, each with the digests of its last two refresh tokens."""

    async def add(self, session: Session, *, digest: str, keep: int) -> None:
        """Keep a new session, and forget the oldest ones of its account beyond `keep`.

        Args:
            session: The session.
            digest: Digest of its first refresh token.
            keep: Most sessions of one account, this one among them.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, session_id: str) -> StoredSession | None:
        """Return a session with what is known of its refresh tokens, or None.

        Raises:
            StoreError: The store is away.
        """

    async def list_active(self, user_id: UserId, *, now: datetime) -> list[Session]:
        """Return the sessions of an account that are neither revoked nor past their end.

        Raises:
            StoreError: The store is away.
        """

    async def rotate(
        self, use: RefreshUse, *, now: datetime, used_since: datetime
    ) -> Session | None:
        """Put the successor in the place of the current refresh token, in one atomic step.

        Of any number of calls with the same token exactly one gets the session.

        Args:
            use: Which token is exchanged for which.
            now: The session must not have ended by then.
            used_since: The session must not have been idle since.

        Returns:
            The session as it is now; None where the token is not the current one, or the session
            is revoked, over or idle.

        Raises:
            StoreError: The store is away.
        """

    async def touch(self, session_id: str, *, now: datetime) -> None:
        """Remember that a session was used.

        Raises:
            StoreError: The store is away.
        """

    async def revoke(self, session_id: str, *, now: datetime) -> bool:
        """End a session; False where it had ended already or never was.

        Raises:
            StoreError: The store is away.
        """

    async def revoke_all(
        self, user_id: UserId, *, now: datetime, except_for: str | None = None
    ) -> int:
        """End all sessions of an account but one, and return how many that were.

        Raises:
            StoreError: The store is away.
        """


class DeviceStore(Protocol):
    """Where it is remembered with which devices an account was seen."""

    async def see(
        self, user_id: UserId, digests: Sequence[str], *, now: datetime, keep: int
    ) -> Sighting:
        """Remember a device, and say whether the account was seen with it before.

        Args:
            user_id: The account.
            digests: Digests of the device, one for each key; the first one is kept.
            now: The time.
            keep: Most devices of one account; the one that was not seen for longest gives way.

        Raises:
            StoreError: The store is away.
        """
