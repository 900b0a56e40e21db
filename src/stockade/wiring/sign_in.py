"""Wire everything that says who calls: accounts, sessions, tokens, keys, factors, providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stockade.authentication import (
    AccessTokens,
    BearerAuthenticator,
    HashingPool,
    PasswordSignIn,
)
from stockade.authentication.api_clients import APIClients
from stockade.authentication.api_keys import APIKeys
from stockade.authentication.browsers import CookieAuthenticator, CrossSiteGuard
from stockade.authentication.credentials import APIKeyAuthenticator, RequestAuthenticator
from stockade.authentication.devices import DeviceWatch
from stockade.authentication.discovery import HTTPReader
from stockade.authentication.enrolled import EnrolledFactors
from stockade.authentication.factors import make_second_factors
from stockade.authentication.hashers import choose_hasher
from stockade.authentication.interfaces import LeakedKeyStore
from stockade.authentication.introspection import Introspector
from stockade.authentication.leaked_keys import LeakedKeys, LeakReporters
from stockade.authentication.outside_issuers import OutsideAuthenticator, make_outside_issuers
from stockade.authentication.passkeys import Passkeys, make_passkeys
from stockade.authentication.pending import FactorCheck, PendingSignIns
from stockade.authentication.provider_wiring import make_provider_sign_in
from stockade.authentication.providers import make_providers
from stockade.authentication.refresh_tokens import COOKIE_PREFIX, RefreshTokens
from stockade.authentication.routes import make_auth_router
from stockade.authentication.routes_accounts import make_account_router
from stockade.authentication.routes_api_keys import make_api_keys_router
from stockade.authentication.routes_factor_sessions import FactorServices
from stockade.authentication.routes_factors import make_factors_router
from stockade.authentication.routes_introspection import make_introspection_router
from stockade.authentication.routes_invitations import make_invitation_router
from stockade.authentication.routes_keys import make_keys_router
from stockade.authentication.routes_leaked_keys import make_leaked_keys_router
from stockade.authentication.routes_passkeys import make_passkeys_router
from stockade.authentication.routes_passwords import make_password_router
from stockade.authentication.routes_providers import make_oidc_router
from stockade.authentication.routes_registration import make_registration_router
from stockade.authentication.routes_sessions import SignInServices
from stockade.authentication.sessions import Sessions
from stockade.authentication.throttle import SignInThrottle
from stockade.errors import ConfigurationError, NotFoundError
from stockade.gate.dependencies import public
from stockade.storage.limits import LimitedAttempts
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.api_clients import MemoryAPIClientStore
from stockade.storage.memory.devices import MemoryDeviceStore
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.memory.identities import MemoryIdentityStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.memory.sessions import MemorySessionStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import APIRouter

    from stockade.authentication import Account, AccountStore
    from stockade.authentication.account_services import AccountServices
    from stockade.authentication.identities import NewcomerPolicy
    from stockade.authentication.interfaces import (
        APIClientStore,
        DeviceStore,
        FactorStore,
        PasskeyStore,
        ProviderStore,
        SessionStore,
    )
    from stockade.authentication.models import Session
    from stockade.authentication.outside_issuers import OutsideIssuer
    from stockade.authentication.provider_sign_in import ProviderSignIn
    from stockade.authentication.providers import Provider
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing
    from stockade.events import EventLog
    from stockade.gate.tree import Tree
    from stockade.rate_limiting.interfaces import LimitStore
    from stockade.settings import Settings
    from stockade.storage.sql.databases import Databases
    from stockade.wiring.accounts import AccountWiring

_IN_MEMORY: Final = (
    MemorySessionStore,
    MemoryAPIClientStore,
    MemoryFactorStore,
    MemoryPasskeyStore,
    MemoryIdentityStore,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInStores:
    """Where everything about callers lives; what is None is beside the accounts.

    Args:
        accounts: Accounts.
        sessions: Sessions.
        api_clients: Programs and their keys.
        identities: Who is who at a provider.
        factors: Second factors.
        passkeys: Passkeys.
        devices: Devices that accounts were seen with.
    """

    accounts: AccountStore | None
    sessions: SessionStore | None
    api_clients: APIClientStore | None
    identities: ProviderStore | None
    factors: FactorStore | None
    passkeys: PasskeyStore | None
    devices: DeviceStore | None


class SignInWiring:
    """What authenticates callers and signs them in, with the routes of it.

    Args:
        settings: Settings of all layers.
        keys: Secrets of the application.
        stores: Stores that the application brings.
        databases: Stockade's own stores.
        post: What accounts do by themselves, and their mails.
        attempts: Counts attempts to sign in; None where limits are off.
        permissions_of: Permissions that follow from roles.
        newcomers: Says where accounts belong that people get by a provider.
        on_new_device: Told of sign-ins from new devices.
        events: Where every refusal is recorded.
        clock: Source of time.

    Raises:
        ConfigurationError: The settings can't be in force as they are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        keys: KeyRing,
        stores: SignInStores,
        databases: Databases,
        post: AccountWiring,
        attempts: LimitStore | None,
        permissions_of: Callable[[frozenset[str]], frozenset[str]],
        newcomers: NewcomerPolicy | None,
        on_new_device: Callable[[Account, Session], None] | None,
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._post = post
        self._attempts = attempts
        self._grant = permissions_of
        self._newcomers = newcomers
        self._events = events
        self._clock = clock
        self.accounts = stores.accounts or databases.accounts
        own = databases if stores.accounts is None else None
        self.sessions = stores.sessions or (own and own.sessions) or MemorySessionStore()
        self.api_clients = stores.api_clients or (own and own.api_clients) or MemoryAPIClientStore()
        self._identities = stores.identities or (own and own.identities) or _beside(self.accounts)
        self._factors: FactorStore = stores.factors or (own and own.factors) or MemoryFactorStore()
        self._passkeys: PasskeyStore = (
            stores.passkeys or (own and own.passkeys) or MemoryPasskeyStore()
        )
        self._devices = DeviceWatch(
            stores.devices or (own and own.devices) or MemoryDeviceStore(),
            keys=keys,
            events=events,
            clock=clock,
            notify=on_new_device or self._tell_of_device,
        )
        self._enrolled = EnrolledFactors(self._factors, self._passkeys)
        self._pending = PendingSignIns(keys, clock)
        self.api_keys = APIKeys(keys)
        self.tokens = AccessTokens(keys, settings.authentication, clock=clock)
        self._outside = self._make_outside_issuers()
        self._providers = self._make_providers()
        self._pool = HashingPool(
            threads=settings.authentication.hashing_threads,
            queue=settings.authentication.hashing_queue,
        )
        self._hasher = choose_hasher(settings.authentication)
        self._services: SignInServices | None = None
        self._provider_sign_in: ProviderSignIn | None = None
        self._cookies = RefreshTokens(keys, prefix=COOKIE_PREFIX)
        self.cross_site = self._make_cross_site_guard()
        self._make_routers()

    def _make_routers(self) -> None:
        self.auth_router: APIRouter = make_auth_router(
            self.require_services,
            open_policy=public("whoever signs in is not signed in yet"),
            events=self._events,
            guard=self.cross_site,
        )
        self.password_router: APIRouter = make_password_router(
            self._require_account_services,
            open_policy=public("whoever has lost the password can't sign in"),
        )
        self.registration_router: APIRouter = make_registration_router(
            self._require_account_services,
            open_policy=public("whoever registers has no account yet"),
        )
        self.account_router: APIRouter = make_account_router(
            self._require_account_services,
            open_policy=public("a link in a mail is enough"),
        )
        self.invitation_router: APIRouter = make_invitation_router(
            self._require_account_services,
            open_policy=public("whoever is invited may have no account yet"),
        )
        self.leaked_keys_router: APIRouter = make_leaked_keys_router(
            self._require_leaked_keys,
            reporters=LeakReporters(self._settings.authentication.leak_reporter_keys),
            open_policy=public("a report of leaked keys is believed by its signature"),
            events=self._events,
        )
        self.introspection_router: APIRouter = make_introspection_router(
            self._require_introspector, settings=self._settings.authentication, events=self._events
        )
        self.keys_router: APIRouter = make_keys_router(
            self.tokens.keys, open_policy=public("public keys are for everybody")
        )
        self.factors_router: APIRouter = make_factors_router(
            self.require_factors,
            open_policy=public("whoever gives a second factor is not signed in yet"),
            events=self._events,
            guard=self.cross_site,
        )
        self.passkeys_router: APIRouter = make_passkeys_router(
            self.require_factors,
            self._require_passkeys,
            open_policy=public("whoever signs in with a passkey is not signed in yet"),
            events=self._events,
            guard=self.cross_site,
        )
        self.api_keys_router: APIRouter = make_api_keys_router(
            self._require_api_clients, events=self._events
        )
        self.oidc_router: APIRouter = make_oidc_router(
            self._require_provider_sign_in,
            lambda: self.require_services().sessions,
            open_policy=public("whoever signs in is not signed in yet"),
            settings=self._settings.authentication,
            notifier=self._post,
            events=self._events,
        )

    def _tell_of_device(self, account: Account, session: Session) -> None:
        self._post.notify(
            lambda mails: mails.new_device(
                account.email, device=session.device, address=session.address
            ),
            scope=None,
        )

    def close(self) -> None:
        """Give back the threads of passwords."""
        self._pool.close()

    def require_services(self) -> SignInServices:
        """Return what the routes of the sign-in call.

        Raises:
            ConfigurationError: There are no accounts.
        """
        if self.accounts is None:
            message = (
                "there are no accounts to sign in to: set STOCKADE_DATABASE_URL or pass accounts="
            )
            raise ConfigurationError(message)
        if self._services is None:
            settings = self._settings.authentication
            self._services = SignInServices(
                sign_in=PasswordSignIn(
                    self.accounts,
                    self._hasher,
                    self._pool,
                    verified_email=settings.verified_email_required,
                ),
                sessions=Sessions(
                    self.sessions,
                    self.accounts,
                    access=self.tokens,
                    refresh=RefreshTokens(self._keys),
                    cookies=self._cookies,
                    factors=FactorCheck(self._enrolled, self._pending),
                    settings=settings,
                    clock=self._clock,
                    devices=self._devices,
                ),
                tokens=self.tokens,
                throttle=self._make_throttle(self.accounts),
            )
        return self._services

    def require_factors(self) -> FactorServices:
        """Return what the routes of second factors call.

        Raises:
            ConfigurationError: There are no accounts.
        """
        sessions = self.require_services().sessions
        attempts = None if self._attempts is None else LimitedAttempts(self._attempts)
        factors = make_second_factors(
            self._factors,
            self._enrolled,
            self.sessions,
            attempts,
            keys=self._keys,
            settings=self._settings.authentication,
            clock=self._clock,
        )
        accounts = self.accounts or _NoAccounts()
        return FactorServices(
            factors=factors,
            enrolled=self._enrolled,
            pending=self._pending,
            sessions=sessions,
            accounts=accounts,
            notifier=self._post,
            verified_email=self._settings.authentication.verified_email_required,
        )

    def _require_passkeys(self) -> Passkeys:
        settings = self._settings.authentication
        return make_passkeys(self._passkeys, keys=self._keys, settings=settings, clock=self._clock)

    def _require_account_services(self) -> AccountServices:
        attempts = self._attempts
        return self._post.require_services(
            self.accounts,
            self.require_services(),
            hasher=self._hasher,
            pool=self._pool,
            attempts=None if attempts is None else LimitedAttempts(attempts),
        )

    def _require_introspector(self) -> Introspector:
        return Introspector(
            self.accounts or _NoAccounts(),
            self.sessions,
            access=self.tokens,
            sessions=self.require_services().sessions,
            permissions_of=self._grant,
            settings=self._settings.authentication,
            clock=self._clock,
            factor_required_for=self._settings.authorization.factor_required_for,
        )

    def _make_throttle(self, accounts: AccountStore) -> SignInThrottle | None:
        if self._attempts is None:
            return None
        return SignInThrottle(
            LimitedAttempts(self._attempts),
            accounts,
            self.sessions,
            keys=self._keys,
            settings=self._settings.authentication,
            clock=self._clock,
        )

    def _require_api_clients(self) -> APIClients:
        overlap = self._settings.authentication.api_key_overlap
        return APIClients(self.api_clients, keys=self.api_keys, clock=self._clock, overlap=overlap)

    def _make_providers(self) -> dict[str, Provider]:
        settings = self._settings.authentication
        if not settings.providers:
            return {}
        if self._identities is None:
            message = (
                "sign-in at a provider needs a place for who is who there: set"
                " STOCKADE_DATABASE_URL or pass identities= beside accounts="
            )
            raise ConfigurationError(message)
        return make_providers(
            settings,
            HTTPReader(),
            allow_http=not self._settings.environment.is_deployed,
            events=self._events,
            clock=self._clock,
        )

    def _require_provider_sign_in(self) -> ProviderSignIn:
        if self.accounts is None or self._identities is None:
            # Without accounts there are no providers, and so nothing of this name.
            raise NotFoundError(reason="authentication.provider_unknown")
        if self._provider_sign_in is None:
            self._provider_sign_in = make_provider_sign_in(
                self._providers,
                self._identities,
                accounts=self.accounts,
                newcomers=self._newcomers,
                sessions=self.require_services().sessions,
                keys=self._keys,
                clock=self._clock,
            )
        return self._provider_sign_in

    def _require_leaked_keys(self) -> LeakedKeys:
        store = self.api_clients
        if not isinstance(store, LeakedKeyStore):
            message = "leaked_keys_router needs find_by_digests and end_secret in api_clients"
            raise ConfigurationError(message)
        return LeakedKeys(store, keys=self.api_keys, clock=self._clock)

    def _make_outside_issuers(self) -> dict[str, OutsideIssuer]:
        settings = self._settings.authentication
        if not settings.issuers:
            # The HTTP client is an extra, and is not asked for in vain.
            return {}
        return make_outside_issuers(
            settings,
            HTTPReader(),
            permissions_of=self._grant,
            allow_http=not self._settings.environment.is_deployed,
            events=self._events,
            clock=self._clock,
        )

    def authenticator(self) -> RequestAuthenticator:
        """Return what turns the credentials of a request into a caller."""
        accounts = self.accounts or _NoAccounts()
        grant, settings, clock = self._grant, self._settings.authentication, self._clock
        own = BearerAuthenticator(
            self.tokens,
            accounts,
            self.sessions,
            permissions_of=grant,
            settings=settings,
            clock=clock,
        )
        bearer: BearerAuthenticator | OutsideAuthenticator = own
        if self._outside:
            bearer = OutsideAuthenticator(
                own, self._outside, size=settings.token_cache_size, clock=clock
            )
        keys = APIKeyAuthenticator(
            self.api_clients,
            accounts,
            keys=self.api_keys,
            permissions_of=grant,
            settings=settings,
            clock=clock,
        )
        cookies = None
        if self.cross_site is not None:
            cookies = CookieAuthenticator(
                self.sessions,
                accounts,
                cookies=self._cookies,
                guard=self.cross_site,
                permissions_of=grant,
                settings=settings,
                clock=clock,
            )
        return RequestAuthenticator(bearer, keys, cookies)

    def _make_cross_site_guard(self) -> CrossSiteGuard | None:
        settings = self._settings.authentication
        return CrossSiteGuard(self._keys, settings.trusted_origins) if settings.cookies else None

    def require_enrolment(self, tree: Tree) -> None:
        """Refuse to ask for what nobody could give."""
        names = {leaf.name for leaf in tree.leaves}
        if self._settings.authorization.factor_required_for and "stockade:factors" not in names:
            message = (
                "STOCKADE_AUTHORIZATION__FACTOR_REQUIRED_FOR asks for second factors, and nobody"
                " can enrol one: add app.include_router(stockade.factors_router)"
            )
            raise ConfigurationError(message)
        if "stockade:passkeys" in names:
            if "stockade:factors" not in names:
                message = (
                    "passkeys_router needs factors_router, for the recovery codes of who has lost a"
                    " passkey: add app.include_router(stockade.factors_router)"
                )
                raise ConfigurationError(message)
            self._require_passkeys()

    def require_places(self, tree: Tree) -> None:
        """Refuse memory as a place for what other processes have to know."""
        names = {leaf.name for leaf in tree.leaves}
        self._post.require_ready(names, self.accounts)
        if any(leaf.name == "stockade:leaked-keys" for leaf in tree.leaves):
            self._require_leaked_keys()
            if not self._settings.authentication.leak_reporter_keys:
                message = (
                    "leaked_keys_router believes nobody: set"
                    " STOCKADE_AUTHENTICATION__LEAK_REPORTER_KEYS"
                )
                raise ConfigurationError(message)
        if not self._settings.environment.is_deployed:
            return
        for route, router, place, kept in (
            ("stockade:token", "auth_router", "sessions", self.sessions),
            ("stockade:dashboard-sign-in", "the dashboard", "sessions", self.sessions),
            ("stockade:api-keys", "api_keys_router", "api_clients", self.api_clients),
            ("stockade:oidc-start", "oidc_router", "identities", self._identities),
            ("stockade:factors", "factors_router", "factors", self._factors),
            ("stockade:passkeys", "passkeys_router", "passkeys", self._passkeys),
        ):
            if route in names and isinstance(kept, _IN_MEMORY):
                message = (
                    f"{router} is for accounts of your own, and what it makes has no place: pass"
                    f" {place}= beside accounts="
                )
                raise ConfigurationError(message)


def _beside(accounts: AccountStore | None) -> MemoryIdentityStore | None:
    return MemoryIdentityStore(accounts) if isinstance(accounts, MemoryAccountStore) else None


class _NoAccounts:
    """Knows nobody; stands in where no route of an application needs a caller."""

    async def find_by_email(self, _email: str) -> None:
        """Return None."""

    async def find_by_id(self, _user_id: str, _tenant_id: str | None) -> None:
        """Return None."""

    async def replace_password_hash(self, _user_id: str, *, old: str, new: str) -> bool:  # noqa: ARG002 - the Protocol
        """Return False."""
        return False
