import gc
import json
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.core import Decision
from stockade.core.exchange import SCOPE_KEY
from stockade.web.channel import BodyRefusedError
from tests.unit.web.helpers import HEADERS, Line


def chunk(body: bytes, *, more: bool = True) -> dict[str, Any]:
    """Make a part of a request body."""
    return {"type": "http.request", "body": body, "more_body": more}


def frame(**parts: object) -> dict[str, Any]:
    """Make a websocket frame."""
    return {"type": "websocket.receive", **parts}


# --- The body ---------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=8), max_size=8), st.integers(0, 20))
async def test_a_body_passes_up_to_its_limit(parts: list[bytes], limit: int) -> None:
    """However a body is cut up, the byte that goes over the limit is the end of it."""
    line = Line([chunk(part) for part in parts], limit=limit)
    passed = b""
    for part in parts:
        if len(passed + part) > limit:
            with pytest.raises(BodyRefusedError) as caught:
                await line.channel.receive()
            assert caught.value.status_code == 413
            assert caught.value.error.code == "body_too_large"
            break
        passed += (await line.channel.receive())["body"]
    if len(b"".join(parts)) > limit:
        assert line.recorded == [("validation.body_too_large", "validation.body_streamed_too_far")]
    else:
        assert passed == b"".join(parts)
        assert line.recorded == []
    assert len(passed) <= limit


@pytest.mark.parametrize("announced", [0, 1, 10**17], ids=str)
async def test_what_was_announced_changes_nothing(announced: int) -> None:
    """A false Content-Length neither lets a body through nor stops one."""
    line = Line([chunk(b"x" * 10), chunk(b"x")], limit=10)
    line.exchange.content_length = announced
    assert (await line.channel.receive())["body"] == b"x" * 10
    with pytest.raises(BodyRefusedError):
        await line.channel.receive()


async def test_an_application_that_goes_on_reading_gets_no_more() -> None:
    """Swallowing the error brings no further byte; it is recorded once."""
    line = Line([chunk(b"x" * 11), chunk(b""), chunk(b"y")], limit=10)
    for _ in range(3):
        with pytest.raises(BodyRefusedError):
            await line.channel.receive()
    assert len(line.recorded) == 1


async def test_an_answer_after_an_overflow_is_replaced() -> None:
    """A handler that hides the overflow does not answer as if the body had been whole."""
    line = Line([chunk(b"x" * 11)], limit=10)
    with pytest.raises(BodyRefusedError):
        await line.channel.receive()
    await line.answer(200, body=b"stored the first ten")
    assert line.status == 413
    assert json.loads(line.body)["code"] == "body_too_large"
    assert b"stored" not in line.body


async def test_the_answer_to_an_overflow_is_not_replaced() -> None:
    """An application's own 413 stays."""
    line = Line([chunk(b"x" * 11)], limit=10)
    with pytest.raises(BodyRefusedError):
        await line.channel.receive()
    await line.answer(413, body=b"own words")
    assert (line.status, line.body) == (413, b"own words")


async def test_other_messages_pass() -> None:
    """A client that leaves is no body."""
    line = Line([{"type": "http.disconnect"}], limit=0)
    assert await line.channel.receive() == {"type": "http.disconnect"}


# --- Answers that nobody decided on -----------------------------------------------------------


async def test_an_undecided_answer_is_replaced_as_a_whole() -> None:
    """Neither status, header nor body of it gets out, however many parts it has."""
    line = Line(decision=None)
    await line.answer(200, [(b"x-secret", b"1"), (b"set-cookie", b"a=b")], b"secret")
    await line.channel.send({"type": "http.response.body", "body": b"more secret"})
    await line.channel.send({"type": "http.response.trailers", "headers": []})
    assert line.status == 500
    assert json.loads(line.body)["code"] == "undecided"
    assert b"secret" not in line.body
    assert line.values(b"x-secret") == line.values(b"set-cookie") == []
    assert line.recorded == [("gate.undecided", "gate.undecided")]
    assert len(line.sent) == 2


async def test_a_replaced_answer_has_security_headers() -> None:
    """Our own answers get what every answer gets."""
    line = Line(decision=None)
    await line.answer()
    for name, value in HEADERS:
        assert line.values(name) == [value]
    assert line.values(b"x-request-id") == [b"r-1"]
    assert line.values(b"content-length") == [str(len(line.body)).encode()]


async def test_a_refusal_is_a_decision() -> None:
    """What a gate refused is answered as it was refused."""
    line = Line(decision=Decision(granted=False, reason="x.y"))
    await line.answer(403)
    assert (line.status, line.body, line.recorded) == (403, b"answer", [])


REDIRECTS = [
    ("/notes", "http://example.com/notes/", True),
    ("/notes/", "https://example.com/notes", True),
    ("/notes", "http://example.com/notes/?a=b", True),
    ("/a?b", "http://example.com/a%3Fb/", True),
    ("/a#b", "http://example.com/a%23b/", True),
    ("/a\\b", "http://example.com/a%5Cb/", True),
    ("/ä b", "http://example.com/%C3%A4%20b/", True),
    ("/a%41", "http://example.com/a%41/", True),
    ("//evil.com", "http://example.com//evil.com/", True),
    ("/notes", "http://evil.com/notes/", False),
    ("/notes", "http://example.com@evil.com/notes/", False),
    ("/notes", "http://example.com.evil.com/notes/", False),
    ("/notes", "//evil.com/notes/", False),
    ("/notes", "/notes/", False),
    ("/notes", "javascript://example.com/notes/", False),
    ("/notes", "http://example.com/other/", False),
    ("/notes", "http://example.com/notes", False),
    ("/notes", "http://example.com/notes/x", False),
    ("/notes", "http://example.com/notes/#fragment", False),
    ("/notes", "http://example.com:81/notes/", False),
    ("/notes", "", False),
]


@pytest.mark.parametrize(("path", "location", "passes"), REDIRECTS, ids=[r[1] for r in REDIRECTS])
async def test_only_the_redirect_to_the_same_path_passes(
    path: str, location: str, passes: bool
) -> None:
    """The router's redirect says nothing but its own request back; any other is an answer."""
    line = Line(decision=None, path=path)
    await line.answer(307, [(b"content-length", b"0"), (b"location", location.encode())], b"")
    assert line.status == (307 if passes else 500)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, [(b"content-length", b"0"), (b"location", b"http://example.com/notes/")]),
        (301, [(b"content-length", b"0"), (b"location", b"http://example.com/notes/")]),
        (307, [(b"content-length", b"6"), (b"location", b"http://example.com/notes/")]),
        (307, [(b"location", b"http://example.com/notes/")]),
        (307, [(b"content-length", b"0")]),
        (
            307,
            [
                (b"content-length", b"0"),
                (b"location", b"http://example.com/notes/"),
                (b"Location", b"http://evil.com/"),
            ],
        ),
    ],
    ids=["200", "301", "body", "streamed", "no-location", "two-locations"],
)
async def test_a_redirect_that_carries_more_is_an_answer(
    status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    """A body, another status or a second address does not hide behind a redirect."""
    line = Line(decision=None)
    await line.answer(status, headers, b"secret")
    assert line.status == 500
    assert b"secret" not in line.body


# --- Headers ----------------------------------------------------------------------------------


async def test_an_answer_gets_every_security_header() -> None:
    """An answer that says nothing itself gets the defaults, and the headers layers ask for."""
    line = Line()
    line.exchange.headers.append((b"ratelimit", b"r=1"))
    await line.answer(200, [(b"content-type", b"text/plain")])
    for name, value in HEADERS:
        assert line.values(name) == [value]
    assert line.values(b"content-type") == [b"text/plain"]
    assert line.values(b"ratelimit") == [b"r=1"]


@pytest.mark.parametrize("name", [b"content-security-policy", b"Content-Security-Policy"])
async def test_a_handler_keeps_its_own_header(name: bytes) -> None:
    """A page with a policy of its own has that one alone, in whatever case it was written."""
    line = Line()
    await line.answer(200, [(name, b"default-src 'self'"), (b"Cache-Control", b"max-age=60")])
    assert line.values(b"content-security-policy") == [b"default-src 'self'"]
    assert line.values(b"cache-control") == [b"max-age=60"]
    assert line.values(b"x-frame-options") == [b"DENY"]


@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-ID"])
async def test_the_request_id_is_ours(name: bytes) -> None:
    """A handler can't answer under another request's identifier."""
    line = Line()
    await line.answer(200, [(name, b"forged"), (name, b"again")])
    assert line.values(b"x-request-id") == [b"r-1"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"x-a", b"X-B", b"set-cookie", b"cache-control", b"X-Request-Id", b"1"]
            ),
            st.sampled_from([b"1", b"2"]),
        ),
        max_size=5,
    )
)
async def test_no_header_of_a_handler_is_lost(own: list[tuple[bytes, bytes]]) -> None:
    """Every own header but the request id gets out, in order, also from an iterator or as lists."""
    expected = [pair for pair in own if pair[0].lower() != b"x-request-id"]
    for spelling in (own, iter(own), tuple(list(pair) for pair in own)):
        line = Line()
        await line.answer(200, spelling)
        sent = [tuple(pair) for pair in line.sent[0]["headers"]]
        assert [pair for pair in sent if pair in expected and pair not in HEADERS] == expected
        assert line.values(b"x-request-id") == [b"r-1"]
        for name, value in HEADERS:
            written = [pair[1] for pair in expected if pair[0].lower() == name]
            assert line.values(name) == (written or [value])


# --- Websockets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (frame(text="x" * 10), 10),
        (frame(bytes=b"x" * 10), 10),
        (frame(text="ä" * 5), 10),
        (frame(text=None, bytes=b"x" * 10), 10),
        (frame(text="x" * 10, bytes=None), 10),
        (frame(text=""), 0),
        (frame(), 0),
    ],
    ids=str,
)
async def test_a_frame_passes_up_to_the_limit(message: dict[str, Any], size: int) -> None:
    """Text counts in bytes, as it came; one byte less of room closes the connection."""
    line = Line([message], kind="websocket", limit=size)
    assert await line.channel.receive() == message
    if size:
        line = Line([message], kind="websocket", limit=size - 1)
        assert await line.channel.receive() == {"type": "websocket.disconnect", "code": 1009}
        assert line.sent == [{"type": "websocket.close", "code": 1009}]
        assert line.recorded == [("validation.body_too_large", "validation.frame_too_large")]


@pytest.mark.parametrize("text", ["😀" * 3, "€" * 4, "\ud800" * 4], ids=ascii)
async def test_characters_are_not_bytes(text: str) -> None:
    """Few characters of many bytes are as large as they are."""
    line = Line([frame(text=text)], kind="websocket", limit=10)
    assert (await line.channel.receive())["type"] == "websocket.disconnect"


async def test_after_a_frame_too_large_nothing_goes_either_way() -> None:
    """Further frames are not handed on, and further messages not sent."""
    line = Line(
        [frame(text="x" * 11), frame(text="ok"), frame(text="ok")], kind="websocket", limit=10
    )
    for _ in range(3):
        assert (await line.channel.receive())["type"] == "websocket.disconnect"
    await line.channel.send({"type": "websocket.send", "text": "secret"})
    assert line.sent == [{"type": "websocket.close", "code": 1009}]
    assert len(line.recorded) == 1


async def test_an_undecided_socket_is_not_accepted() -> None:
    """A handshake that no gate decided on ends before a single message."""
    line = Line(kind="websocket", decision=None)
    await line.channel.send({"type": "websocket.accept"})
    await line.channel.send({"type": "websocket.send", "text": "secret"})
    assert line.sent == [{"type": "websocket.close", "code": 1008}]
    assert line.recorded == [("gate.undecided", "gate.undecided")]


async def test_an_undecided_denial_is_closed() -> None:
    """Nor does the answer to a handshake get out."""
    line = Line(kind="websocket", decision=None)
    await line.answer(403, body=b"secret", prefix="websocket.http.response")
    assert line.sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_decided_socket_is_accepted() -> None:
    """With a decision every message passes as it is."""
    line = Line(kind="websocket")
    messages = [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "hello"}]
    for message in messages:
        await line.channel.send(message)
    assert line.sent == messages


async def test_a_denial_gets_security_headers() -> None:
    """An answer to a handshake is an answer like any other."""
    line = Line(kind="websocket")
    await line.answer(403, prefix="websocket.http.response")
    assert line.values(b"x-content-type-options") == [b"nosniff"]


def test_a_channel_does_not_keep_its_scope() -> None:
    """Nothing of a request is left to the garbage collector."""

    class Scope(dict[str, Any]):
        """A scope that can be watched."""

    line = Line()
    scope = Scope(type="http", method="GET", path="/", **{SCOPE_KEY: line.exchange})
    channel = type(line.channel)(
        line.exchange,
        scope,
        line._receive,
        line._send,
        headers=[],
        names=frozenset(),
        on_refusal=lambda _name, _scope, _reason: None,
    )
    scope["receive"] = channel.receive
    watch = weakref.ref(scope)
    gc.disable()
    try:
        del scope
        assert watch() is None
    finally:
        gc.enable()
