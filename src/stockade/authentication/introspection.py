"""Tell a service whether a token holds now, and whom it stands for.

A program learns of tokens that are its business alone: a service of a tenant of those in which this
tenant is active, the program of an account of those of this account, in the same tenant. About all
others it learns nothing, not even by the time that the answer takes, whether they still hold.

Nothing is believed from before: what was revoked a moment ago is not active.

Source: RFC 7662, sections 2.2 and 4; RFC 9470, section 6.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stockade.authentication.authenticator import IdentityCache, check_account, check_backing
from stockade.authentication.credentials import SERVICE_PREFIX
from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.refresh_tokens import PREFIX
from stockade.core.identity import SECOND_FACTORS, AuthenticationMethod, UserType
from stockade.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from stockade.authentication.interfaces import AccountStore, SessionStore
    from stockade.authentication.models import Account
    from stockade.authentication.sessions import Sessions
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.tokens import AccessTokens
    from stockade.core.clock import Clock
    from stockade.core.identity import Principal, TenantId, UserId

REFRESH_HINT: Final = "refresh_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveToken:
    """A token that holds, for a service that may know of it.

    Args:
        account: Whom it stands for, as the store knows it now.
        tenant_id: Tenant that is active in it.
        permissions: What it may do, as far as it is an access token.
        expires_at: Seconds since 1970 at which it ends at the latest.
        authenticated_at: When its account last gave its password or factor.
        session_id: Its session, if any.
        token_id: Its identifier (``jti``); None for a refresh token.
        factors: What its account has proved itself with.
    """

    account: Account
    tenant_id: TenantId | None
    permissions: frozenset[str]
    expires_at: int
    authenticated_at: datetime
    session_id: str | None
    token_id: str | None
    factors: frozenset[str] = frozenset()


class Introspector:
    """Look at tokens for services.

    Args:
        accounts: Says what an account may do now.
        store: Says whether the session of an access token goes on.
        access: Verifies access tokens.
        sessions: Knows refresh tokens.
        permissions_of: Permissions that follow from roles.
        settings: Sizes.
        clock: Source of time.
        factor_required_for: Roles that need a second factor.
    """

    def __init__(
        self,
        accounts: AccountStore,
        store: SessionStore,
        *,
        access: AccessTokens,
        sessions: Sessions,
        permissions_of: Callable[[frozenset[str]], frozenset[str]],
        settings: AuthenticationSettings,
        clock: Clock,
        factor_required_for: frozenset[str] = frozenset(),
    ) -> None:
        self._factor_required_for = factor_required_for
        # The same questions as at the gate, asked each time.
        unbelieving = settings.model_copy(update={"identity_cache_lifetime": 0})
        self._identities = IdentityCache(accounts, store, settings=unbelieving, clock=clock)
        self._accounts = accounts
        self._access = access
        self._sessions = sessions
        self._permissions_of = permissions_of

    async def look_at(self, caller: Principal, value: str, *, hint: str | None) -> ActiveToken:
        """Return what a token stands for.

        A refresh token is looked at only where the service says that it means one: a service that
        goes by ``active`` alone would else take it for an access token.

        Args:
            caller: The service.
            value: The token; untrusted.
            hint: Value of ``token_type_hint``; untrusted.

        Raises:
            ForbiddenError: The caller is no program.
            InvalidTokenError: The token does not hold, or is not the caller's business.
            StoreError: A store is away.
        """
        if caller.method is not AuthenticationMethod.API_KEY:
            raise ForbiddenError(reason="authentication.program_needed")
        if not value.startswith(PREFIX):
            return await self._look_at_access(caller, value)
        if hint != REFRESH_HINT:
            raise InvalidTokenError(reason="authentication.introspection_unasked")
        return await self._look_at_refresh(caller, value)

    async def _look_at_access(self, caller: Principal, value: str) -> ActiveToken:
        token = self._access.verify(value)
        require_business(caller, user_id=token.user_id, tenant_id=token.tenant_id)
        account, _ = await self._identities.load(token)
        check_backing(token, account)
        held = account.roles
        if account.user_type is UserType.SUPER_ADMIN:
            held |= {UserType.SUPER_ADMIN}
        if self._factor_required_for & held and SECOND_FACTORS.isdisjoint(token.factors):
            # The gate lets it do nothing but give the factor, and a service is to do no more.
            raise InvalidTokenError(reason="authentication.introspection_factor")
        return ActiveToken(
            account=account,
            tenant_id=token.tenant_id,
            permissions=self._permissions_of(account.roles),
            expires_at=token.expires_at,
            authenticated_at=token.authenticated_at,
            session_id=token.session_id,
            token_id=token.token_id,
            factors=token.factors,
        )

    async def _look_at_refresh(self, caller: Principal, value: str) -> ActiveToken:
        session, ends = await self._sessions.find_by_token(value)
        require_business(caller, user_id=session.user_id, tenant_id=session.tenant_id)
        account = await self._accounts.find_by_id(session.user_id, session.tenant_id)
        if account is None:
            raise InvalidTokenError(reason="authentication.account_gone")
        check_account(account, epoch=session.token_epoch, tenant_id=session.tenant_id)
        return ActiveToken(
            account=account,
            tenant_id=session.tenant_id,
            permissions=frozenset(),
            expires_at=int(ends.timestamp()),
            authenticated_at=session.authenticated_at,
            session_id=session.session_id,
            token_id=None,
        )


def require_business(caller: Principal, *, user_id: UserId, tenant_id: TenantId | None) -> None:
    """Refuse a token that is not the caller's business.

    Args:
        caller: A program.
        user_id: Whose the token is.
        tenant_id: The tenant that is active in it.

    Raises:
        InvalidTokenError: It is another tenant's, or another account's.
    """
    of_tenant = tenant_id is not None and caller.user_id.startswith(SERVICE_PREFIX)
    if caller.tenant_id != tenant_id or not (of_tenant or caller.user_id == user_id):
        raise InvalidTokenError(reason="authentication.introspection_foreign")
