"""Run hashing off the event loop, a few passwords at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from stockade.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


class HashingPool:
    """Run hashing in a few threads, with a bounded queue (bcrypt releases the interpreter lock).

    Args:
        threads: Calls that run at the same time.
        queue: Calls that may wait; one more is refused with 503, so that a flood of sign-ins can't
            stall the process.
    """

    def __init__(self, *, threads: int, queue: int) -> None:
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None
        self._room = threads + queue
        self._waiting = 0

    async def run(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Run a function in the pool and return its result.

        Raises:
            UnavailableError: The queue is full.
        """
        if self._waiting >= self._room:
            raise UnavailableError(
                reason="authentication.hashing_queue_full", retry_after=timedelta(seconds=1)
            )
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="stockade-hash")
        future = asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        self._waiting += 1
        # The place is free when the thread is, not when the client goes away: a cancelled wait
        # still occupies a thread.
        future.add_done_callback(self._leave)
        return await asyncio.shield(future)

    def _leave(self, _future: asyncio.Future[_Result]) -> None:
        self._waiting -= 1

    def close(self) -> None:
        """Give back the threads; calls that run are not waited for, a later call makes new ones."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
