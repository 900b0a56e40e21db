"""Let an application answer a used-up limit in its own way, as programs written for slowapi do.

They register a handler for ``RateLimitExceeded``, or for the status 429. A gate refuses before
anything of the application runs, where Starlette would not find such a handler.
"""

from __future__ import annotations

from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from stockade.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from starlette.responses import Response

_STATUS: Final = 429
_VIEW_LIMIT: Final = "view_rate_limit"
"""The name under which slowapi's own handler looks for what its headers say."""


def find_handler(error: Exception, scope: MutableMapping[str, Any]) -> Callable[..., Any] | None:
    """Return the handler that an application has for a used-up limit, if it has one."""
    if not isinstance(error, RateLimitedError) or scope["type"] != "http":
        return None
    handlers = getattr(scope.get("app"), "exception_handlers", {})
    found: Callable[..., Any] | None = handlers.get(RateLimitedError) or handlers.get(_STATUS)
    return found


async def ask_handler(
    handler: Callable[..., Any], error: Exception, scope: MutableMapping[str, Any]
) -> Response:
    """Return the answer of a handler.

    It has no body to read: a request over its limit must not cost more than the answer.
    """
    scope.setdefault("state", {})[_VIEW_LIMIT] = getattr(error, "headers", {})
    request = Request(scope)
    if iscoroutinefunction(handler):
        answer = await handler(request, error)
    else:
        answer = await run_in_threadpool(handler, request, error)
        answer = await answer if isawaitable(answer) else answer
    if not callable(answer):
        raise TypeError("a handler of a used-up limit has to return a response")
    found: Response = answer
    return found
