"""Keep what belongs to an event loop apart from what belongs to another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

_Thing = TypeVar("_Thing")


class PerLoop(Generic[_Thing]):
    """Make something once for each event loop, such as connections; safe for several threads.

    Args:
        make: Makes it; nothing may wait in there.
    """

    def __init__(self, make: Callable[[], _Thing]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, _Thing] = {}
        self._last: tuple[asyncio.AbstractEventLoop, _Thing] | None = None
        self._lock = Lock()

    def get(self) -> _Thing:
        """Return what belongs to the running loop."""
        loop = asyncio.get_running_loop()
        last = self._last
        if last is not None and last[0] is loop:
            return last[1]
        with self._lock:
            for other in [each for each in self._made if each.is_closed()]:
                del self._made[other]
            if loop not in self._made:
                self._made[loop] = self._make()
            self._last = (loop, self._made[loop])
            return self._made[loop]

    def forget(self) -> dict[asyncio.AbstractEventLoop, _Thing]:
        """Return what was made for loops that are not closed, and make it anew from now on."""
        with self._lock:
            made, self._made, self._last = self._made, {}, None
        return {loop: thing for loop, thing in made.items() if not loop.is_closed()}
