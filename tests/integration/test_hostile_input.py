"""Send hostile input to a real server.

It answers with a clear 4xx, its memory stays flat, and it answers others meanwhile.
"""

import asyncio
import importlib.util
from collections.abc import Callable, Iterator

import pytest

from tests.integration.hostile_bodies import (
    CHUNK,
    GZIP,
    JSON,
    KEYS,
    TEN_GIGABYTES,
    TEXT,
    TOO_LARGE,
    TOO_MANY,
    attacks,
    bomb,
    cut,
    forever,
)
from tests.integration.hostile_client import (
    FEWEST_ANSWERS,
    MEGABYTE,
    Attack,
    Server,
    ask,
    leave,
    others,
    running,
    say,
    send_frame,
)

# The second one is C, and reads requests in another way.
SERVERS = ["h11"] + (["httptools"] if importlib.util.find_spec("httptools") else [])
MOST_GROWTH = 24 * MEGABYTE
SLOWEST_ANSWER = 5.0
ATTACKS = attacks()


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve the application with each of uvicorn's parsers."""
    # Whatever the server needs once is there before anything is measured.
    warm = Attack("/json", JSON, lambda: [b'{"name":"a"}'], (200, "a"))
    with running(request.param) as server:
        assert asyncio.run(ask(server.port, warm)) == warm.expected
        yield server


@pytest.fixture
def watch(server: Server) -> Callable[[int], None]:
    """Return what checks that memory has grown by no more than that."""
    server.forget_peak()
    before = server.memory("VmRSS")

    def check(most: int) -> None:
        assert server.memory("VmHWM") - before < most
        assert server.process.poll() is None

    return check


def was_fair(times: list[float]) -> bool:
    """Tell whether somebody else was answered all the while."""
    return len(times) >= FEWEST_ANSWERS and max(times) < SLOWEST_ANSWER


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_body_is_refused_for_what_it_is(
    server: Server, watch: Callable[[int], None], name: str
) -> None:
    """The answer is clear, the memory flat, and nobody else has to wait."""
    attack = ATTACKS[name]
    async with others(server.port) as times:
        answer = await ask(server.port, attack)
    assert answer == attack.expected
    watch(attack.growth)
    assert was_fair(times)
    # A body that is refused is not read to its end; some of it is on its way.
    assert attack.sent < 80 * MEGABYTE


HOST = b"Host: localhost\r\n"
# A second request, for whoever takes the body of the first one for shorter than it is.
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*headers: bytes, path: bytes = b"/raw") -> bytes:
    """Spell the head of a request."""
    return (
        b"POST %b HTTP/1.1\r\n" % path + HOST + b"".join(b"%b\r\n" % h for h in headers) + b"\r\n"
    )


def get(address: bytes) -> bytes:
    """Spell a request without a body."""
    return b"GET %b HTTP/1.1\r\n" % address + HOST + b"\r\n"


HEADS = {
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 43") + SMUGGLED,
    "length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5")
    + b"0\r\n\r\n"
    + SMUGGLED,
    "a length with a sign": post(b"Content-Length: +5") + b"aaaaa" + SMUGGLED,
    "a negative length": post(b"Content-Length: -5") + b"aaaaa" + SMUGGLED,
    "a length of thirty digits": post(b"Content-Length: " + b"9" * 30) + SMUGGLED,
    "another transfer coding": post(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a space before the colon": post(b"Transfer-Encoding : chunked") + b"0\r\n\r\n" + SMUGGLED,
    "a control character": post(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a negative chunk": post(b"Transfer-Encoding: chunked") + b"-1\r\na\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk that is longer than it says": post(b"Transfer-Encoding: chunked")
    + b"1\r\nabc\r\n0\r\n\r\n"
    + SMUGGLED,
    "a nul in a header": post(b"X-A: a\0b", b"Content-Length: 0"),
    "two hosts": post(b"Host: evil.example", b"Content-Length: 0"),
    "no http": b"\x16\x03\x01\x02\x00\x01" + bytes(100) + b"\r\n\r\n",
    "an address beyond ascii": get("/é".encode()),
    "a nul in the path": get(b"/health%00"),
    "a nul in the query": get(b"/health?a=%00"),
    "an overlong slash": get(b"/..%C0%AFhealth"),
    "latin-1 in the query": get(b"/health?name=J%F6rg"),
    "a surrogate in the path": get(b"/%ED%A0%80"),
}
LARGE_HEADS = {
    "four hundred headers": post(*(b"X-%d: 1" % number for number in range(400))),
    "ten thousand headers": post(*(b"X-%d: 1" % number for number in range(10_000))),
    "a header of forty kilobytes": post(b"X-A: " + b"a" * 40_000),
    "a header of a megabyte": post(b"X-A: " + b"a" * 1_000_000),
    "an address of forty kilobytes": get(b"/health?" + b"a" * 40_000),
    "an address of a megabyte": get(b"/health?" + b"a" * 1_000_000),
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_head_is_refused_and_nothing_behind_it_is_served(
    server: Server, watch: Callable[[int], None], name: str
) -> None:
    """The server or the wall answers 400, once, and what was smuggled gets no answer of 200."""
    answers = await say(server.port, HEADS[name])
    assert {status for status, _ in answers} == {400}
    assert len(answers) == 1
    watch(MOST_GROWTH)


@pytest.mark.parametrize("name", LARGE_HEADS)
async def test_a_head_that_is_too_large_is_refused(
    server: Server, watch: Callable[[int], None], name: str
) -> None:
    """The wall says what is too large; the server's own parser may say so first, with 400."""
    async with others(server.port) as times:
        answers = await say(server.port, LARGE_HEADS[name])
    assert answers[0] in {(431, "headers_too_large"), (414, "url_too_long"), (400, "")}
    watch(MOST_GROWTH)
    assert was_fair(times)


@pytest.mark.parametrize(
    "part",
    [
        post(b"Content-Type: application/json", b"Content-Length: 100", path=b"/json") + b'{"na',
        post(b"Content-Type: application/json", b"Transfer-Encoding: chunked", path=b"/json")
        + b'4\r\n{"na',
        post(b"Content-Length: 100") + b"a",
        b"POST /json HTT",
        b"",
    ],
    ids=["shorter than announced", "within a chunk", "raw", "within the head", "nothing"],
)
async def test_whoever_leaves_early_leaves_nothing_behind(
    server: Server, watch: Callable[[int], None], part: bytes
) -> None:
    """A client that goes away in the middle ends its own connection alone."""
    async with others(server.port) as times:
        await asyncio.gather(*(leave(server.port, part) for _ in range(50)))
    watch(MOST_GROWTH)
    assert was_fair(times)


@pytest.mark.parametrize("size", [MEGABYTE + 1, 12 * MEGABYTE], ids=["a byte too many", "12 MiB"])
async def test_a_frame_that_is_too_large_ends_its_socket(
    server: Server, watch: Callable[[int], None], size: int
) -> None:
    """The code says why; the server holds a frame before anybody can count it."""
    async with others(server.port) as times:
        assert await send_frame(server.port, "/socket", size) == 1009
    watch(MOST_GROWTH + 6 * size)
    assert was_fair(times)


async def test_a_body_that_is_taken_is_never_held(
    server: Server, watch: Callable[[int], None]
) -> None:
    """An endpoint that reads a stream takes ten gigabytes, and memory stays where it was."""
    attack = Attack(
        "/stream", TEXT, lambda: forever(CHUNK, TEN_GIGABYTES), (200, str(TEN_GIGABYTES))
    )
    async with others(server.port) as times:
        answer = await ask(server.port, attack)
    assert answer == attack.expected
    watch(MOST_GROWTH)
    assert was_fair(times)


async def test_json_that_is_taken_is_looked_through_and_never_held(
    server: Server, watch: Callable[[int], None]
) -> None:
    """So it is where the stream is JSON: what is remembered does not grow with it."""
    part = b'"' + b"x" * 65_532 + b'",'
    size = 500 * MEGABYTE
    attack = Attack("/stream", JSON, lambda: forever(part, size, b"["), (422, "json_invalid"))
    async with others(server.port) as times:
        answer = await ask(server.port, attack)
    assert answer == attack.expected
    assert attack.sent > size - 65_536
    watch(MOST_GROWTH)
    assert was_fair(times)


async def test_many_at_once_are_refused_as_one_is(
    server: Server, watch: Callable[[int], None]
) -> None:
    """Fifty bombs and floods together change nothing for others."""
    data = bomb(200 * MEGABYTE)
    made = [Attack("/json", JSON | GZIP, lambda: cut(data), TOO_LARGE) for _ in range(25)]
    made += [Attack("/large", JSON, lambda: cut(KEYS), TOO_MANY) for _ in range(25)]
    async with others(server.port) as times:
        answers = await asyncio.gather(*(ask(server.port, attack) for attack in made))
    assert answers == [attack.expected for attack in made]
    watch(4 * MOST_GROWTH)
    assert was_fair(times)
