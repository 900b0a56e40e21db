"""The wall: the outermost step, through which every request comes in and every answer leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stockade.core.decision import Decision
from stockade.core.exchange import SCOPE_KEY
from stockade.core.problems import (
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    HOST_REFUSED,
    INTERNAL,
    URL_TOO_LONG,
    Problem,
)
from stockade.web.channel import Channel
from stockade.web.responses import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from stockade.core.exchange import Exchange
    from stockade.events import EventLog
    from stockade.gate.guard import Guard
    from stockade.gate.lifecycle import Lifecycle
    from stockade.web.requests import RequestReader


_PROBLEMS: Final[dict[str, Problem]] = {
    "web.headers_too_large": HEADERS_TOO_LARGE,
    "web.host_not_allowed": HOST_REFUSED,
    "web.url_too_long": URL_TOO_LONG,
}


class WallMiddleware:
    """Opens the exchange of each request and lets no answer out that no gate decided on.

    Args:
        app: The application with all of its middleware.
        guard: The guard whose gates decide.
        reader: Reads address, host and request id.
        headers: Security headers for every answer.
        lifecycle: Starts the layers; nothing is served before they are in force.
        events: Where refusals are recorded.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        guard: Guard,
        reader: RequestReader,
        headers: tuple[tuple[bytes, bytes], ...],
        lifecycle: Lifecycle,
        events: EventLog,
    ) -> None:
        self._app = app
        self._guard = guard
        self._reader = reader
        self._headers = list(headers)
        self._names = frozenset(name for name, _ in headers) | {b"x-request-id"}
        self._lifecycle = lifecycle
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request in, or hand the lifespan to the lifecycle."""
        if scope["type"] == "lifespan":
            await self._lifecycle.run(self._app, scope, receive, send)
            return
        exchange, reason = self._reader.open(scope, self._guard)
        channel = Channel(
            exchange,
            scope,
            receive,
            send,
            self._headers,
            self._names,
            self._record,
        )
        if reason is not None:
            await self._refuse(reason, exchange, scope, channel)
            return
        if not self._lifecycle.in_force and not await self._lifecycle.start():
            exchange.decision = Decision(granted=False, reason="application.start_failed")
            await refuse(
                INTERNAL, scope, channel.receive, channel.send, request_id=exchange.request_id
            )
            return
        scope[SCOPE_KEY] = exchange
        # Some servers share one state among all requests of a connection, which may be those of a
        # proxy's many clients: the caller of one must not be found in the next.
        scope["state"] = dict(scope.get("state") or ())
        if exchange.from_proxy:
            # What the application reads is what the proxies that are trusted have seen.
            scope["scheme"] = exchange.scheme
            scope["client"] = (exchange.client, 0)
        await self._app(scope, channel.receive, channel.send)

    async def _refuse(
        self, reason: str, exchange: Exchange, scope: Scope, channel: Channel
    ) -> None:
        exchange.decision = Decision(granted=False, reason=reason)
        scope[SCOPE_KEY] = exchange
        bad_host = reason == "web.host_not_allowed"
        self._record("web.host_refused" if bad_host else "web.request_refused", scope, reason)
        problem = _PROBLEMS.get(reason, BAD_REQUEST)
        await refuse(problem, scope, channel.receive, channel.send, request_id=exchange.request_id)

    def _record(self, name: str, scope: Scope, reason: str) -> None:
        self._events.emit(name, scope=scope, reason=reason)
