"""Wire the gate: what binds policies to routes, decides, and reads requests first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stockade.errors import ConfigurationError
from stockade.events import EventLog
from stockade.gate.binder import Binder
from stockade.gate.columns import ColumnCheck
from stockade.gate.compiling import PlanCompiler
from stockade.gate.guard import Guard
from stockade.gate.requests import RequestCheck
from stockade.gate.settings import GateSettings
from stockade.gate.wall import WallMiddleware
from stockade.storage.sql.dependencies import check_loaders
from stockade.web import ClientAddresses, HostAllowList, security_headers
from stockade.web.errors import ErrorAnswers
from stockade.web.requests import RequestReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from stockade.core.clock import Clock
    from stockade.core.interfaces import Authenticator
    from stockade.gate.lifecycle import Lifecycle
    from stockade.gate.plans import Plan
    from stockade.gate.tree import Leaf
    from stockade.rate_limiting import RateLimiter
    from stockade.settings import Settings

_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]", "testserver")


class GateWiring:
    """Makes what stands in front of routes.

    Args:
        settings: Settings of all layers.
        limiter: Counts requests.
        find_bases: Finds the declarative bases of the application's models.
        events: Where it is recorded what is refused.
        clock: Source of time.

    Attributes:
        headers: Security headers of each answer.
        requests: Checks what routes take.
        columns: Compares what routes take with columns.

    Raises:
        ConfigurationError: An application that is deployed does not say by which names it is
            reached.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        limiter: RateLimiter,
        find_bases: Callable[[], Iterable[Any]],
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._limiter = limiter
        self._events = events
        self._clock = clock
        self._reader = _make_reader(settings)
        self.headers = security_headers(settings.web, hsts=settings.environment.is_deployed)
        self.columns = ColumnCheck(settings.validation, find_bases)
        self.requests = RequestCheck(settings.validation, columns=self.columns)

    def make_guard(self, authenticator: Authenticator) -> Guard:
        """Make what decides over requests."""
        return Guard(
            authenticator=authenticator,
            limiter=self._limiter,
            docs=self._settings.api_docs,
            events=self._events,
            clock=self._clock,
            factor_required_for=self._settings.authorization.factor_required_for,
        )

    def make_planted_binder(self, app: Starlette, guard: Guard) -> Binder:
        """Make what binds the routes of an application that is there to prove the binding alone."""
        # Policies by route name routes of the real application only.
        return self.make_binder(
            app, guard, gate=GateSettings(), events=EventLog([], clock=self._clock)
        )

    def make_binder(
        self,
        app: Starlette,
        guard: Guard,
        *,
        gate: GateSettings | None = None,
        events: EventLog | None = None,
    ) -> Binder:
        """Make what binds a plan to each route of an application.

        Args:
            app: The application.
            guard: Decides over its requests.
            gate: Settings in the place of those of the application.
            events: Where findings go in the place of the application's events.
        """
        settings = self._settings
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
            answers=ErrorAnswers(self._events, self.requests.describe),
            answering=gate.answering_middleware,
            docs_origins=settings.api_docs.connect_origins,
            check_leaf=self._check_leaf,
            allow_debug=not settings.environment.is_deployed,
            events=events or self._events,
        )

    def make_wall(self, app: ASGIApp, guard: Guard, lifecycle: Lifecycle) -> WallMiddleware:
        """Put the wall around an application with all of its middleware."""
        return WallMiddleware(
            app,
            guard=guard,
            reader=self._reader,
            headers=self.headers,
            lifecycle=lifecycle,
            events=self._events,
        )

    def _check_leaf(self, leaf: Leaf, plan: Plan) -> list[str]:
        problems = [] if leaf.dependant is None else check_loaders(leaf.dependant, leaf.template)
        return self.requests.check(leaf, plan) + [f"{leaf.label}: {each}" for each in problems]


def _make_reader(settings: Settings) -> RequestReader:
    hosts = settings.web.allowed_hosts
    if not hosts:
        if settings.environment.is_deployed:
            message = (
                "no host names: set STOCKADE_WEB__ALLOWED_HOSTS to the names this server answers to"
            )
            raise ConfigurationError(message)
        hosts = _LOCAL_HOSTS
    addresses = ClientAddresses(settings.web.trusted_proxies)
    return RequestReader(settings.web, addresses=addresses, hosts=HostAllowList(hosts))
