"""Wire everything that says who calls: accounts, sessions, tokens, keys, factors, providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authentication import (
    AccessTokens,
    HashingPool,
    PasswordSignIn,
)
from stockade.authentication.api_clients import APIClients
from stockade.authentication.api_keys import APIKeys
from stockade.authentication.browsers import CrossSiteGuard
from stockade.authentication.credentials import RequestAuthenticator
from stockade.authentication.devices import DeviceWatch
from stockade.authentication.enrolled import EnrolledFactors
from stockade.authentication.factors import make_second_factors
from stockade.authentication.hashers import choose_hasher
from stockade.authentication.interfaces import LeakedKeyStore
from stockade.authentication.introspection import Introspector
from stockade.authentication.leaked_keys import LeakedKeys
from stockade.authentication.other_ways import OtherWaysIn
from stockade.authentication.passkeys import Passkeys, make_passkeys
from stockade.authentication.pending import FactorCheck, PendingSignIns
from stockade.authentication.refresh_tokens import COOKIE_PREFIX, RefreshTokens
from stockade.authentication.routes_factor_sessions import FactorServices
from stockade.authentication.routes_sessions import SignInServices
from stockade.authentication.sessions import Sessions
from stockade.authentication.throttle import SignInThrottle
from stockade.errors import ConfigurationError
from stockade.storage.limits import LimitedAttempts
from stockade.wiring.authenticators import make_authenticator
from stockade.wiring.providers import ProviderWiring
from stockade.wiring.routers import RouterParts, make_sign_in_routers
from stockade.wiring.stores import choose_stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication import Account, AccountStore
    from stockade.authentication.account_services import AccountServices
    from stockade.authentication.identities import NewcomerPolicy
    from stockade.authentication.models import Session
    from stockade.authentication.provider_sign_in import ProviderSignIn
    from stockade.authorization.interfaces import InvitationHook, InvitationPost, NewcomerPasswords
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing
    from stockade.events import EventLog
    from stockade.gate.tree import Tree
    from stockade.rate_limiting.interfaces import LimitStore
    from stockade.settings import Settings
    from stockade.storage.sql.databases import Databases
    from stockade.wiring.accounts import AccountWiring
    from stockade.wiring.stores import SignInStores


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
        self._events = events
        self._clock = clock
        self._stores = chosen = choose_stores(stores, databases)
        self.accounts = chosen.accounts
        self.sessions = chosen.sessions
        self.api_clients = chosen.api_clients
        self._devices = DeviceWatch(
            chosen.devices,
            keys=keys,
            events=events,
            clock=clock,
            notify=on_new_device or self._tell_of_device,
        )
        self._enrolled = EnrolledFactors(chosen.factors, chosen.passkeys)
        self._pending = PendingSignIns(keys, clock)
        self.api_keys = APIKeys(keys)
        self.tokens = AccessTokens(keys, settings.authentication, clock=clock)
        self._providers = ProviderWiring(
            settings,
            keys=keys,
            stores=chosen,
            permissions_of=permissions_of,
            newcomers=newcomers,
            events=events,
            clock=clock,
        )
        self._pool = HashingPool(
            threads=settings.authentication.hashing_threads,
            queue=settings.authentication.hashing_queue,
        )
        self._hasher = choose_hasher(settings.authentication)
        self._services: SignInServices | None = None
        self._cookies = RefreshTokens(keys, prefix=COOKIE_PREFIX)
        self.cross_site = self._make_cross_site_guard()
        self.routers = make_sign_in_routers(
            RouterParts(
                sign_in=self.require_services,
                accounts=self._require_account_services,
                leaked_keys=self._require_leaked_keys,
                introspector=self._require_introspector,
                factors=self.require_factors,
                passkeys=self._require_passkeys,
                api_clients=self._require_api_clients,
                provider_sign_in=self._require_provider_sign_in,
                public_keys=self.tokens.keys,
            ),
            settings=settings.authentication,
            guard=self.cross_site,
            notifier=post,
            events=events,
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
            self._stores.factors,
            self._enrolled,
            self.sessions,
            attempts,
            keys=self._keys,
            settings=self._settings.authentication,
            clock=self._clock,
        )
        accounts = self._stores.known_accounts
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
        return make_passkeys(
            self._stores.passkeys,
            spent=self._stores.spent,
            issuers=self._providers.names.keys(),
            keys=self._keys,
            settings=settings,
            clock=self._clock,
        )

    def _require_account_services(self) -> AccountServices:
        attempts = self._attempts
        return self._post.require_services(
            self.accounts,
            self.require_services(),
            hasher=self._hasher,
            pool=self._pool,
            others=OtherWaysIn(
                self._stores.identities, self._stores.passkeys, providers=self._providers.names
            ),
            attempts=None if attempts is None else LimitedAttempts(attempts),
        )

    def invitation_post(self, hook: InvitationHook | None) -> InvitationPost | None:
        """Return what sends invitations; None where nothing does.

        Raises:
            ConfigurationError: There is a mailer, and links in mails lead nowhere.
        """
        attempts = self._attempts
        return self._post.invitation_post(
            hook, None if attempts is None else LimitedAttempts(attempts)
        )

    def newcomer_passwords(self) -> NewcomerPasswords | None:
        """Return what checks first passwords; None where nobody makes an account by themselves."""
        if self._settings.authentication.registration == "closed":
            return None
        return self._post.new_passwords(self._hasher, self._pool)

    def _require_introspector(self) -> Introspector:
        return Introspector(
            self._stores.known_accounts,
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

    def _require_provider_sign_in(self) -> ProviderSignIn:
        return self._providers.require_sign_in(lambda: self.require_services().sessions)

    def _require_leaked_keys(self) -> LeakedKeys:
        store = self.api_clients
        if not isinstance(store, LeakedKeyStore):
            message = "leaked_keys_router needs find_by_digests and end_secret in api_clients"
            raise ConfigurationError(message)
        return LeakedKeys(store, keys=self.api_keys, clock=self._clock)

    def authenticator(self) -> RequestAuthenticator:
        """Return what turns the credentials of a request into a caller."""
        return make_authenticator(
            self._stores,
            self._providers,
            tokens=self.tokens,
            api_keys=self.api_keys,
            refresh=self._cookies,
            guard=self.cross_site,
            permissions_of=self._grant,
            settings=self._settings.authentication,
            clock=self._clock,
        )

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
        if self._settings.environment.is_deployed:
            self._stores.require_places(names)
