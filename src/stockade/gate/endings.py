"""Follow a request to its end, for limits that count some answers only or what is in flight."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Message, Scope, Send

    from stockade.core.exchange import Exchange
    from stockade.gate.plans import Plan
    from stockade.rate_limiting.leases import Place
    from stockade.rate_limiting.limiter import RateLimiter

_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})
_ENDS: Final = frozenset({"http.response.body", "websocket.http.response.body"})
_SWITCHING: Final = 101
_FORBIDDEN: Final = 403
_SERVER_ERROR: Final = 500


class Ending:
    """The end of one request: its answer, its failure, or its client gone.

    Before the last part of an answer goes out, what does not count goes back and the place is free,
    so that a client that waits for its answer is not in its own way. Whatever else happens, the
    place is free when the request has ended.

    Args:
        limiter: Has counted the request.
        exchange: State of the request.
        send: To the client.
    """

    __slots__ = ("_exchange", "_limiter", "_places", "_send", "_status")

    def __init__(self, limiter: RateLimiter, exchange: Exchange, send: Send) -> None:
        self._limiter = limiter
        self._exchange = exchange
        self._send = send
        self._status: int | None = None
        self._places: list[Place] = []

    async def enter(self, plan: Plan, scope: Scope) -> None:
        """Hold a place for an admitted request.

        Raises:
            RateLimitedError: All are held.
            StoreError: The store is away and has no failure policy.
        """
        if plan.in_flight is not None:
            self._places = await self._limiter.enter(plan.in_flight, self._exchange, scope)

    async def send(self, message: Message) -> None:
        """Hand on one message of the answer."""
        kind = message["type"]
        if kind in _STARTS:
            self._status = message["status"]
        elif kind == "websocket.accept":
            self._status = _SWITCHING
        elif kind == "websocket.close" and self._status is None:
            self._status = _FORBIDDEN
        elif kind in _ENDS and not message.get("more_body", False):
            await self._settle()
        await self._send(message)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self._settle()
            return
        if self._status is None and isinstance(error, Exception):
            self._status = error.status_code if isinstance(error, HTTPException) else _SERVER_ERROR
        # The task may have been cancelled, and would not get through a single wait.
        task = asyncio.create_task(self._settle())
        _FINISHING.add(task)
        task.add_done_callback(_FINISHING.discard)

    async def _settle(self) -> None:
        places, self._places = self._places, []
        if places:
            await self._limiter.leave(places)
        # Of a client that has gone away before there was an answer, all counts.
        if self._exchange.reservations and self._status is not None:
            await self._limiter.settle(self._exchange, self._status)


# The loop holds tasks weakly; what is still to be given back must not be collected.
_FINISHING: Final[set[asyncio.Task[None]]] = set()
