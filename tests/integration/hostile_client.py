"""Be the hostile client: raw sockets that say what no library would say, to a server of our own."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_048_576
FEWEST_ANSWERS = 3
LONGEST_WAIT = 60
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def memory(self, name: str) -> int:
        """Return a figure of the process in bytes, such as ``VmRSS``."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)

    def forget_peak(self) -> None:
        """Let ``VmHWM`` begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def running(parser: str) -> Iterator[Server]:
    """Serve the application with one of uvicorn's parsers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.hostile_server", parser],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Server(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass
class Attack:
    """One hostile request.

    Args:
        path: Where it goes.
        headers: What it says of itself.
        parts: Makes its body; sent until the server has had enough.
        expected: Status and code of the answer.
        chunked: Whether the parts are chunks; else they are sent as they are.
        growth: Most bytes that the server's memory may grow by.
    """

    path: str
    headers: dict[str, str]
    parts: Callable[[], Iterable[bytes]]
    expected: tuple[int, str]
    chunked: bool = True
    growth: int = 24 * MEGABYTE
    sent: int = field(default=0, init=False)


async def ask(port: int, attack: Attack) -> tuple[int, str]:
    """Send a request, and return status and code of the answer."""
    attack.sent = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"POST {attack.path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in attack.headers.items()]
    if attack.chunked:
        lines.append("Transfer-Encoding: chunked")
    receiving = asyncio.create_task(_receive(reader))

    async def send() -> None:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for part in attack.parts():
            if receiving.done():
                return
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if attack.chunked else part)
            attack.sent += len(part)
            await writer.drain()
            # Otherwise a fast sender never lets the answer be read.
            await asyncio.sleep(0)
        if attack.chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    # The server may close while we still send.
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(send(), 2 * LONGEST_WAIT)
    raw = await asyncio.wait_for(receiving, LONGEST_WAIT)
    writer.close()
    return read_answer(raw)


async def say(port: int, data: bytes, *, patience: float = 0.2) -> list[tuple[int, str]]:
    """Send bytes that are not quite HTTP, and return status and code of every answer.

    Args:
        port: Port of the server.
        data: What to send.
        patience: Seconds to wait for a second answer on a connection that stays open.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    receiving = asyncio.create_task(_receive(reader))
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        await asyncio.wait_for(writer.drain(), LONGEST_WAIT)
    raw = await asyncio.wait_for(receiving, LONGEST_WAIT)
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := await asyncio.wait_for(reader.read(65_536), patience):
            raw += part
    writer.close()
    starts = [found.start() for found in _STATUS.finditer(raw)]
    ends = [*starts[1:], len(raw)]
    return [read_answer(raw[start:end]) for start, end in zip(starts, ends, strict=True)]


async def leave(port: int, data: bytes) -> None:
    """Send a part of a request and go away."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    writer.write_eof()
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), LONGEST_WAIT)
    writer.close()


async def send_frame(port: int, path: str, size: int) -> int:
    """Open a websocket, send one frame of text, and return the code that it is closed with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONGEST_WAIT)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    # RFC 6455, section 5.2: final, text; masked, eight bytes of length; a mask of zeros.
    writer.write(b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + b"x" * size)
    await asyncio.wait_for(writer.drain(), LONGEST_WAIT)
    first, length = await asyncio.wait_for(reader.readexactly(2), LONGEST_WAIT)
    assert first == 0x88, first
    reason = await asyncio.wait_for(reader.readexactly(length), LONGEST_WAIT)
    writer.close()
    return int.from_bytes(reason[:2], "big")


async def _receive(reader: asyncio.StreamReader) -> bytes:
    """Read until the answer is whole, or the connection ends."""
    raw = b""
    with contextlib.suppress(ConnectionError):
        while not _is_whole(raw):
            part = await reader.read(65_536)
            if not part:
                break
            raw += part
    return raw


def _is_whole(raw: bytes) -> bool:
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


def read_answer(raw: bytes) -> tuple[int, str]:
    """Read status and code of an answer; the code of a rule where there is one."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    try:
        problem: Any = json.loads(body)
    except ValueError:
        return status, ""
    if not isinstance(problem, dict):
        return status, str(problem)
    errors = problem.get("errors")
    return status, errors[0]["code"] if errors else problem["code"]


@contextlib.asynccontextmanager
async def others(port: int) -> AsyncIterator[list[float]]:
    """Let somebody else ask all the while, and a few times at least; note how long it took."""
    times: list[float] = []
    clock = asyncio.get_running_loop().time
    done = asyncio.Event()

    async def go_on() -> None:
        while not done.is_set() or len(times) < FEWEST_ANSWERS:
            started = clock()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            raw = await asyncio.wait_for(reader.read(), LONGEST_WAIT)
            writer.close()
            assert raw.startswith(b"HTTP/1.1 200"), raw[:100]
            times.append(clock() - started)
            # It takes its turns with the attack.
            await asyncio.sleep(0.01)

    task = asyncio.create_task(go_on())
    try:
        yield times
    finally:
        done.set()
        await task
