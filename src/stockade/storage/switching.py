"""Make another tenant the active one of a session, and issue the token that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from stockade.authorization.models import Switched
from stockade.core.identity import AuthenticationMethod
from stockade.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.authentication.interfaces import AccountStore
    from stockade.authentication.models import StoredSession
    from stockade.authentication.tokens import AccessTokens
    from stockade.core.clock import Clock
    from stockade.core.identity import Principal, TenantId, UserId


class SwitchableSessions(Protocol):
    """Sessions whose active tenant can change."""

    async def find(self, session_id: str) -> StoredSession | None:
        """Return a session with what is known of its refresh tokens, or None.

        Raises:
            StoreError: The store is away.
        """

    async def set_tenant(
        self, session_id: str, user_id: UserId, tenant_id: TenantId, *, now: datetime
    ) -> bool:
        """Make a tenant the active one of an account's living session; False without one.

        Raises:
            StoreError: The store is away.
        """


class SessionSwitch:
    """Switches between the tenants of an account.

    Args:
        accounts: Says which tenants an account is a member of.
        sessions: Where sessions live.
        tokens: Makes access tokens.
        clock: Source of time.
    """

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SwitchableSessions,
        tokens: AccessTokens,
        *,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._tokens = tokens
        self._clock = clock

    async def switch(self, principal: Principal, tenant_id: TenantId) -> Switched:
        """Make a tenant the active one of the caller's session.

        The age of the sign-in stays what it was: a switch is no proof of who somebody is.

        Args:
            principal: The caller.
            tenant_id: The tenant; untrusted.

        Raises:
            NotFoundError: The caller is no member of it, or there is no such tenant.
            ForbiddenError: The caller has no session: a program, or a token of another issuer.
            StoreError: A store is away.
        """
        session_id = principal.session_id
        if session_id is None or principal.method is AuthenticationMethod.API_KEY:
            raise ForbiddenError(reason="authorization.no_session")
        account = await self._accounts.find_by_id(principal.user_id, tenant_id)
        if account is None or not account.active or account.tenant_id != tenant_id:
            raise NotFoundError(reason="authorization.not_a_member")
        stored = await self._sessions.find(session_id)
        if stored is None or stored.session.token_epoch != account.token_epoch:
            raise ForbiddenError(reason="authorization.no_session")
        now = self._clock.now()
        if not await self._sessions.set_tenant(session_id, principal.user_id, tenant_id, now=now):
            raise ForbiddenError(reason="authorization.no_session")
        if principal.method is AuthenticationMethod.COOKIE:
            return Switched(None, None)
        session = replace(stored.session, tenant_id=tenant_id)
        issued = self._tokens.issue(account, session=session)
        return Switched(issued.value, issued.expires_in)
