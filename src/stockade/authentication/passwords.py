"""Hash and verify passwords with bcrypt, off the event loop."""

from __future__ import annotations

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import bcrypt

from stockade.authentication.errors import PasswordTooLongError
from stockade.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

# bcrypt reads 72 bytes; what comes after would be ignored, so that a longer password must be
# refused, never cut.
MAXIMUM_BYTES = 72
# The salt ends in a character whose unused bits are zero; bcrypt raises on any other, and on work
# factors below 4. Those beyond 20 take minutes: nobody made such a hash to sign in with.
_HASH = re.compile(
    r"\$2[aby]\$(?P<cost>0[4-9]|1\d|20)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII
)
_Result = TypeVar("_Result")


class BcryptHasher:
    """Hash passwords with bcrypt (requirement R6).

    Args:
        cost: Work factor, as a power of two.
    """

    def __init__(self, *, cost: int) -> None:
        self._cost = cost

    @cached_property
    def _decoy(self) -> str:
        """Hash of a password that nobody knows: checking against it costs what a real one costs.

        Made when it is first needed, which is in a thread of the pool and not on the event loop.
        """
        return self.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It has more than 72 bytes in UTF-8.
        """
        return bcrypt.hashpw(_encode(password), bcrypt.gensalt(self._cost)).decode("ascii")

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash.

        Without a usable hash the same work is done against a decoy, so that the time does not tell
        whether the account exists (ASVS 5.0 V6.3.8).
        """
        decoy = self._decoy
        usable = stored if stored and _HASH.fullmatch(stored) else None
        try:
            encoded = _encode(password)
        except PasswordTooLongError:
            # No stored hash can belong to it; spend the usual work all the same.
            encoded, usable = b"", None
        matches = bcrypt.checkpw(encoded, (usable or decoy).encode("ascii"))
        return matches and usable is not None

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made with another work factor than new ones are."""
        found = _HASH.fullmatch(stored)
        return found is None or int(found["cost"]) != self._cost


def _encode(password: str) -> bytes:
    # A lone surrogate can't be encoded strictly; such a password was never typed by anybody.
    encoded = password.encode("utf-8", errors="surrogatepass")
    if len(encoded) > MAXIMUM_BYTES or b"\0" in encoded:
        raise PasswordTooLongError(limit=MAXIMUM_BYTES)
    return encoded


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
