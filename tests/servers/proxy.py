"""Stand between a client and a server, and spoil what passes."""

import asyncio
import contextlib
import random
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Fault(StrEnum):
    """What a proxy does."""

    NONE = "none"
    REFUSED = "refused"  # Nobody listens, and all connections are cut.
    RESET = "reset"  # Whoever sends something is cut off with RST.
    SILENT = "silent"  # Requests are taken and go nowhere.
    DEAF = "deaf"  # Requests arrive, and answers are lost: a connection open on one side.
    SLOW = "slow"  # Answers come late.
    PARTIAL = "partial"  # Half an answer, then the end.
    STALLED = "stalled"  # Half an answer, then nothing.
    GARBAGE = "garbage"  # An answer of random bytes.
    ANSWERED = "answered"  # The right form with the wrong content.


class Proxy:
    """A TCP proxy on a port of its own, in the event loop of the test.

    Args:
        url: Address of the server.
        late: Seconds by which answers are late under ``slow``.

    Attributes:
        trips: Answers of the server that have passed, each of them one round trip.
    """

    def __init__(self, url: str, *, late: float = 0.5) -> None:
        self._url = urlsplit(url)
        self._late = late
        self._fault = Fault.NONE
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random(7)
        self.trips = 0

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    @property
    def url(self) -> str:
        """Address of the server by way of the proxy."""
        credentials, at, _ = self._url.netloc.rpartition("@")
        return urlunsplit(self._url._replace(netloc=f"{credentials}{at}127.0.0.1:{self._port}"))

    async def set(self, fault: Fault) -> None:
        """Behave so from now on, for connections that are open as well."""
        before, self._fault = self._fault, fault
        if fault is Fault.REFUSED:
            await self._stop()
        elif before is Fault.REFUSED:
            await self._listen()

    async def cut(self) -> None:
        """Cut all connections that are open."""
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(
            self._url.hostname, self._url.port
        )
        for each in (writer, inner_writer):
            self._open.add(each)
        for pump in (
            self._requests(reader, inner_writer, writer),
            self._answers(inner_reader, writer, inner_writer),
        ):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _requests(
        self, reader: asyncio.StreamReader, inner: asyncio.StreamWriter, outer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._fault is Fault.RESET:
                    outer.transport.abort()
                elif self._fault is not Fault.SILENT:
                    inner.write(data)
                    await inner.drain()
        self._close(inner)

    async def _answers(
        self, reader: asyncio.StreamReader, outer: asyncio.StreamWriter, inner: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.trips += 1
                await self._answer(data, outer)
        self._close(outer)
        self._close(inner)

    async def _answer(self, data: bytes, outer: asyncio.StreamWriter) -> None:
        match self._fault:
            case Fault.DEAF | Fault.SILENT:
                return
            case Fault.SLOW:
                await asyncio.sleep(self._late)
            case Fault.PARTIAL:
                outer.write(data[: len(data) // 2])
                await outer.drain()
                outer.close()
                return
            case Fault.STALLED:
                data = data[: len(data) // 2]
            case Fault.GARBAGE:
                data = self._random.randbytes(max(64, len(data)))
            case Fault.ANSWERED:
                data = b":1\r\n"
            case _:
                pass
        outer.write(data)
        await outer.drain()

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()
