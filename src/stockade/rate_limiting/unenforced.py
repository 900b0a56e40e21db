"""Let no application start whose limits nobody would enforce.

A limit is a note on a function, and without Stockade nothing reads it: the application would answer
without limits, and nothing would say so. Starlette has no hook for this, so the method that
every application calls once, before its first request, looks for such notes first.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette

from stockade.core.policy import policies_of
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

ENFORCED: Final = "__stockade_enforced__"
_WATCHING: Final = "__stockade_watching__"


class UnenforcedLimitError(ConfigurationError):
    """An application has limits that nothing enforces."""

    code = "limits_unenforced"


def watch_for_applications_without_stockade() -> None:
    """Look at each application of this process before its first request; once is enough."""
    # FastAPI does not call Starlette's method from its own.
    for kind in (Starlette, FastAPI):
        build: Any = kind.build_middleware_stack
        if not getattr(build, _WATCHING, False):
            setattr(kind, build.__name__, _looking(build))


def _looking(build: Callable[[Any], ASGIApp]) -> Callable[[Any], ASGIApp]:
    @wraps(build)
    def build_if_enforced(app: Starlette) -> ASGIApp:
        require_enforcement(app)
        return build(app)

    setattr(build_if_enforced, _WATCHING, True)
    return build_if_enforced


def note_enforcement(app: Starlette) -> None:
    """Note that a gate enforces the limits of an application."""
    setattr(app, ENFORCED, True)


def require_enforcement(app: Starlette) -> None:
    """Check that an application has no limits, or a gate that enforces them.

    Raises:
        UnenforcedLimitError: Nothing enforces them.
    """
    if getattr(app, ENFORCED, False):
        return
    for context in iter_route_contexts(app.router.routes):
        endpoint = context.endpoint
        dependant = getattr(getattr(context.matches, "__self__", None), "dependant", None)
        if _has_limits(endpoint) or (dependant is not None and _depends_on_limits(dependant)):
            where = getattr(endpoint, "__qualname__", type(endpoint).__name__)
            message = (
                f"nothing enforces the limit on {where}: call Stockade(Settings()).install(app)"
                " where the application is made"
            )
            raise UnenforcedLimitError(message)


def _has_limits(function: object) -> bool:
    return any(policy.limits for policy in policies_of(function))


def _depends_on_limits(dependant: Any) -> bool:  # noqa: ANN401 - FastAPI's Dependant
    return any(
        _has_limits(each.call) or _depends_on_limits(each) for each in dependant.dependencies
    )


def require_no_foreign_middleware(app: Starlette, limiter: object) -> None:
    """Check that no middleware of slowapi asks a limiter that is not slowapi's.

    Raises:
        ConfigurationError: One would, and answer every request with 500.
    """
    for entry in app.user_middleware:
        kind: object = entry.cls
        if _is_of_slowapi(kind) and not _is_of_slowapi(type(limiter)):
            name = getattr(kind, "__name__", "SlowAPIMiddleware")
            message = f"{name} asks slowapi's own Limiter: remove it, Stockade enforces the limits"
            raise ConfigurationError(message)


def _is_of_slowapi(kind: object) -> bool:
    return str(getattr(kind, "__module__", "")).partition(".")[0] == "slowapi"
