"""Do what a request has asked for after its answer, so that the answer tells nothing of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from stockade.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from stockade.events import EventLog

_ROOM: Final = 1000
# Errands need the connections that requests need: a flood of them must not take them all.
_AT_ONCE: Final = 4
_PATIENCE: Final = 10
_RETRY: Final = timedelta(seconds=5)


class Errands:
    """Run errands beside the requests: look an address up, write a link, send a mail.

    A request that only hands over an errand takes the same time for known and unknown accounts, and
    a slow mail server keeps nobody waiting (ASVS 5.0 V6.3.8).

    Args:
        events: Where errands that fail are recorded.
        room: Errands under way beyond which `start` refuses with 503.
    """

    def __init__(self, *, events: EventLog, room: int = _ROOM) -> None:
        self._events = events
        self._room = room
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate = asyncio.Semaphore(_AT_ONCE)

    def start(
        self, name: str, errand: Callable[[], Awaitable[None]], *, scope: Mapping[str, Any] | None
    ) -> None:
        """Start an errand and return at once.

        Args:
            name: What it is, for the event of its failure.
            errand: Does it; whatever it raises is recorded by its kind alone.
            scope: ASGI scope of the request that asks for it.

        Raises:
            UnavailableError: Too many are under way.
        """
        if len(self._tasks) >= self._room:
            raise UnavailableError(reason="authentication.errands_full", retry_after=_RETRY)
        self._spawn(self._run_in_turn(name, errand, scope))

    def add(
        self, name: str, errand: Callable[[], Awaitable[None]], *, scope: Mapping[str, Any] | None
    ) -> None:
        """Start an errand that is neither refused nor waits: a seldom one, counted before."""
        self._spawn(self._run(name, errand, scope))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # A test client may run one loop after another, and a semaphore belongs to one.
            self._loop, self._gate = loop, asyncio.Semaphore(_AT_ONCE)
        task = loop.create_task(work)
        # The loop itself keeps no hold of a task.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_in_turn(
        self, name: str, errand: Callable[[], Awaitable[None]], scope: Mapping[str, Any] | None
    ) -> None:
        async with self._gate:
            await self._run(name, errand, scope)

    async def _run(
        self, name: str, errand: Callable[[], Awaitable[None]], scope: Mapping[str, Any] | None
    ) -> None:
        try:
            await errand()
        # Nobody waits for the errand: its event is the only trace of a failure.
        except Exception as error:  # noqa: BLE001 - whatever a mailer or a store raises
            self._events.emit(
                "authentication.errand_failed",
                scope=scope,
                reason="authentication.errand",
                details={"errand": name, "problem": type(error).__name__},
            )

    async def settle(self) -> None:
        """Wait until all errands are done."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Wait a while for errands that are under way, and give up those that take longer."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=_PATIENCE)
        for task in late:
            task.cancel()
