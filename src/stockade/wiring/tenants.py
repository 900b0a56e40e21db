"""Put the services of tenants together, and find accounts as callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authorization.arrivals import Arrivals
from stockade.authorization.invitation_tokens import InvitationTokens
from stockade.authorization.invitations import Invitations
from stockade.authorization.services import TenantServices
from stockade.authorization.tenants import Tenants
from stockade.core.identity import Principal, TenantRole
from stockade.errors import ConfigurationError
from stockade.storage.memory.sessions import MemorySessionStore
from stockade.storage.sql.sessions import SQLSessionStore
from stockade.storage.switching import SessionSwitch

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.interfaces import AccountStore
    from stockade.authentication.tokens import AccessTokens
    from stockade.authorization.interfaces import InvitationPost, NewcomerPasswords
    from stockade.authorization.settings import AuthorizationSettings
    from stockade.core.clock import Clock
    from stockade.core.identity import TenantId
    from stockade.crypto import KeyRing
    from stockade.storage.sql.databases import Databases


class TenantWiring:
    """Makes the services of tenants when they are first needed.

    Args:
        databases: Where tenants live.
        tokens: Makes access tokens.
        keys: Secrets of the application.
        settings: Roles and invitations.
        post: Gives what sends invitations; None where nothing does.
        passwords: Gives what checks the first passwords of those who were invited; None where
            nobody makes an account this way.
        clock: Source of time.
    """

    def __init__(
        self,
        databases: Databases,
        *,
        tokens: AccessTokens,
        keys: KeyRing,
        settings: AuthorizationSettings,
        post: Callable[[], InvitationPost | None],
        passwords: Callable[[], NewcomerPasswords | None],
        clock: Clock,
    ) -> None:
        self._databases = databases
        self._tokens = tokens
        self._keys = keys
        self._settings = settings
        self._post = post
        self._passwords = passwords
        self._clock = clock
        self._services: TenantServices | None = None

    def require(self, accounts: AccountStore | None, sessions: object) -> TenantServices:
        """Return the services of tenants.

        Args:
            accounts: Where accounts live.
            sessions: Where sessions live.

        Raises:
            ConfigurationError: Accounts or sessions are elsewhere, a role is missing, or mails have
                something to go by and links in them lead nowhere.
        """
        if self._services is None:
            self._services = self._make(accounts, sessions)
        return self._services

    def _make(self, accounts: AccountStore | None, sessions: object) -> TenantServices:
        store, invitations = self._databases.tenants, self._databases.invitations
        own = self._databases.accounts
        if store is None or invitations is None or own is None or own is not accounts:
            message = (
                "tenants_router is for Stockade's own accounts: set STOCKADE_DATABASE_URL and leave"
                " accounts= out"
            )
            raise ConfigurationError(message)
        if not isinstance(sessions, SQLSessionStore | MemorySessionStore):
            message = "tenants_router is for Stockade's own sessions: leave sessions= out"
            raise ConfigurationError(message)
        missing = {str(TenantRole.OWNER), str(TenantRole.MEMBER)} - self._settings.roles.keys()
        if missing:
            message = (
                f"tenants_router needs the role {', '.join(sorted(missing))}: add it to"
                " STOCKADE_AUTHORIZATION__ROLES"
            )
            raise ConfigurationError(message)
        tenants = Tenants(store, self._settings)
        tokens = InvitationTokens(self._keys)
        return TenantServices(
            tenants=tenants,
            invitations=Invitations(
                invitations,
                tenants,
                store,
                tokens=tokens,
                post=self._post(),
                settings=self._settings,
                clock=self._clock,
            ),
            arrivals=Arrivals(
                invitations,
                store,
                tokens=tokens,
                passwords=self._passwords(),
                settings=self._settings,
                clock=self._clock,
            ),
            switch=SessionSwitch(own, sessions, self._tokens, clock=self._clock),
        )


async def find_principal(
    accounts: AccountStore,
    email: str,
    tenant_id: TenantId | None,
    *,
    permissions_of: Callable[[frozenset[str]], frozenset[str]],
    clock: Clock,
) -> Principal | None:
    """Return an account as a caller, with the roles that it has now; it signs nobody in.

    Args:
        accounts: Where accounts live.
        email: Address of the account.
        tenant_id: Its active tenant; its default one unless given.
        permissions_of: Permissions that follow from roles.
        clock: Source of time; the sign-in counts as having just happened.

    Returns:
        The caller; None where there is no such account, it may not act, or is no member.

    Raises:
        StoreError: The accounts are away.
    """
    account = await accounts.find_by_email(email.lower())
    if account is not None and tenant_id is not None:
        account = await accounts.find_by_id(account.user_id, tenant_id)
    if account is None or not account.active or tenant_id not in {None, account.tenant_id}:
        return None
    return Principal(
        user_id=account.user_id,
        email=account.email,
        user_type=account.user_type,
        tenant_id=account.tenant_id,
        roles=account.roles,
        permissions=permissions_of(account.roles),
        authenticated_at=clock.now(),
    )
