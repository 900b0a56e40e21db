"""Run asynchronous work from a command."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

# aiosqlite's thread of a connection that could not be opened reports to the event loop although
# nobody waits for it; on a loop that is closed by then it prints a traceback.
_LINGERING = "(_connection_worker_thread)"
_LONGEST_WAIT = 1.0


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run work in an event loop of its own, and let the threads of connections end before it."""
    return asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        return await work
    finally:
        for thread in threading.enumerate():
            if thread.name.endswith(_LINGERING):
                await asyncio.to_thread(thread.join, _LONGEST_WAIT)
