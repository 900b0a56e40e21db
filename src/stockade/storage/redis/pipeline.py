"""Keep one connection to a server busy with several calls at once.

redis-py connects, signs in and reads; of its connections only public methods are used. What its
client does for each command beside that costs as much as the command itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from stockade.errors import ConfigurationError

try:
    from redis.asyncio.connection import AbstractConnection
    from redis.exceptions import ConnectionError as LostError
    from redis.exceptions import ReadOnlyError, ResponseError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error


def encode_command(parts: Iterable[bytes]) -> bytes:
    """Write a command as the server reads it (RESP 2 and 3)."""
    written = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"*%d\r\n%b" % (len(written), b"".join(written))


class _Line:
    """A connection, and the end of the line of those who wait for its answers."""

    __slots__ = ("broken", "connection", "last")

    def __init__(self, connection: AbstractConnection) -> None:
        self.connection = connection
        self.last: asyncio.Future[None] | None = None
        self.broken = False


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
        if line is None:
            async with self._connecting:
                line = self._line or await self._connect()
        before, mine = line.last, asyncio.get_running_loop().create_future()
        line.last = mine
        try:
            await line.connection.send_packed_command(commands, check_health=False)
            if before is not None and not before.done():
                await before
            return [await _read(line) for _ in range(count)]
        except BaseException:
            await self._drop(line)
            raise
        finally:
            if not mine.done():
                mine.set_result(None)

    async def close(self) -> None:
        """Close the connection; those who wait hear that it is lost."""
        if self._line is not None:
            await self._drop(self._line)

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
