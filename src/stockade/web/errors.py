"""Answer every error of an application as problem details, without a word of what was submitted."""

from __future__ import annotations

import http
import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from fastapi import exception_handlers as fastapi_handlers
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from stockade.core.exchange import find_exchange
from stockade.core.problems import (
    BAD_REQUEST,
    CONTENT_TYPE,
    INTERNAL,
    invalid,
    problem_for,
    problem_for_status,
)
from stockade.errors import DeniedError, StoreError, UncheckedObjectError
from stockade.events import event_name_for
from stockade.web.channel import BodyRefusedError
from stockade.web.responses import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection

    from stockade.core.problems import Problem
    from stockade.events import EventLog

_POLICY_VIOLATION: Final = 1008
# None where a websocket was closed instead.
Answer: TypeAlias = Response | None
_BODILESS: Final = frozenset({204, 205, 304})
_QUIET: Final = frozenset({404})
# What `json.loads` raises.
_UNREADABLE: Final = (json.JSONDecodeError, RecursionError, UnicodeDecodeError)
# What FastAPI puts there by itself; anything else is the application's own and stays.
_DEFAULTS: Final = (
    fastapi_handlers.http_exception_handler,
    fastapi_handlers.request_validation_exception_handler,
    fastapi_handlers.websocket_request_validation_exception_handler,
)


class ErrorAnswers:
    """Exception handlers for an application and for every application mounted in it.

    Args:
        events: Where refusals and unexpected errors are recorded.
        describe: Turns validation errors of an endpoint into ``{pointer, code, message}`` members
            without any submitted value.
    """

    def __init__(
        self, events: EventLog, describe: Callable[[Sequence[Any], object], list[dict[str, str]]]
    ) -> None:
        self._events = events
        self._describe = describe

    def install(self, app: Starlette) -> None:
        """Put the handlers into an application; handlers of its own stay."""
        table: dict[Any, Any] = {
            HTTPException: self.answer_http_error,
            RequestValidationError: self.answer_invalid,
            WebSocketRequestValidationError: self.close_invalid,
            DeniedError: self.answer_denied,
            StoreError: self.answer_store_error,
            Exception: self.answer_unexpected,
        }
        if http.HTTPStatus.INTERNAL_SERVER_ERROR in app.exception_handlers:
            # Starlette takes a handler for 500 and one for Exception for the same thing.
            del table[Exception]
        for unreadable in _UNREADABLE:
            # A handler that an application has for more than this kind is for this kind, too.
            if not any(kind in app.exception_handlers for kind in unreadable.__mro__[1:-3]):
                table[unreadable] = self.answer_unreadable
        for kind, handler in table.items():
            present = app.exception_handlers.get(kind)
            if present is None or present in _DEFAULTS:
                app.exception_handlers[kind] = handler

    async def answer_http_error(self, connection: HTTPConnection, error: Exception) -> Answer:
        """Answer an `HTTPException` of a handler or of the framework."""
        if isinstance(error, BodyRefusedError):
            # It was recorded while the body was read.
            return await self._respond(connection, problem_for(error.error))
        if not isinstance(error, HTTPException):
            raise error
        if error.status_code < 200 or error.status_code in _BODILESS:  # noqa: PLR2004 - informational
            return Response(status_code=error.status_code, headers=error.headers)
        if 400 <= error.status_code < 500 and error.status_code not in _QUIET:  # noqa: PLR2004 - client errors
            self._emit(connection, "web.request_refused", f"http_{error.status_code}")
        problem = problem_for_status(error.status_code, detail=error.detail, headers=error.headers)
        return await self._respond(connection, problem)

    async def answer_denied(self, connection: HTTPConnection, error: Exception) -> Answer:
        """Answer a refusal by a dependency or a handler."""
        if not isinstance(error, DeniedError):
            raise error
        self._emit(connection, event_name_for(error.reason), error.reason)
        if isinstance(error, UncheckedObjectError):
            _release(connection)
        return await self._respond(connection, problem_for(error))

    async def answer_store_error(self, connection: HTTPConnection, error: Exception) -> Answer:
        """Answer 503 where a store is away."""
        self._emit(connection, "web.server_error", type(error).__name__)
        return await self._respond(connection, problem_for(unavailable(error)))

    async def answer_invalid(self, connection: HTTPConnection, error: Exception) -> Answer:
        """Answer 422 with place and rule of each mistake."""
        if not isinstance(error, RequestValidationError):
            raise error
        described = self._describe(error.errors(), connection.scope.get("endpoint"))
        self._emit(
            connection, "validation.refused", described[0]["code"] if described else "validation"
        )
        return await self._respond(connection, invalid(described))

    async def close_invalid(self, websocket: WebSocket, error: Exception) -> None:
        """Close a websocket whose parameters do not fit.

        FastAPI's own handler would send them back.
        """
        del error
        self._emit(websocket, "validation.refused", "validation")
        await websocket.close(code=_POLICY_VIOLATION)

    async def answer_unreadable(self, connection: HTTPConnection, error: Exception) -> Answer:
        """Answer 400 where ``await request.json()`` of a handler could not read the body.

        The look through bodies goes by their type, and such a handler does not.
        """
        if not _is_from_request(error):
            raise error
        self._emit(connection, "validation.refused", "validation.json_invalid")
        return await self._respond(connection, BAD_REQUEST)

    async def answer_unexpected(self, connection: HTTPConnection, error: Exception) -> Answer:
        """Answer 500; the server logs the error itself."""
        self._emit(connection, "web.server_error", type(error).__name__)
        _release(connection)
        return await self._respond(connection, INTERNAL)

    def _emit(self, connection: HTTPConnection, name: str, reason: str) -> None:
        self._events.emit(name, scope=connection.scope, reason=reason)

    async def _respond(self, connection: HTTPConnection, problem: Problem) -> Answer:
        if isinstance(connection, WebSocket) and not _may_be_denied(connection):
            await connection.close(code=_POLICY_VIOLATION)
            return None
        exchange = find_exchange(connection.scope)
        body = problem.encode(request_id=exchange.request_id if exchange else None)
        return Response(
            body, status_code=problem.status, headers=dict(problem.headers), media_type=CONTENT_TYPE
        )


def _release(connection: HTTPConnection) -> None:
    """Let the answer out: it is one of ours, and holds nothing of what was withheld."""
    exchange = find_exchange(connection.scope)
    if exchange is not None:
        exchange.withheld = None


def _may_be_denied(websocket: WebSocket) -> bool:
    """Tell whether a handshake is still open, and the server can answer it like a request."""
    return (
        websocket.application_state is WebSocketState.CONNECTING
        and "websocket.http.response" in websocket.scope.get("extensions", {})
    )


def _is_from_request(error: Exception) -> bool:
    """Tell whether an error was raised where Starlette parses the body, and nowhere else."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code is Request.json.__code__:
            return True
        frame = frame.tb_next
    return False
