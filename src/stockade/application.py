"""Wire every layer into an application: the one place that knows them all."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import to_thread

from stockade.authentication.browsers import CrossSiteGuard
from stockade.authorization import permissions_of
from stockade.authorization.engines.starting import PolicyEngines
from stockade.authorization.routes import make_tenants_router
from stockade.core.clock import SystemClock
from stockade.errors import ConfigurationError
from stockade.events import EventLog, LoggingSink
from stockade.gate.binder import INSTALLED, Binder
from stockade.gate.canary import prove_leaves, prove_routing, prove_wall
from stockade.gate.dependencies import public
from stockade.gate.explaining import explain_route, find_plan
from stockade.gate.guard import Guard
from stockade.gate.lifecycle import Lifecycle
from stockade.gate.proofs import prove_authentication, prove_limits, prove_sanitization
from stockade.settings import Settings
from stockade.storage.memory.links import MemoryLinkStore
from stockade.storage.sql.databases import Databases
from stockade.storage.sql.dependencies import (
    AccessDependency,
    CrossingDependency,
    ObjectLoader,
    Watches,
)
from stockade.storage.sql.explaining import explain_objects
from stockade.tenancy.dependencies import TenantSessionDependency
from stockade.tenancy.raw_places import list_raw
from stockade.wiring.accounts import AccountWiring
from stockade.wiring.dashboard import mount_dashboard
from stockade.wiring.findings import (
    describe_start,
    require_accounts,
    require_policies,
    require_raw_sql_declared,
)
from stockade.wiring.gate import GateWiring
from stockade.wiring.limits import LimitWiring
from stockade.wiring.secrets import read_keys, reveal
from stockade.wiring.sign_in import SignInWiring
from stockade.wiring.stores import SignInStores
from stockade.wiring.tenants import TenantWiring, find_principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fastapi import APIRouter, FastAPI
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from stockade.authentication import Account, AccountStore
    from stockade.authentication.errands import Errands
    from stockade.authentication.identities import NewcomerPolicy
    from stockade.authentication.interfaces import (
        APIClientStore,
        DeviceStore,
        FactorStore,
        IdentityStore,
        LinkStore,
        PasskeyStore,
        SessionStore,
        SpentStore,
    )
    from stockade.authentication.mails import AccountMails
    from stockade.authentication.models import Session
    from stockade.authorization.explaining import Explanation, Step
    from stockade.authorization.interfaces import InvitationHook
    from stockade.authorization.services import TenantServices
    from stockade.core.clock import Clock
    from stockade.core.identity import Principal, TenantId
    from stockade.core.interfaces import Authenticator
    from stockade.core.mail import Mailer
    from stockade.events import EventSink
    from stockade.gate.plans import Plan
    from stockade.gate.requests import RouteExcuse
    from stockade.storage.sql.dependencies import LoadOption
    from stockade.tenancy.planning import IsolationPlan
    from stockade.tenancy.raw_places import RawExcuse

_Model = TypeVar("_Model")
_StandIns = TypeVar("_StandIns", bound="Authenticator")


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
        on_invitation: Sends invitations into tenants to their addresses, and shows them to nobody
            else, in the place of a mail of ours.
        identities: Where it is kept who is who at a provider; beside the accounts in Stockade's own
            tables unless given, and needed for other accounts.
        spent: Where it is remembered what works once and has been used, such as the answers of
            providers; the same holds for it.
        newcomers: Says where the accounts belong that people get by signing in at a provider;
            without it they have no tenant.
        factors: Where second factors live; the same holds for them.
        passkeys: Where passkeys live; the same holds for them.
        devices: Where it is remembered with which devices an account was seen; the same holds.
        on_new_device: Told of each sign-in from a device that the account was not seen with before,
            in the place of a mail to the owner; it must not wait for anything.
        links: Where one-time links live; the same holds for them.
        mailer: Sends mails; by SMTP or into files, as the settings say, unless given.
        mails: Writes the mails of accounts; in words of our own unless given.
        sinks: Where events go; the logger ``stockade.events`` unless given.
        clock: Source of time.

    Attributes:
        session: Dependency that gives an endpoint a session of its caller's tenant; the endpoint
            commits, and what it does not commit is rolled back.
        access: Dependency that gives an endpoint the `ObjectAccess` of its caller, which checks
            objects by the rules of their models.
        cross_tenant: Dependency that lets a super administrator open sessions of any tenant, each
            with a reason and an end.
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
        tenants_router: The routes of tenants, their members and invitations, for
            ``app.include_router``.
        password_router: The routes of forgotten and changed passwords, for ``app.include_router``.
        registration_router: The routes of those who make an account by themselves, for
            ``app.include_router``.
        account_router: The routes by which people change the address of their account, and close
            it, for ``app.include_router``.
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
        on_invitation: InvitationHook | None = None,
        identities: IdentityStore | None = None,
        spent: SpentStore | None = None,
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
        self._keys = read_keys(settings)
        self._databases = Databases(
            reveal(settings.database_url),
            models=models,
            tenancy=settings.tenancy,
            events=self.events,
        )
        self._make_object_dependencies()
        own = self._databases if accounts is None else None
        self._wiring = AccountWiring(
            settings,
            keys=self._keys,
            links=links or (own and own.links) or MemoryLinkStore(),
            mailer=mailer,
            mails=mails,
            events=self.events,
            clock=self._clock,
        )
        self._limits = LimitWiring(settings, events=self.events, clock=self._clock)
        self._sign_in = sign_in = SignInWiring(
            settings,
            keys=self._keys,
            stores=SignInStores(
                accounts=accounts,
                sessions=sessions,
                api_clients=api_clients,
                identities=identities,
                spent=spent,
                factors=factors,
                passkeys=passkeys,
                devices=devices,
            ),
            databases=self._databases,
            post=self._wiring,
            attempts=self._limits.attempts,
            permissions_of=self._grant,
            newcomers=newcomers,
            on_new_device=on_new_device,
            events=self.events,
            clock=self._clock,
        )
        self._gate = GateWiring(
            settings,
            limiter=self._limits.limiter,
            find_bases=self._databases.find_bases,
            events=self.events,
            clock=self._clock,
        )
        self._engines = PolicyEngines(settings.authorization, self.events)
        self._binder: Binder | None = None
        self._lifecycle: Lifecycle | None = None
        self._found: dict[str, str] = {}
        self.account_router: APIRouter = sign_in.routers.account_router
        self.api_keys_router: APIRouter = sign_in.routers.api_keys_router
        self.auth_router: APIRouter = sign_in.routers.auth_router
        self.factors_router: APIRouter = sign_in.routers.factors_router
        self.introspection_router: APIRouter = sign_in.routers.introspection_router
        self.keys_router: APIRouter = sign_in.routers.keys_router
        self.leaked_keys_router: APIRouter = sign_in.routers.leaked_keys_router
        self.oidc_router: APIRouter = sign_in.routers.oidc_router
        self.passkeys_router: APIRouter = sign_in.routers.passkeys_router
        self.password_router: APIRouter = sign_in.routers.password_router
        self.registration_router: APIRouter = sign_in.routers.registration_router
        self._make_tenants(on_invitation)

    def _make_object_dependencies(self) -> None:
        self._watches = Watches(
            self._databases.guards,
            mode=self.settings.authorization.object_checks,
            events=self.events,
        )
        self.session = TenantSessionDependency(
            self._databases.make_session, watch=self._watches.watched
        )
        self.access = AccessDependency(self._watches)
        self.cross_tenant = CrossingDependency(
            self._databases.make_session,
            self._watches,
            find=self.find_principal,
            clock=self._clock,
            events=self.events,
        )

    def _make_tenants(self, on_invitation: InvitationHook | None) -> None:
        self._tenants = TenantWiring(
            self._databases,
            tokens=self._sign_in.tokens,
            keys=self._keys,
            settings=self.settings.authorization,
            post=partial(self._sign_in.invitation_post, on_invitation),
            passwords=self._sign_in.newcomer_passwords,
            clock=self._clock,
        )
        self.tenants_router: APIRouter = make_tenants_router(
            self._require_tenants,
            open_policy=public("whoever is invited may have no account yet"),
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
        mount_dashboard(
            app,
            self.settings,
            stockade=self,
            limits=self._limits,
            sign_in=self._sign_in,
            found=lambda: self._found,
        )
        setattr(app, INSTALLED, self)
        guard = self._make_guard()
        self._binder = binder = self._gate.make_binder(app, guard)
        self._lifecycle = lifecycle = Lifecycle(
            start=self._start, stop=self._stop, events=self.events, clock=self._clock
        )
        self._guard = guard
        build = app.build_middleware_stack

        def build_behind_the_wall() -> ASGIApp:
            binder.prepare(app)
            return self._gate.make_wall(build(), guard, lifecycle)

        # Whatever is added to the application before its first request ends up inside of the wall.
        app.build_middleware_stack = build_behind_the_wall  # type: ignore[method-assign]  # Starlette has no hook for this.

    def load(
        self,
        model: type[_Model],
        parameter: str,
        *,
        action: str = "read",
        lock: bool = False,
        within: str | None = None,
        key: Any = None,  # noqa: ANN401 - an annotation
        options: Sequence[LoadOption] = (),
    ) -> ObjectLoader[_Model]:
        """Make a dependency that gives the object that a path names, if the caller may use it.

        It loads through the session of the caller's tenant and asks the model's rule. What is not
        there, another tenant's or not to be read is answered 404, all alike.

        Args:
            model: Class of the object.
            parameter: Name of the path parameter that holds its key.
            action: What the caller wants with it, as `stockade.authorization.policy` names it.
            lock: Whether the row stays as it was checked until the transaction ends
                (``FOR UPDATE``).
            within: Name of another parameter of the path, and of the attribute that has to hold the
                same: ``note_id`` on ``/notes/{note_id}/comments/{comment_id}``.
            key: Type of the path parameter, such as `Identifier`, where not everything that fits
                the column is a key.
            options: Options of the query, such as ``selectinload``.

        Raises:
            ConfigurationError: The key of the model can't be read from a path.
        """
        return ObjectLoader(
            model,
            parameter,
            action=action,
            lock=lock,
            within=within,
            key=key,
            options=options,
            session=self.session,
            watches=self._watches,
        )

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
        standing = put_in_front(self._guard.authenticator, self._sign_in.cross_site, self._clock)
        self._guard.authenticator = standing
        return standing

    def explain(self, principal: Principal, route: str) -> Explanation:
        """Say why a caller may call a route, or why not; it permits nothing.

        Args:
            principal: The caller, such as from `find_principal`.
            route: Method and path template, such as ``GET /notes/{note_id}``.

        Raises:
            ConfigurationError: There is no such route, or the application has not started.
        """
        settings, now = self.settings.authorization, self._clock.now()
        return explain_route(self.plans(), route, principal, settings=settings, now=now)

    async def explain_objects(
        self, principal: Principal, route: str, parameters: Mapping[str, str]
    ) -> list[Step]:
        """Say why a caller may use the objects that the path of a route names, or why not.

        Args:
            principal: The caller, such as from `find_principal`.
            route: As for `explain`.
            parameters: Values of the path's parameters that `load` reads.

        Raises:
            ConfigurationError: There is no such route, it loads no object by a parameter, or the
                application has not started.
            StoreError: The database is away.
        """
        label = find_plan(self.plans(), route).label
        leaves = () if self._binder is None else self._binder.tree.leaves
        dependant = next((each.dependant for each in leaves if each.label == label), None)
        return await explain_objects(dependant, principal, parameters, self._databases.make_session)

    async def find_principal(
        self, email: str, tenant_id: TenantId | None = None
    ) -> Principal | None:
        """Return an account as a caller, with the roles that it has now; it signs nobody in.

        Its sign-in counts as having just happened.

        Args:
            email: Address of the account.
            tenant_id: Its active tenant; its default one unless given.

        Returns:
            The caller; None where there is no such account, it may not act, or is no member.

        Raises:
            StoreError: The accounts are away.
        """
        if self._sign_in.accounts is None:
            return None
        return await find_principal(
            self._sign_in.accounts, email, tenant_id, permissions_of=self._grant, clock=self._clock
        )

    def permissions_of(self, roles: frozenset[str]) -> frozenset[str]:
        """Return the permissions that follow from roles."""
        return self._grant(roles)

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

    async def reload_policies(self) -> int:
        """Have every policy engine read its policies anew, in this process.

        New policies are checked first, as at the start. An engine whose new policies are broken
        keeps those that were in force. Either way is an event.

        Returns:
            How many engines there are.

        Raises:
            ConfigurationError: The new policies of an engine are broken.
        """
        return await to_thread.run_sync(self._engines.reload)

    def plans(self) -> list[Plan]:
        """Return what the gate does for each leaf of the application; empty before the start."""
        return [] if self._binder is None else list(self._guard.plans.values())

    def isolation_plan(self) -> IsolationPlan:
        """Return how each table of the application's models is isolated; nothing is started.

        Raises:
            ConfigurationError: A model can't be isolated.
        """
        return self._databases.plan_isolation()

    def excuses(self) -> list[RouteExcuse | RawExcuse]:
        """Return what is excused in the code, each with its reason.

        That is what routes take without a bound, which is known after the start, and the SQL text
        that `unsafe_raw` lets through, with the places that name it, whether they have run or not.
        """
        return [*self._gate.requests.excuses, *list_raw(self._databases.raw_sql_held_by)]

    def warnings(self) -> list[str]:
        """Return what is wrong with routes and let pass by a setting, a line for each."""
        return [*self._gate.requests.warnings, *self._gate.columns.warnings]

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
        if self._limits.are_on:
            await self._limits.limiter.store.ping()
        # The planted application first: its policies would make the bound tree look changed.
        await prove_routing(self._gate.make_planted_binder, self._make_guard)
        binder.bind()
        plans = self.plans()
        require_raw_sql_declared()
        require_accounts(plans, self._sign_in.accounts)
        self._sign_in.require_places(binder.tree)
        if any(leaf.name == "stockade:tenants" for leaf in binder.tree.leaves):
            self._require_tenants()
        require_policies(self.settings, self._databases)
        asked = [plan.policy for plan in plans]
        self._engines.prepare(self._databases.find_models(), asked)
        self._sign_in.require_enrolment(binder.tree)
        await prove_leaves(binder.tree, self._guard)
        await prove_wall(self._guard, self._gate.headers)
        await prove_limits(self._limits.limiter)
        await prove_authentication(self._sign_in.authenticator())
        prove_sanitization()
        await self._databases.prove()
        self._found = describe_start(
            self.settings, plans, limits=self._limits, gate=self._gate, databases=self._databases
        )
        return self._found

    async def _stop(self) -> None:
        await self._wiring.close()
        self._sign_in.close()
        await self._limits.close()
        await self._databases.close()

    def _require_tenants(self) -> TenantServices:
        return self._tenants.require(self._sign_in.accounts, self._sign_in.sessions)

    def _grant(self, roles: frozenset[str]) -> frozenset[str]:
        return permissions_of(roles, self.settings.authorization.granted)

    def _make_guard(self) -> Guard:
        return self._gate.make_guard(self._sign_in.authenticator())
