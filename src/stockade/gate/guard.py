"""Decide on each request, in the one order of layers, before the handler and before the body.

The order (design: "from socket to row"): announced size, limit by address, authentication, limit by
principal, role and permission and freshness. `Guard.admit` is the only place that knows it. For a
caller who has been verified a moment ago, both limits are one question to their store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stockade.api_docs import verify_basic
from stockade.authorization.dependencies import raise_refusal
from stockade.authorization.engines.registering import report_failure
from stockade.authorization.objects import ENGINE_FAILED
from stockade.authorization.rules import decide, decide_demand
from stockade.core.decision import Decision
from stockade.core.exchange import SCOPE_KEY
from stockade.core.problems import UNDECIDED, problem_for
from stockade.errors import (
    BodyTooLargeError,
    DeniedError,
    ForbiddenError,
    NotFoundError,
    StoreError,
)
from stockade.events import event_name_for
from stockade.gate.content import CheckedBody, without_coding
from stockade.gate.endings import Ending
from stockade.gate.own_answers import ask_handler, find_handler
from stockade.gate.plans import Access, Plan
from stockade.gate.sockets import WatchedSocket
from stockade.web.responses import refuse, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from stockade.api_docs import APIDocsSettings
    from stockade.core.clock import Clock
    from stockade.core.exchange import Exchange
    from stockade.core.identity import Principal
    from stockade.core.interfaces import Authenticator
    from stockade.core.problems import Problem
    from stockade.events import EventLog
    from stockade.rate_limiting.limiter import RateLimiter
    from stockade.validation.content import ContentRules

_RECORDED: Final = frozenset({"rate_limiting.exceeded", "rate_limiting.too_many_at_once"})
_NOTHING: Final[dict[str, Any]] = {}


class Guard:
    """The gate's decisions for one application.

    Args:
        authenticator: Turns the credentials of a request into a principal.
        limiter: Checks limits.
        docs: Credentials of the API documentation.
        events: Where refusals are recorded.
        clock: Source of time.
        factor_required_for: Roles that need a second factor.

    Attributes:
        plans: Plan of each bound object or effective context, by identity.
        is_stale: Tells whether routes have changed since they were bound.
        refresh: Binds anew where routes have changed; False means that nothing may be served.
    """

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        limiter: RateLimiter,
        docs: APIDocsSettings,
        events: EventLog,
        clock: Clock,
        factor_required_for: frozenset[str] = frozenset(),
    ) -> None:
        self._factor_required_for = factor_required_for
        self._authenticator = authenticator
        self._limiter = limiter
        self._docs = docs
        self._events = events
        self._clock = clock
        self.plans: dict[int, Plan] = {}
        self.is_stale: Callable[[], bool] = _always_stale
        self.refresh: Callable[[], bool] = _never_bound

    @property
    def authenticator(self) -> Authenticator:
        """What turns the credentials of a request into a principal; tests may put another there."""
        return self._authenticator

    @authenticator.setter
    def authenticator(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def find_plan(self, holder: object, scope: Scope) -> Plan | None:
        """Return the plan of the object that is about to serve a request.

        FastAPI serves one route object in several places if its router is included several times;
        the effective context in the scope tells them apart. That key is FastAPI's own: should it
        ever be missing, no plan is found, and the request is refused.
        """
        context = scope.get("fastapi", _NOTHING).get("effective_route_context")
        if context is not None and context.original_route is holder:
            return self.plans.get(id(context))
        return self.plans.get(id(holder))

    async def admit(self, plan: Plan, scope: Scope, exchange: Exchange) -> None:
        """Let a request pass, or raise.

        Raises:
            DeniedError: The request is refused.
            StoreError: A store that has to be asked is away.
        """
        exchange.route = plan.route
        exchange.policy = plan.policy
        if plan.body_limit is not None:
            exchange.body_limit = plan.body_limit
        access = plan.access
        asks = access is not Access.PUBLIC and access is not Access.DOCS
        if plan.optional:
            asks = (
                exchange.authorization is not None
                or exchange.api_key is not None
                or exchange.browser is not None
            )
        too_large = exchange.content_length > exchange.body_limit
        # Nothing is verified here, so an unknown caller has bought no work before the first limit.
        known = self._authenticator.peek(exchange) if asks and not too_large else None
        if known is not None:
            _enter(known, scope, exchange)
            if plan.together is not None:
                await self._limiter.check(plan.together, exchange, scope)
            self._authorize(plan, known, scope)
            exchange.decision = plan.granted
            return
        if plan.before is not None:
            await self._limiter.check(plan.before, exchange, scope)
        if too_large:
            raise BodyTooLargeError(reason="validation.body_too_large", limit=exchange.body_limit)
        if access is Access.DOCS:
            if not self._docs.is_served:
                raise NotFoundError(reason="api_docs.off")
            verify_basic(exchange.authorization, self._docs)
        elif asks:
            await self._admit_principal(plan, scope, exchange)
        exchange.decision = plan.granted

    async def _admit_principal(self, plan: Plan, scope: Scope, exchange: Exchange) -> None:
        principal = await self._authenticator.authenticate(exchange)
        _enter(principal, scope, exchange)
        if plan.after is not None:
            await self._limiter.check(plan.after, exchange, scope)
        self._authorize(plan, principal, scope)

    def _authorize(self, plan: Plan, principal: Principal, scope: Scope) -> None:
        if plan.access is Access.CLOSED:
            raise ForbiddenError(reason="gate.no_policy")
        if self._factor_required_for and not plan.policy.factorless:
            demand = decide_demand(self._factor_required_for, principal)
            raise_refusal(demand, plan.policy)
        if plan.rules:
            policy = plan.policy
            now = None if policy.step_up is None else self._clock.now()
            decision = decide(policy, principal, now=now)
            if decision.reason == ENGINE_FAILED:
                report_failure(self._events, scope, decision)
            raise_refusal(decision, policy)

    def check_body(
        self, content: ContentRules, scope: Scope, receive: Receive, exchange: Exchange
    ) -> Receive:
        """Return what hands on the body of an admitted request, as far as its rules hold.

        It stands next to the endpoint: middleware that reads the body beforehand hands on what it
        likes, and that is what has to fit.

        Raises:
            DeniedError: What is announced can't be accepted.
        """
        check = content.open(scope["headers"], limit=lambda: exchange.body_limit)
        if check is None:
            return receive
        if check.inflates:
            scope["headers"] = without_coding(scope["headers"])

        def record(error: DeniedError) -> None:
            too_large = isinstance(error, BodyTooLargeError)
            name = "validation.body_too_large" if too_large else event_name_for(error.reason)
            self._events.emit(name, scope=scope, reason=error.reason)

        return CheckedBody(check, exchange, receive, record).receive

    def watch(  # noqa: PLR0917 - what a gate has
        self, plan: Plan, scope: Scope, receive: Receive, send: Send, exchange: Exchange
    ) -> WatchedSocket:
        """Go on asking who is there, for as long as an admitted websocket is open."""

        async def admit() -> None:
            if exchange.principal is None:
                return
            authenticator = self._authenticator
            known = authenticator.peek(exchange) or await authenticator.authenticate(exchange)
            _enter(known, scope, exchange)
            self._authorize(plan, known, scope)

        def record(error: Exception) -> None:
            self._record(error, scope)

        async def count() -> None:
            if plan.messages is not None:
                await self._limiter.count_message(plan.messages, exchange, scope)

        return WatchedSocket(
            receive,
            send,
            admit=admit,
            count=None if plan.messages is None else count,
            monotonic=self._clock.monotonic,
            on_refusal=record,
        )

    def open_ending(self, send: Send, exchange: Exchange) -> Ending:
        """Follow a request to its end, for limits that want to know it."""
        return Ending(self._limiter, exchange, send)

    async def limit_redirect(self, exchange: Exchange, scope: Scope) -> Problem | None:
        """Count an answer that comes from no route; return what to answer instead, if anything."""
        if self._limiter.redirects is None:
            return None
        try:
            await self._limiter.check(self._limiter.redirects, exchange, scope)
        except REFUSALS as error:
            return problem_for(self._record(error, scope))
        return None

    async def serve_refusal(
        self, error: Exception, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request that `admit` has refused, and record it."""
        exchange: Exchange = scope[SCOPE_KEY]
        denied = self._record(error, scope)
        exchange.decision = Decision(granted=False, reason=denied.reason)
        handler = None if exchange.planted else find_handler(denied, scope)
        if handler is not None:
            try:
                answer = await ask_handler(handler, denied, scope)
            except Exception as failure:  # noqa: BLE001 - whatever a function of the application raises
                name = type(failure).__name__
                self._events.emit("web.server_error", scope=scope, reason=name)
            else:
                await answer(scope, receive, send)
                return
        await refuse(problem_for(denied), scope, receive, send, request_id=exchange.request_id)

    def _record(self, error: Exception, scope: Scope) -> DeniedError:
        denied = error if isinstance(error, DeniedError) else unavailable(error)
        # The limiter records its own refusals, with the name of the limit.
        if denied.reason not in _RECORDED:
            away = isinstance(error, StoreError)
            name = "web.server_error" if away else event_name_for(denied.reason)
            self._events.emit(name, scope=scope, reason=denied.reason)
        return denied

    async def serve_unbound(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for something that has no plan: it is refused before it runs."""
        exchange: Exchange = scope[SCOPE_KEY]
        exchange.decision = Decision(granted=False, reason="gate.unbound_route")
        self._events.emit("gate.unbound_route", scope=scope, reason="gate.unbound_route")
        await refuse(UNDECIDED, scope, receive, send, request_id=exchange.request_id)


def _enter(principal: Principal, scope: Scope, exchange: Exchange) -> None:
    exchange.principal = principal
    scope.setdefault("state", {})["authenticated_user_id"] = principal.user_id


def _always_stale() -> bool:
    return True


def _never_bound() -> bool:
    return False


REFUSALS: Final = (DeniedError, StoreError)
