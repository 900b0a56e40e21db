"""Send hostile input to a real server.

It answers with a clear 4xx, its memory stays flat, and it answers others meanwhile.
"""

import asyncio
import contextlib
import functools
import gzip
import importlib.util
import json
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SERVERS = ["h11"] + (["httptools"] if importlib.util.find_spec("httptools") else [])
MEGABYTE = 1_048_576
# What a server may take for one hostile request: its body limit, as FastAPI keeps a body twice,
# and what the allocator holds on to.
MOST_GROWTH = 160 * MEGABYTE
MOST_GROWTH_OF_SMALL = 24 * MEGABYTE
SLOWEST_ANSWER = 5.0
CHUNK = b" " * 65_536


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


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve the application with each of uvicorn's parsers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.hostile_server", request.param],
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
    growth: int = MOST_GROWTH_OF_SMALL
    sent: int = field(default=0, init=False)


async def ask(port: int, attack: Attack) -> tuple[int, str]:
    """Send a request, and return status and code of the answer."""
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
        await asyncio.wait_for(send(), 120)
    raw = await asyncio.wait_for(receiving, 30)
    writer.close()
    return read_answer(raw)


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
    """Let somebody else ask all the while, and note how long each answer took."""
    times: list[float] = []
    clock = asyncio.get_running_loop().time
    done = asyncio.Event()

    async def go_on() -> None:
        while not done.is_set():
            started = clock()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            raw = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            assert raw.startswith(b"HTTP/1.1 200"), raw[:100]
            times.append(clock() - started)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(go_on())
    try:
        yield times
    finally:
        done.set()
        await task


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=XX"}
TEXT = {"Content-Type": "application/octet-stream"}
FIELD = b'--XX\r\nContent-Disposition: form-data; name="name"\r\n\r\na\r\n'
FILE = (
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n"
)


def cut(data: bytes, size: int = 65_536) -> list[bytes]:
    """Cut a body into parts."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def forever(part: bytes, size: int) -> Iterator[bytes]:
    """Repeat a part until it is as much as that."""
    for _ in range(size // len(part)):
        yield part


@functools.cache
def bomb(size: int, *, layers: int = 1) -> bytes:
    """Compress spaces, which JSON may have as many of as it likes."""
    compressor = zlib.compressobj(9, wbits=31)
    data = b"".join(compressor.compress(b" " * MEGABYTE) for _ in range(size // MEGABYTE))
    data += compressor.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


GZIP = {"Content-Encoding": "gzip"}
KEYS = b"{" + b",".join(b'"k%d":1' % number for number in range(1_000_000)) + b"}"
TEN_GIGABYTES = 10 * 1024 * MEGABYTE


def attacks() -> dict[str, Attack]:
    """Return all attacks by name."""
    return {
        "ten gigabytes of json": Attack(
            "/json", JSON, lambda: forever(CHUNK, TEN_GIGABYTES), (413, "body_too_large")
        ),
        "ten gigabytes of anything": Attack(
            "/raw", TEXT, lambda: forever(CHUNK, TEN_GIGABYTES), (413, "body_too_large")
        ),
        "ten gigabytes of space": Attack(
            "/large",
            JSON,
            lambda: forever(CHUNK, TEN_GIGABYTES),
            (413, "body_too_large"),
            growth=MOST_GROWTH,
        ),
        "more than was announced": Attack(
            "/json",
            JSON | {"Content-Length": "99999999999"},
            list,
            (413, "body_too_large"),
            False,
        ),
        "a million names": Attack("/large", JSON, lambda: cut(KEYS), (422, "json_too_many_values")),
        "a million items": Attack(
            "/large",
            JSON,
            lambda: cut(b"[" + b"1," * 1_000_000 + b"1]"),
            (422, "json_too_many_values"),
        ),
        "a million arrays": Attack(
            "/large",
            JSON,
            lambda: cut(b"[" + b"[]," * 1_000_000 + b"1]"),
            (422, "json_too_many_values"),
        ),
        "a hundred thousand levels": Attack(
            "/large", JSON, lambda: cut(b"[" * 100_000 + b"]" * 100_000), (422, "json_too_deep")
        ),
        "a hundred thousand objects": Attack(
            "/large", JSON, lambda: cut(b'{"a":' * 100_000), (422, "json_too_deep")
        ),
        "a text of two megabytes": Attack(
            "/large",
            JSON,
            lambda: cut(b'["' + b"x" * 2 * MEGABYTE + b'"]'),
            (422, "body_text_too_long"),
        ),
        "a number of a million digits": Attack(
            "/large", JSON, lambda: cut(b"1" * 1_000_000), (422, "json_number_too_long")
        ),
        "one byte at a time": Attack(
            "/large", JSON, lambda: cut(b'["' + b"\\\\" * 10_000, 1), (422, "json_invalid")
        ),
        "the same name far away": Attack(
            "/large",
            JSON,
            lambda: cut(b'{"a":1,"b":[' + b'"xxxxxxxx",' * 9_000 + b'1],"\\u0061":2}'),
            (422, "json_duplicate_key"),
        ),
        "utf-16": Attack(
            "/json", JSON, lambda: ['{"name":"a"}'.encode("utf-16")], (400, "bad_request")
        ),
        "a hundred thousand fields": Attack(
            "/form", FORM, lambda: cut(b"name=a&" * 100_000), (422, "form_too_many_fields")
        ),
        "a field of two megabytes": Attack(
            "/form", FORM, lambda: cut(b"name=" + b"a" * 2 * MEGABYTE), (422, "form_field_too_long")
        ),
        "a hundred thousand parts": Attack(
            "/upload", MULTIPART, lambda: cut(FIELD * 100_000), (422, "form_too_many_fields")
        ),
        "ten thousand files": Attack(
            "/upload",
            MULTIPART,
            lambda: cut((FILE + b"a\r\n") * 10_000),
            (422, "form_too_many_files"),
        ),
        "headers of a part without end": Attack(
            "/upload",
            MULTIPART,
            lambda: cut(b"--XX\r\n" + b"X: y\r\n" * 100_000),
            (400, "bad_request"),
        ),
        "a boundary that never comes": Attack(
            "/upload", MULTIPART, lambda: cut(b"a" * 2 * MEGABYTE), (400, "bad_request")
        ),
        "a bomb": Attack(
            "/json", JSON | GZIP, lambda: cut(bomb(300 * MEGABYTE)), (413, "body_too_large")
        ),
        "a bomb of anything": Attack(
            "/raw", TEXT | GZIP, lambda: cut(bomb(300 * MEGABYTE)), (413, "body_too_large")
        ),
        "a bomb in a bomb": Attack(
            "/json", JSON | GZIP, lambda: cut(bomb(200 * MEGABYTE, layers=2)), (400, "bad_request")
        ),
        "two codings": Attack(
            "/json",
            JSON | {"Content-Encoding": "gzip, gzip"},
            lambda: [b"x"],
            (415, "unsupported_media_type"),
        ),
        "a bomb cut short": Attack(
            "/json",
            JSON | GZIP,
            lambda: [gzip.compress(b'{"name": "a"}')[:-4]],
            (400, "bad_request"),
        ),
        "ten thousand headers": Attack(
            "/json",
            JSON | {f"X-{number}": "1" for number in range(4_000)},
            lambda: [b"{}"],
            (431, "headers_too_large"),
        ),
        "a long address": Attack(
            "/json?" + "a=1&" * 10_000, JSON, lambda: [b"{}"], (414, "url_too_long")
        ),
        "an address with a nul": Attack("/json?a=%00", JSON, lambda: [b"{}"], (400, "bad_request")),
        "an address that is no text": Attack(
            "/json/%ff", JSON, lambda: [b"{}"], (400, "bad_request")
        ),
    }


@pytest.mark.parametrize("name", attacks())
async def test_the_answer_is_clear_and_the_memory_flat(server: Server, name: str) -> None:
    """Whatever comes is refused for what it is, while others are answered."""
    attack = attacks()[name]
    # Whatever the server needs once is there.
    assert await ask(server.port, Attack("/json", JSON, lambda: [b'{"name":"a"}'], (200, "a"))) == (
        200,
        "a",
    )
    server.forget_peak()
    before = server.memory("VmRSS")
    async with others(server.port) as times:
        answer = await ask(server.port, attack)
    assert answer == attack.expected or (answer == (400, "") and name in _BY_THE_SERVER)
    assert server.memory("VmHWM") - before < attack.growth
    assert times
    assert max(times) < SLOWEST_ANSWER
    assert server.process.poll() is None
    # A body that is refused is not read to its end.
    assert attack.sent < 64 * MEGABYTE


# The server's own parser may refuse these, before any application is asked.
_BY_THE_SERVER = {"a long address", "ten thousand headers"}


async def test_a_body_that_is_taken_is_never_held(server: Server) -> None:
    """An endpoint that reads a stream takes as much as it likes, and memory stays where it was."""
    size = TEN_GIGABYTES
    small = Attack("/stream", TEXT, lambda: forever(CHUNK, MEGABYTE), (200, str(MEGABYTE)))
    assert await ask(server.port, small) == small.expected
    server.forget_peak()
    before = server.memory("VmRSS")
    async with others(server.port) as times:
        answer = await ask(
            server.port, Attack("/stream", TEXT, lambda: forever(CHUNK, size), (200, ""))
        )
    assert answer == (200, str(size))
    assert server.memory("VmHWM") - before < MOST_GROWTH_OF_SMALL
    assert max(times) < SLOWEST_ANSWER


async def test_many_at_once_are_refused_as_one_is(server: Server) -> None:
    """Fifty bombs and floods together change nothing for others."""
    server.forget_peak()
    before = server.memory("VmRSS")
    data = bomb(200 * MEGABYTE)
    made = [
        Attack("/json", JSON | GZIP, lambda: cut(data), (413, "body_too_large")) for _ in range(25)
    ]
    made += [
        Attack("/large", JSON, lambda: cut(KEYS), (422, "json_too_many_values")) for _ in range(25)
    ]
    async with others(server.port) as times:
        answers = await asyncio.gather(*(ask(server.port, attack) for attack in made))
    assert answers == [attack.expected for attack in made]
    assert server.memory("VmHWM") - before < MOST_GROWTH
    assert max(times) < SLOWEST_ANSWER
