"""Start the layers before the first request is served, with or without a lifespan."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from stockade.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stockade.events import EventLog

_log = logging.getLogger("stockade")


class Lifecycle:
    """Runs the start-up once, and remembers whether every layer is in force.

    Args:
        start: Binds and proves every layer, and says what it found; raises where one is not in
            force.
        stop: Gives back connections and threads.
        events: Where the start is recorded.
    """

    def __init__(
        self,
        *,
        start: Callable[[], Awaitable[Mapping[str, str]]],
        stop: Callable[[], Awaitable[None]],
        events: EventLog,
    ) -> None:
        self._start = start
        self._stop = stop
        self._events = events
        self._lock = asyncio.Lock()
        self._failure: str | None = None
        self.in_force = False

    async def start(self) -> bool:
        """Start if that has not happened; False means that nothing may be served."""
        async with self._lock:
            if self.in_force or self._failure is not None:
                return self.in_force
            try:
                found = await self._start()
            except (ConfigurationError, StoreError) as error:
                self._failure = str(error)
                _log.critical("Stockade refuses to start: %s", error)
                self._events.emit(
                    "application.start_failed", reason=error.code, details={"problem": str(error)}
                )
                return False
            self.in_force = True
            self._events.emit("application.started", details=found)
            return True

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan; it is complete when every layer is in force.

        Raises:
            ConfigurationError: The start has failed, after the server was told so.
        """
        failed = False

        async def receive_or_end() -> Message:
            # After a failed start the server sends nothing more, but the application has to close
            # what it opened.
            return {"type": "lifespan.shutdown"} if failed else await receive()

        async def send_checked(message: Message) -> None:
            nonlocal failed
            if failed:
                return
            if message["type"] == "lifespan.startup.complete" and not await self.start():
                failed = True
                message = {
                    "type": "lifespan.startup.failed",
                    "message": f"Stockade refuses to start: {self._failure}",
                }
            if message["type"] == "lifespan.shutdown.complete":
                await self.close()
            await send(message)

        await app(scope, receive_or_end, send_checked)
        if failed:
            await self.close()
            # As Starlette does: a test client, which does not read the message, sees the error.
            raise ConfigurationError(self._failure)

    async def close(self) -> None:
        """Give back what the layers hold; a later lifespan starts and proves them anew."""
        self.in_force = False
        await self._stop()
