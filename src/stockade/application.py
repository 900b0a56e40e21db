"""Wire every layer into an application: the one place that knows them all."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stockade.account_wiring import AccountWiring
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
from stockade.authorization import permissions_of
from stockade.core.clock import SystemClock
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError, NotFoundError
from stockade.events import EventLog, LoggingSink
from stockade.gate.binder import INSTALLED, Binder
from stockade.gate.canary import prove_leaves, prove_routing, prove_wall
from stockade.gate.columns import ColumnCheck
from stockade.gate.compiling import PlanCompiler
from stockade.gate.dependencies import public
from stockade.gate.guard import Guard
from stockade.gate.lifecycle import Lifecycle
from stockade.gate.plans import Access
from stockade.gate.proofs import prove_authentication, prove_limits, prove_sanitization
from stockade.gate.requests import RequestCheck
from stockade.gate.settings import GateSettings
from stockade.gate.wall import WallMiddleware
from stockade.rate_limiting import RateLimiter
from stockade.rate_limiting.bans import Bans
from stockade.settings import Settings
from stockade.storage.limits import LimitedAttempts, ban_store, guarded_limit_store, limit_store_url
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.api_clients import MemoryAPIClientStore
from stockade.storage.memory.devices import MemoryDeviceStore
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.memory.identities import MemoryIdentityStore
from stockade.storage.memory.limits import MemoryLimitStore
from stockade.storage.memory.links import MemoryLinkStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.memory.sessions import MemorySessionStore
from stockade.storage.sql.databases import Databases
from stockade.tenancy.dependencies import TenantSessionDependency
from stockade.web import ClientAddresses, HostAllowList, security_headers
from stockade.web.errors import ErrorAnswers
from stockade.web.requests import RequestReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastapi import APIRouter, FastAPI
    from pydantic import SecretStr
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from stockade.authentication import Account, AccountStore
    from stockade.authentication.account_services import AccountServices
    from stockade.authentication.errands import Errands
    from stockade.authentication.identities import NewcomerPolicy
    from stockade.authentication.interfaces import (
        APIClientStore,
        DeviceStore,
        FactorStore,
        LinkStore,
        PasskeyStore,
        ProviderStore,
        SessionStore,
    )
    from stockade.authentication.mails import AccountMails
    from stockade.authentication.models import Session
    from stockade.authentication.outside_issuers import OutsideIssuer
    from stockade.authentication.provider_sign_in import ProviderSignIn
    from stockade.authentication.providers import Provider
    from stockade.core.clock import Clock
    from stockade.core.interfaces import Authenticator
    from stockade.core.mail import Mailer
    from stockade.events import EventSink
    from stockade.gate.plans import Plan
    from stockade.gate.requests import RouteExcuse
    from stockade.gate.tree import Tree
    from stockade.rate_limiting import RateLimitingSettings
    from stockade.rate_limiting.interfaces import LimitStore
    from stockade.tenancy.planning import IsolationPlan

_IN_MEMORY: Final = (
    MemorySessionStore,
    MemoryAPIClientStore,
    MemoryFactorStore,
    MemoryPasskeyStore,
    MemoryIdentityStore,
)
_StandIns = TypeVar("_StandIns", bound="Authenticator")
_FAILURES: Final = (
    "failure",
    "failure_public",
    "failure_authenticated",
    "failure_address",
    "failure_login",
)
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]", "testserver")


class Stockade:
    """Every layer of defence for one application.

    Args:
        settings: Settings of all layers; read from the environment unless given.
        models: Declarative bases of the application's models; models that use `TenantScoped` are
            found by themselves.
        accounts: Where accounts live; Stockade's own tables in ``database_url`` unless given.
        sessions: Where sessions live; beside the accounts in Stockade's own tables unless given.
            For other accounts they are in memory, which is for a single process that is not
            deployed.
        api_clients: Where programs and their keys live; the same holds for them.
        identities: Where it is kept who is who at a provider; beside the accounts in Stockade's own
            tables unless given, and needed for other accounts.
        newcomers: Says where the accounts belong that people get by signing in at a provider;
            without it they have no tenant.
        factors: Where second factors live; the same holds for them.
        passkeys: Where passkeys live; the same holds for them.
        devices: Where it is remembered with which devices an account was seen; the same holds.
        on_new_device: Told of each sign-in from a device that the account was not seen with before,
            such as to hand a mail over; it must not wait for anything.
        links: Where one-time links live; the same holds for them.
        mailer: Sends mails; by SMTP or into files, as the settings say, unless given.
        mails: Writes the mails of accounts; in words of our own unless given.
        sinks: Where events go; the logger ``stockade.events`` unless given.
        clock: Source of time.

    Attributes:
        session: Dependency that gives an endpoint a session of its caller's tenant; the endpoint
            commits, and what it does not commit is rolled back.
        auth_router: The sign-in routes, for ``app.include_router``.
        factors_router: The routes of second factors, for ``app.include_router``.
        passkeys_router: The routes of passkeys, for ``app.include_router``.
        api_keys_router: The routes of the keys of programs, for ``app.include_router``.
        oidc_router: The routes of sign-in at providers, for ``app.include_router``.
        leaked_keys_router: The route by which scanners report leaked keys of programs, for
            ``app.include_router``.
        introspection_router: The route by which services ask about tokens, for
            ``app.include_router``.
        keys_router: The route of the public keys, by which other services verify access tokens, for
            ``app.include_router``.
        password_router: The routes of forgotten and changed passwords, for ``app.include_router``.
        registration_router: The routes of those who make an account by themselves, for
            ``app.include_router``.
        account_router: The routes by which people change the address of their account, and close
            it, for ``app.include_router``.
        invitation_router: The routes of invitations into a tenant, for ``app.include_router``.
        events: Where every layer records what it refuses.

    Raises:
        ConfigurationError: The settings can't be in force as they are.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        models: Sequence[Any] = (),
        accounts: AccountStore | None = None,
        sessions: SessionStore | None = None,
        api_clients: APIClientStore | None = None,
        identities: ProviderStore | None = None,
        newcomers: NewcomerPolicy | None = None,
        factors: FactorStore | None = None,
        passkeys: PasskeyStore | None = None,
        devices: DeviceStore | None = None,
        on_new_device: Callable[[Account, Session], None] | None = None,
        links: LinkStore | None = None,
        mailer: Mailer | None = None,
        mails: AccountMails | None = None,
        sinks: Sequence[EventSink] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        self._clock = clock or SystemClock()
        self.events = EventLog([LoggingSink()] if sinks is None else sinks, clock=self._clock)
        self._keys = _read_keys(settings)
        self._databases = Databases(
            _reveal(settings.database_url),
            models=models,
            tenancy=settings.tenancy,
            events=self.events,
        )
        self.session = TenantSessionDependency(self._databases.make_session)
        self._accounts = accounts or self._databases.accounts
        own = self._databases if accounts is None else None
        self._sessions = sessions or (own and own.sessions) or MemorySessionStore()
        self._api_clients = api_clients or (own and own.api_clients) or MemoryAPIClientStore()
        self._identities = identities or (own and own.identities) or _beside(self._accounts)
        self._newcomers = newcomers
        self._factors: FactorStore = factors or (own and own.factors) or MemoryFactorStore()
        self._passkeys: PasskeyStore = passkeys or (own and own.passkeys) or MemoryPasskeyStore()
        self._devices = DeviceWatch(
            devices or (own and own.devices) or MemoryDeviceStore(),
            keys=self._keys,
            events=self.events,
            clock=self._clock,
            notify=on_new_device,
        )
        self._enrolled = EnrolledFactors(self._factors, self._passkeys)
        self._pending = PendingSignIns(self._keys, self._clock)
        self._api_keys = APIKeys(self._keys)
        self._wiring = AccountWiring(
            settings,
            keys=self._keys,
            links=links or (own and own.links) or MemoryLinkStore(),
            mailer=mailer,
            mails=mails,
            events=self.events,
            clock=self._clock,
        )
        self._limits_on = _limits_are_on(settings)
        self._limiter = self._make_limiter()
        self._attempts = self._make_attempts()
        self._tokens = AccessTokens(self._keys, settings.authentication, clock=self._clock)
        self._outside = self._make_outside_issuers()
        self._providers = self._make_providers()
        self._pool = HashingPool(
            threads=settings.authentication.hashing_threads,
            queue=settings.authentication.hashing_queue,
        )
        self._hasher = choose_hasher(settings.authentication)
        self._services: SignInServices | None = None
        self._provider_sign_in: ProviderSignIn | None = None
        self._cookies = RefreshTokens(self._keys, prefix=COOKIE_PREFIX)
        self._cross_site = self._make_cross_site_guard()
        self._headers = security_headers(settings.web, hsts=settings.environment.is_deployed)
        self._reader = self._make_reader()
        self._columns = ColumnCheck(settings.validation, self._databases.find_bases)
        self._requests = RequestCheck(settings.validation, columns=self._columns)
        self._binder: Binder | None = None
        self._lifecycle: Lifecycle | None = None
        self.auth_router: APIRouter = make_auth_router(
            self._require_services,
            open_policy=public("whoever signs in is not signed in yet"),
            events=self.events,
            guard=self._cross_site,
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
            reporters=LeakReporters(settings.authentication.leak_reporter_keys),
            open_policy=public("a report of leaked keys is believed by its signature"),
            events=self.events,
        )
        self.introspection_router: APIRouter = make_introspection_router(
            self._require_introspector, settings=settings.authentication, events=self.events
        )
        self.keys_router: APIRouter = make_keys_router(
            self._tokens.keys, open_policy=public("public keys are for everybody")
        )
        self.factors_router: APIRouter = make_factors_router(
            self._require_factors,
            open_policy=public("whoever gives a second factor is not signed in yet"),
            events=self.events,
            guard=self._cross_site,
        )
        self.passkeys_router: APIRouter = make_passkeys_router(
            self._require_factors,
            self._require_passkeys,
            open_policy=public("whoever signs in with a passkey is not signed in yet"),
            events=self.events,
            guard=self._cross_site,
        )
        self.api_keys_router: APIRouter = make_api_keys_router(
            self._require_api_clients, events=self.events
        )
        self.oidc_router: APIRouter = make_oidc_router(
            self._require_provider_sign_in,
            lambda: self._require_services().sessions,
            open_policy=public("whoever signs in is not signed in yet"),
            settings=settings.authentication,
            notifier=self._wiring,
            events=self.events,
        )

    def install(self, app: FastAPI | Starlette) -> None:
        """Put every layer in front of an application.

        It makes no difference whether routes, routers and middleware are added before or after
        this.

        Raises:
            ConfigurationError: The application has started already, or has a Stockade.
        """
        if hasattr(app, INSTALLED):
            message = (
                "Stockade is installed on this application already: remove the second install(app)"
            )
            raise ConfigurationError(message)
        if self._binder is not None:
            message = (
                "this Stockade is installed on another application: make one Stockade for each"
            )
            raise ConfigurationError(message)
        if app.middleware_stack is not None:
            message = (
                "the application has started already: call install(app) where the application is "
                "made"
            )
            raise ConfigurationError(message)
        setattr(app, INSTALLED, self)
        guard = self._make_guard()
        self._binder = binder = self._make_binder(app, guard)
        self._lifecycle = lifecycle = Lifecycle(
            start=self._start, stop=self._stop, events=self.events, clock=self._clock
        )
        self._guard = guard
        build = app.build_middleware_stack

        def build_behind_the_wall() -> ASGIApp:
            binder.prepare(app)
            return WallMiddleware(
                build(),
                guard=guard,
                reader=self._reader,
                headers=self._headers,
                lifecycle=lifecycle,
                events=self.events,
            )

        # Whatever is added to the application before its first request ends up inside of the wall.
        app.build_middleware_stack = build_behind_the_wall  # type: ignore[method-assign]  # Starlette has no hook for this.

    def stand_in(
        self, put_in_front: Callable[[Authenticator, CrossSiteGuard | None, Clock], _StandIns]
    ) -> _StandIns:
        """Put something in front of what authenticates callers; for `stockade.testing`.

        Args:
            put_in_front: Takes what is in place, the guard against other sites and the source of
                time, and returns what is to be in its place.

        Returns:
            What is in place now.

        Raises:
            ConfigurationError: The application is deployed, or has no Stockade.
        """
        if self.settings.environment.is_deployed:
            message = (
                "callers are made up in the environments local and test alone: set"
                " STOCKADE_ENVIRONMENT=test where tests run"
            )
            raise ConfigurationError(message)
        if self._binder is None:
            message = "call stockade.install(app) first"
            raise ConfigurationError(message)
        standing = put_in_front(self._guard.authenticator, self._cross_site, self._clock)
        self._guard.authenticator = standing
        return standing

    @contextmanager
    def divert_mails(self, mailer: Mailer) -> Iterator[Errands]:
        """Send mails by another mailer for a while; for `stockade.testing`.

        Yields:
            What sends them, which can be waited for.

        Raises:
            ConfigurationError: The application is deployed.
        """
        with self._wiring.divert(mailer):
            yield self._wiring.errands

    def plans(self) -> list[Plan]:
        """Return what the gate does for each leaf of the application; empty before the start."""
        return [] if self._binder is None else list(self._guard.plans.values())

    def isolation_plan(self) -> IsolationPlan:
        """Return how each table of the application's models is isolated; nothing is started.

        Raises:
            ConfigurationError: A model can't be isolated.
        """
        return self._databases.plan_isolation()

    def excuses(self) -> list[RouteExcuse]:
        """Return what routes take without a bound, each with its reason; empty before the start."""
        return self._requests.excuses

    def warnings(self) -> list[str]:
        """Return what is wrong with routes and let pass by a setting, a line for each."""
        return [*self._requests.warnings, *self._columns.warnings]

    async def start(self) -> dict[str, str]:
        """Start without a server, such as to check an application.

        Returns:
            What the start found, as the event ``application.started`` has it; ``off`` names layers
            that are off by setting.

        Raises:
            ConfigurationError: A layer is not in force, or `install` was not called.
        """
        if self._lifecycle is None:
            message = "call stockade.install(app) first"
            raise ConfigurationError(message)
        found = await self._start()
        self._lifecycle.in_force = True
        return found

    async def stop(self) -> None:
        """Give back connections and threads."""
        if self._lifecycle is not None:
            await self._lifecycle.close()

    async def _start(self) -> dict[str, str]:
        binder = self._binder
        if binder is None:
            return {}
        await self._databases.check()
        if self._limits_on:
            await self._limiter.store.ping()
        # The planted application first: its policies would make the bound tree look changed.
        await prove_routing(self._make_planted_binder, self._make_guard)
        binder.bind()
        self._require_accounts()
        self._require_places(binder.tree)
        self._require_enrolment(binder.tree)
        await prove_leaves(binder.tree, self._guard)
        await prove_wall(self._guard, self._headers)
        await prove_limits(self._limiter)
        await prove_authentication(self._authenticator())
        prove_sanitization()
        await self._databases.prove()
        return self._describe()

    def _describe(self) -> dict[str, str]:
        """Say what the start found: what is off by setting is never a silence."""
        plans = self._guard.plans.values()
        closed = sorted(plan.label for plan in plans if plan.access is Access.CLOSED)
        dry = self._limits_on and self.settings.rate_limiting.dry_run
        switched = {
            "rate_limiting": self._limits_on,
            "rate_limiting (it only counts)": not dry,
            "api_docs": self.settings.api_docs.is_served,
        }
        found = {
            "environment": str(self.settings.environment),
            "routes": str(len(plans)),
            "off": ", ".join(layer for layer, is_on in switched.items() if not is_on),
            "closed_for_want_of_a_policy": ", ".join(closed),
            "unbounded_input": "; ".join(self._requests.warnings),
            "columns_that_overflow": "; ".join(self._columns.warnings),
            "row_level_security": self._describe_row_security(),
            "columns_compared": ", ".join(self._columns.compared),
        }
        return {name: value for name, value in found.items() if value}

    def _describe_row_security(self) -> str:
        tenancy = self.settings.tenancy
        if tenancy.row_level_security == "off":
            return ""
        role = "the role of the database URL" if tenancy.role is None else tenancy.role
        allowed = tenancy.row_level_security == "raw_sql"
        return f"in force for {role}; SQL text is {'allowed' if allowed else 'refused'}"

    async def _stop(self) -> None:
        await self._wiring.close()
        self._pool.close()
        if self._bans is not None:
            await self._bans.close()
        await self._limiter.close()
        if self._attempts is not None and self._attempts is not self._limiter.store:
            await self._attempts.close()
        await self._databases.close()

    def _require_accounts(self) -> None:
        needs = [
            plan.label
            for plan in self._guard.plans.values()
            if plan.access is Access.PRINCIPAL or plan.optional
        ]
        if needs and self._accounts is None:
            message = (
                f"{needs[0]} needs a signed-in caller, but there are no accounts: set "
                "STOCKADE_DATABASE_URL or pass accounts="
            )
            raise ConfigurationError(message)

    def _require_places(self, tree: Tree) -> None:
        """Refuse memory as a place for what other processes have to know."""
        names = {leaf.name for leaf in tree.leaves}
        self._wiring.require_ready(names, self._accounts)
        if any(leaf.name == "stockade:leaked-keys" for leaf in tree.leaves):
            self._require_leaked_keys()
            if not self.settings.authentication.leak_reporter_keys:
                message = (
                    "leaked_keys_router believes nobody: set"
                    " STOCKADE_AUTHENTICATION__LEAK_REPORTER_KEYS"
                )
                raise ConfigurationError(message)
        if not self.settings.environment.is_deployed:
            return
        for route, router, place, kept in (
            ("stockade:token", "auth_router", "sessions", self._sessions),
            ("stockade:api-keys", "api_keys_router", "api_clients", self._api_clients),
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

    def _require_enrolment(self, tree: Tree) -> None:
        """Refuse to ask for what nobody could give."""
        names = {leaf.name for leaf in tree.leaves}
        if self.settings.authorization.factor_required_for and "stockade:factors" not in names:
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

    def _require_services(self) -> SignInServices:
        if self._accounts is None:
            message = (
                "there are no accounts to sign in to: set STOCKADE_DATABASE_URL or pass accounts="
            )
            raise ConfigurationError(message)
        if self._services is None:
            settings = self.settings.authentication
            self._services = SignInServices(
                sign_in=PasswordSignIn(
                    self._accounts,
                    self._hasher,
                    self._pool,
                    verified_email=settings.verified_email_required,
                ),
                sessions=Sessions(
                    self._sessions,
                    self._accounts,
                    access=self._tokens,
                    refresh=RefreshTokens(self._keys),
                    cookies=self._cookies,
                    factors=FactorCheck(self._enrolled, self._pending),
                    settings=settings,
                    clock=self._clock,
                    devices=self._devices,
                ),
                tokens=self._tokens,
                throttle=self._make_throttle(self._accounts),
            )
        return self._services

    def _require_factors(self) -> FactorServices:
        sessions = self._require_services().sessions
        attempts = None if self._attempts is None else LimitedAttempts(self._attempts)
        factors = make_second_factors(
            self._factors,
            self._enrolled,
            self._sessions,
            attempts,
            keys=self._keys,
            settings=self.settings.authentication,
            clock=self._clock,
        )
        accounts = self._accounts or _NoAccounts()
        return FactorServices(
            factors=factors,
            enrolled=self._enrolled,
            pending=self._pending,
            sessions=sessions,
            accounts=accounts,
            verified_email=self.settings.authentication.verified_email_required,
        )

    def _require_passkeys(self) -> Passkeys:
        settings = self.settings.authentication
        return make_passkeys(self._passkeys, keys=self._keys, settings=settings, clock=self._clock)

    def _require_account_services(self) -> AccountServices:
        attempts = self._attempts
        return self._wiring.require_services(
            self._accounts,
            self._require_services(),
            hasher=self._hasher,
            pool=self._pool,
            attempts=None if attempts is None else LimitedAttempts(attempts),
        )

    def _require_introspector(self) -> Introspector:
        return Introspector(
            self._accounts or _NoAccounts(),
            self._sessions,
            access=self._tokens,
            sessions=self._require_services().sessions,
            permissions_of=self._grant,
            settings=self.settings.authentication,
            clock=self._clock,
        )

    def _make_throttle(self, accounts: AccountStore) -> SignInThrottle | None:
        if self._attempts is None:
            return None
        return SignInThrottle(
            LimitedAttempts(self._attempts),
            accounts,
            self._sessions,
            keys=self._keys,
            settings=self.settings.authentication,
            clock=self._clock,
        )

    def _require_api_clients(self) -> APIClients:
        overlap = self.settings.authentication.api_key_overlap
        return APIClients(
            self._api_clients, keys=self._api_keys, clock=self._clock, overlap=overlap
        )

    def _make_providers(self) -> dict[str, Provider]:
        settings = self.settings.authentication
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
            allow_http=not self.settings.environment.is_deployed,
            events=self.events,
            clock=self._clock,
        )

    def _require_provider_sign_in(self) -> ProviderSignIn:
        if self._accounts is None or self._identities is None:
            # Without accounts there are no providers, and so nothing of this name.
            raise NotFoundError(reason="authentication.provider_unknown")
        if self._provider_sign_in is None:
            self._provider_sign_in = make_provider_sign_in(
                self._providers,
                self._identities,
                accounts=self._accounts,
                newcomers=self._newcomers,
                sessions=self._require_services().sessions,
                keys=self._keys,
                clock=self._clock,
            )
        return self._provider_sign_in

    def _require_leaked_keys(self) -> LeakedKeys:
        store = self._api_clients
        if not isinstance(store, LeakedKeyStore):
            message = "leaked_keys_router needs find_by_digests and end_secret in api_clients"
            raise ConfigurationError(message)
        return LeakedKeys(store, keys=self._api_keys, clock=self._clock)

    def _grant(self, roles: frozenset[str]) -> frozenset[str]:
        return permissions_of(roles, self.settings.authorization.roles)

    def _make_outside_issuers(self) -> dict[str, OutsideIssuer]:
        settings = self.settings.authentication
        if not settings.issuers:
            # The HTTP client is an extra, and is not asked for in vain.
            return {}
        return make_outside_issuers(
            settings,
            HTTPReader(),
            permissions_of=self._grant,
            allow_http=not self.settings.environment.is_deployed,
            events=self.events,
            clock=self._clock,
        )

    def _authenticator(self) -> RequestAuthenticator:
        accounts = self._accounts or _NoAccounts()
        grant, settings, clock = self._grant, self.settings.authentication, self._clock
        own = BearerAuthenticator(
            self._tokens,
            accounts,
            self._sessions,
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
            self._api_clients,
            accounts,
            keys=self._api_keys,
            permissions_of=grant,
            settings=settings,
            clock=clock,
        )
        cookies = None
        if self._cross_site is not None:
            cookies = CookieAuthenticator(
                self._sessions,
                accounts,
                cookies=self._cookies,
                guard=self._cross_site,
                permissions_of=grant,
                settings=settings,
                clock=clock,
            )
        return RequestAuthenticator(bearer, keys, cookies)

    def _make_cross_site_guard(self) -> CrossSiteGuard | None:
        settings = self.settings.authentication
        return CrossSiteGuard(self._keys, settings.trusted_origins) if settings.cookies else None

    def _make_guard(self) -> Guard:
        return Guard(
            authenticator=self._authenticator(),
            limiter=self._limiter,
            docs=self.settings.api_docs,
            events=self.events,
            clock=self._clock,
            factor_required_for=self.settings.authorization.factor_required_for,
        )

    def _make_planted_binder(self, app: Starlette, guard: Guard) -> Binder:
        # Policies by route name routes of the real application only.
        return self._make_binder(
            app, guard, gate=GateSettings(), events=EventLog([], clock=self._clock)
        )

    def _make_binder(
        self,
        app: Starlette,
        guard: Guard,
        *,
        gate: GateSettings | None = None,
        events: EventLog | None = None,
    ) -> Binder:
        settings = self.settings
        gate = gate or settings.gate
        return Binder(
            app,
            guard=guard,
            compiler=PlanCompiler(
                gate,
                authorization=settings.authorization,
                limiter=self._limiter,
                validation=settings.validation,
            ),
            limiter=self._limiter,
            answers=ErrorAnswers(self.events, self._requests.describe),
            answering=gate.answering_middleware,
            docs_origins=settings.api_docs.connect_origins,
            check_leaf=self._requests.check,
            allow_debug=not settings.environment.is_deployed,
            events=events or self.events,
        )

    def _make_limiter(self) -> RateLimiter:
        limits = self.settings.rate_limiting.model_copy(update={"enabled": self._limits_on})
        if limits.dry_run:
            # What only counts refuses nobody for want of a store either.
            limits = limits.model_copy(update=dict.fromkeys(_FAILURES, "open"))
        store = self._limit_store(limits)
        self._bans = self._make_bans(store, limits)
        return RateLimiter(
            store,
            settings=limits,
            events=self.events,
            clock=self._clock,
            url=self._limit_store_url(limits),
            bans=self._bans,
        )

    def _make_bans(self, store: LimitStore, limits: RateLimitingSettings) -> Bans | None:
        if not self._limits_on or limits.ban_after is None or limits.dry_run:
            return None
        return Bans(
            ban_store(store, clock=self._clock),
            strikes=MemoryLimitStore(clock=self._clock, max_keys=limits.max_keys),
            settings=limits,
            spared=[str(each) for each in self.settings.web.trusted_proxies],
            clock=self._clock,
            events=self.events,
        )

    def _make_attempts(self) -> LimitStore | None:
        """Make the store of attempts to sign in: while it is away, nobody signs in."""
        if not self._limits_on:
            return None
        limits = self.settings.rate_limiting
        if limits.failure == "closed" and not limits.dry_run:
            return self._limiter.store
        return self._limit_store(limits.model_copy(update={"failure": "closed"}))

    def _limit_store_url(self, limits: RateLimitingSettings) -> str:
        return limit_store_url(
            limits.store,
            redis=_reveal(self.settings.redis_url),
            database=_reveal(self.settings.database_url),
        )

    def _limit_store(self, limits: RateLimitingSettings) -> LimitStore:
        url = self._limit_store_url(limits)
        return guarded_limit_store(url, settings=limits, events=self.events, clock=self._clock)

    def _make_reader(self) -> RequestReader:
        settings = self.settings
        hosts = settings.web.allowed_hosts
        if not hosts:
            if settings.environment.is_deployed:
                message = (
                    "no host names: set STOCKADE_WEB__ALLOWED_HOSTS to the names this server "
                    "answers to"
                )
                raise ConfigurationError(message)
            hosts = _LOCAL_HOSTS
        addresses = ClientAddresses(settings.web.trusted_proxies)
        return RequestReader(settings.web, addresses=addresses, hosts=HostAllowList(hosts))


def _limits_are_on(settings: Settings) -> bool:
    enabled = settings.rate_limiting.enabled
    return settings.environment.is_deployed if enabled is None else enabled


def _beside(accounts: AccountStore | None) -> MemoryIdentityStore | None:
    return MemoryIdentityStore(accounts) if isinstance(accounts, MemoryAccountStore) else None


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _read_keys(settings: Settings) -> KeyRing:
    given = [secret.get_secret_value() for secret in settings.secret_keys]
    if not given and not settings.environment.is_deployed:
        # Tokens of a development server end with it; nothing has to be configured to try things
        # out.
        given = [secrets.token_urlsafe(48)]
    return KeyRing(given)


class _NoAccounts:
    """Knows nobody; stands in where no route of an application needs a caller."""

    async def find_by_email(self, _email: str) -> None:
        """Return None."""

    async def find_by_id(self, _user_id: str, _tenant_id: str | None) -> None:
        """Return None."""

    async def replace_password_hash(self, _user_id: str, *, old: str, new: str) -> bool:  # noqa: ARG002 - the Protocol
        """Return False."""
        return False
