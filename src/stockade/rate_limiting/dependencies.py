"""Attach limits to endpoints and routers, and what else needs to know Starlette's types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Any, Literal, get_args

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse

from stockade.core.dependencies import PolicyMark
from stockade.core.limits import Exemption, FailurePolicy, LimitRule, LimitTerms, Unit
from stockade.core.policy import Policy
from stockade.errors import ConfigurationError, RateLimitedError
from stockade.rate_limiting.keys import verify_function
from stockade.rate_limiting.rules import in_flight_rule, is_text, parse_rules
from stockade.rate_limiting.settings import with_failure
from stockade.rate_limiting.terms import make_rules, make_terms, strategy_of
from stockade.rate_limiting.unenforced import watch_for_applications_without_stockade


def rate_limit(
    text: str | Callable[..., object] | None = None,
    *,
    tiers: Mapping[str, str] | None = None,
    messages: str | None = None,
    in_flight: int | None = None,
    scope: str | None = None,
    key: Callable[..., object] | None = None,
    cost: int | Callable[..., object] = 1,
    count: Literal["all", "failures"] | Collection[int] = "all",
    strategy: str = "gcra",
    message: str | None = None,
    failure: FailurePolicy | None = None,
) -> PolicyMark:
    """Limit an endpoint or a router, in place of the default limits.

    Functions are given the connection or nothing. One that fails frees nobody: see the page on how
    limits work.

    Args:
        text: Limits such as ``"100/minute; 5/second"``; all of them hold. With ``tiers`` a function
            that names the tier of a request.
        tiers: Limits of each tier, by name.
        messages: Limits of what comes in on an open websocket.
        in_flight: How many requests or websockets may be open at once.
        scope: Name under which several routes share the limits; without one, each route counts for
            itself.
        key: Names the bucket of a request; without one, the verified caller, else the address.
        cost: Units that one request takes, or a function that says how many.
        count: ``all`` answers, ``failures`` (400 and above), or the statuses that count. A limit
            that does not count all of them stands beside the default ones.
        strategy: ``gcra``, ``fixed-window``, ``sliding-window-counter`` or ``moving-window``.
        message: What the client is told when it is refused.
        failure: What holds while the store is away: ``closed``, ``open`` or ``local``; without it,
            what the settings say for this kind of route.

    Raises:
        ConfigurationError: The notation, a number or a function is wrong; raised at import.
    """
    if failure not in {None, *get_args(FailurePolicy)}:
        raise ConfigurationError("the failure policy of a limit is closed, open or local")
    rules: list[LimitRule] = []
    terms = make_terms(cost=cost, count=count, message=message)
    if text is not None:
        fixed = cost if isinstance(cost, int) else 1
        chosen = strategy_of(strategy)
        rules += make_rules(
            text, tiers=tiers, scope=scope, key=key, cost=fixed, strategy=chosen, terms=terms
        )
    elif tiers is not None or cost != 1 or count != "all" or strategy != "gcra":
        raise ConfigurationError("tiers, cost, count and strategy belong to limits of requests")
    told = None if message is None else LimitTerms(message=message)
    if messages is not None:
        rules += parse_rules(messages, scope=scope, key=key, unit=Unit.MESSAGES, terms=told)
    if in_flight is not None:
        rules.append(in_flight_rule(in_flight, scope=scope, key=key, terms=told))
    if not rules:
        raise ConfigurationError("rate_limit needs a limit: @rate_limit('100/minute')")
    named = text if isinstance(text, str) else ", ".join(filter(None, [messages, str(in_flight)]))
    watch_for_applications_without_stockade()
    bound = with_failure(tuple(rules), failure)
    return PolicyMark(Policy(limits=bound, origins=(f"rate_limit({named!r})",)))


def unlimited(reason: str, *, when: Callable[..., object] | None = None) -> PolicyMark:
    """Free an endpoint or a router from the default limits.

    Args:
        reason: Why that is safe; the audit shows it.
        when: Says which requests are free, of all limits of the route, by returning True; a
            function of the connection, or of nothing. Without one, all are.

    Raises:
        ConfigurationError: There is no reason, or the function is wrong.
    """
    if not is_text(reason):
        raise ConfigurationError(
            'unlimited needs a reason: @unlimited("called by the load balancer")'
        )
    origins = (f"unlimited({reason!r})",)
    if when is None:
        return PolicyMark(Policy(unlimited=(reason,), origins=origins))
    verify_function("a function that frees requests", when)
    return PolicyMark(Policy(exemptions=(Exemption(reason, when),), origins=origins))


def connection_of(scope: MutableMapping[str, Any]) -> HTTPConnection:
    """Build what a custom key function is given; a request has no body yet."""
    return Request(scope) if scope["type"] == "http" else HTTPConnection(scope)


def rate_limit_exceeded_handler(
    request: Request,  # noqa: ARG001 - the signature of an exception handler
    exc: Exception,
) -> JSONResponse:
    """Answer a used-up limit word for word as slowapi's handler does.

    Raises:
        ConfigurationError: It was registered for another exception.
    """
    if not isinstance(exc, RateLimitedError):
        raise ConfigurationError("this handler answers RateLimitExceeded alone") from exc
    seconds = str(max(1, round(exc.retry_after.total_seconds())))
    return JSONResponse(
        {"error": f"Rate limit exceeded: {exc.detail}"},
        status_code=429,
        headers={"Retry-After": seconds, **exc.headers},
    )
