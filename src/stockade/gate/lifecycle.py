"""Start the layers before the first request is served, with or without a lifespan."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final

from stockade.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stockade.core.clock import Clock
    from stockade.events import EventLog

_log = logging.getLogger("stockade")
# Seconds for which requests are refused at once before a store that was away is asked again.
_PAUSE: Final = 1.0


class Lifecycle:
    """Runs the start-up once, and remembers whether every layer is in force.

    Args:
        start: Binds and proves every layer, and says what it found; raises where one is not in
            force.
        stop: Gives back connections and threads.
        events: Where the start is recorded.
        clock: Source of time.
    """

    def __init__(
        self,
        *,
        start: Callable[[], Awaitable[Mapping[str, str]]],
        stop: Callable[[], Awaitable[None]],
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._start = start
        self._stop = stop
        self._events = events
        self._clock = clock
        self._lock = asyncio.Lock()
        self._failure: str | None = None
        self._retry_at = math.inf
        self.in_force = False

    async def start(self) -> bool:
        """Start if that has not happened; False means that nothing may be served."""
        async with self._lock:
            if self.in_force:
                return True
            if self._failure is not None and self._clock.monotonic() < self._retry_at:
                return False
            try:
                found = await self._start()
            except (ConfigurationError, StoreError) as error:
                self._fail(error)
                return False
            self.in_force, self._failure = True, None
            self._events.emit("application.started", details=found)
            return True

    def _fail(self, error: ConfigurationError | StoreError) -> None:
        self._failure = str(error)
        # A mistake stays one; a store that was away may be back at a later request.
        away = isinstance(error, StoreError)
        self._retry_at = self._clock.monotonic() + _PAUSE if away else math.inf
        _log.critical("Stockade refuses to start: %s", error)
        self._events.emit(
            "application.start_failed", reason=error.code, details={"problem": str(error)}
        )

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan; it is complete when every layer is in force.

        Raises:
            ConfigurationError: The start has failed, after the server was told so.
        """
        failed = False
        failure: str | None = None

        async def receive_or_end() -> Message:
            # After a failed start the server sends nothing more, but the application has to close
            # what it opened.
            return {"type": "lifespan.shutdown"} if failed else await receive()

        async def send_checked(message: Message) -> None:
            nonlocal failed, failure
            if failed:
                return
            if message["type"] == "lifespan.startup.complete" and not await self.start():
                failed, failure = True, self._failure
                # Servers end with this message, and do not wait for anything behind it.
                await self.close()
                message = {
                    "type": "lifespan.startup.failed",
                    "message": f"Stockade refuses to start: {failure}",
                }
            if message["type"] == "lifespan.shutdown.complete":
                await self.close()
            await send(message)

        await app(scope, receive_or_end, send_checked)
        if failed:
            # As Starlette does: a test client, which does not read the message, sees the error.
            raise ConfigurationError(failure)

    async def close(self) -> None:
        """Give back what the layers hold; a later lifespan starts and proves them anew."""
        self.in_force, self._failure = False, None
        await self._stop()
