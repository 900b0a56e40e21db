"""Keep one connection to a server busy with several calls at once.

redis-py connects, signs in and reads; of its connections only public methods are used. What its
client does for each command beside that costs as much as the command itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from stockade.errors import ConfigurationError

try:
    from redis.asyncio.connection import AbstractConnection
    from redis.exceptions import ConnectionError as LostError
    from redis.exceptions import ReadOnlyError, RedisError, ResponseError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

# Seconds after which it is looked whether a connection is still open before it is used. Looking
# costs a tenth of a trip.
_IDLE: Final = 1.0


def encode_command(parts: Iterable[bytes]) -> bytes:
    """Write a command as the server reads it (RESP 2 and 3)."""
    written = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"*%d\r\n%b" % (len(written), b"".join(written))


class _Line:
    """A connection, and the end of the line of those who wait for its answers."""

    __slots__ = ("broken", "connection", "last", "used")

    def __init__(self, connection: AbstractConnection) -> None:
        self.connection = connection
        self.last: asyncio.Future[None] | None = None
        self.broken = False
        self.used = monotonic()

    def is_idle(self) -> bool:
        """Tell whether nothing has passed for a while."""
        return (self.last is None or self.last.done()) and monotonic() - self.used >= _IDLE


class Pipeline:
    """Send commands without waiting for the answers to earlier ones, over one connection.

    Answers come in the order of the commands, so a caller that is cancelled, or whose answer can't
    be read, takes the connection with it: nobody may be given the answer to another's command. The
    next command opens a new one. It is used from one event loop.

    Args:
        make: Makes a connection that has no limit of time for an answer; callers have one.
    """

    def __init__(self, make: Callable[[], AbstractConnection]) -> None:
        self._make = make
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, commands: bytes, count: int) -> list[object]:
        """Send commands and return the answer to each; an error that is an answer is returned.

        Args:
            commands: One or more commands, as `encode_command` writes them.
            count: How many they are.

        Raises:
            RedisError: The server is away, or does not let us in.
            OSError: The same.
        """
        line = self._line
        if line is None or line.is_idle():
            line = await self._open()
        before, mine = line.last, asyncio.get_running_loop().create_future()
        line.last = mine
        try:
            await line.connection.send_packed_command(commands, check_health=False)
            if before is not None and not before.done():
                await before
            answers = [await _read(line) for _ in range(count)]
        except BaseException:
            await self._drop(line)
            raise
        finally:
            if not mine.done():
                mine.set_result(None)
        line.used = monotonic()
        return answers

    async def close(self) -> None:
        """Close the connection; those who wait hear that it is lost."""
        if self._line is not None:
            await self._drop(self._line)

    async def _open(self) -> _Line:
        async with self._connecting:
            line = self._line
            if line is not None and line.is_idle() and not await _is_open(line.connection):
                # The server, or something between, has closed what was idle: nobody is refused.
                await self._drop(line)
            return self._line or await self._connect()

    async def _connect(self) -> _Line:
        connection = self._make()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py has no types for it
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._line = _Line(connection)
        return self._line

    async def _drop(self, line: _Line) -> None:
        line.broken = True
        if self._line is line:
            self._line = None
        await line.connection.disconnect(nowait=True)


async def _is_open(connection: AbstractConnection) -> bool:
    # Before redis-py 8 it had another name.
    look = getattr(connection, "can_read", None) or connection.can_read_destructive
    try:
        # What comes unasked is nobody's answer.
        return not await look()
    except (RedisError, OSError):
        return False


async def _read(line: _Line) -> object:
    if line.broken:
        raise LostError("the connection was lost")
    try:
        answer: object = await line.connection.read_response(disable_decoding=True)
    except ReadOnlyError:
        # What was a primary has become a replica: its address may lead to another one by now.
        raise
    except ResponseError as error:
        return error
    return answer
