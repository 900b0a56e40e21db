"""Attach limits to endpoints and routers, and what else needs to know Starlette's types."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, get_args

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse

from stockade.core.dependencies import PolicyMark
from stockade.core.limits import FailurePolicy
from stockade.core.policy import Policy
from stockade.errors import ConfigurationError, RateLimitedError
from stockade.rate_limiting.rules import is_text, parse_rules
from stockade.rate_limiting.settings import with_failure


def rate_limit(
    text: str,
    *,
    scope: str | None = None,
    key: Callable[..., object] | None = None,
    cost: int = 1,
    failure: FailurePolicy | None = None,
) -> PolicyMark:
    """Limit an endpoint or a router, in place of the default limits.

    Args:
        text: Limits such as ``"100/minute; 5/second"``; all of them hold.
        scope: Name under which several routes share the limits; without one, each route counts for
            itself.
        key: Names the bucket of a request, given the connection or nothing; without one, the
            verified caller, else the address.
        cost: Units that one request takes.
        failure: What holds while the store is away: ``closed``, ``open`` or ``local``; without it,
            what the settings say for this kind of route.

    Raises:
        ConfigurationError: The notation, the cost, the key function or the failure policy is wrong;
            raised at import.
    """
    if failure not in {None, *get_args(FailurePolicy)}:
        raise ConfigurationError("the failure policy of a limit is closed, open or local")
    rules = with_failure(parse_rules(text, scope=scope, key=key, cost=cost), failure)
    return PolicyMark(Policy(limits=rules, origins=(f"rate_limit({text!r})",)))


def unlimited(reason: str) -> PolicyMark:
    """Free an endpoint or a router from the default limits.

    Args:
        reason: Why that is safe; the audit shows it.

    Raises:
        ConfigurationError: There is no reason.
    """
    if not is_text(reason):
        raise ConfigurationError(
            'unlimited needs a reason: @unlimited("called by the load balancer")'
        )
    return PolicyMark(Policy(unlimited=(reason,), origins=(f"unlimited({reason!r})",)))


def connection_of(scope: MutableMapping[str, Any]) -> HTTPConnection:
    """Build what a custom key function is given; a request has no body yet."""
    return Request(scope) if scope["type"] == "http" else HTTPConnection(scope)


def rate_limit_exceeded_handler(
    request: Request,  # noqa: ARG001 - the signature of an exception handler
    exc: Exception,
) -> JSONResponse:
    """Answer a used-up limit as slowapi's handler does, for applications that register it.

    Raises:
        ConfigurationError: It was registered for another exception.
    """
    if not isinstance(exc, RateLimitedError):
        raise ConfigurationError("this handler answers RateLimitExceeded alone") from exc
    seconds = str(max(1, round(exc.retry_after.total_seconds())))
    return JSONResponse(
        {"error": "Rate limit exceeded"},
        status_code=429,
        headers={"Retry-After": seconds, **exc.headers},
    )
