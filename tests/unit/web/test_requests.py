import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.core import Exchange
from stockade.web import ClientAddresses, HostAllowList, WebSettings
from stockade.web.requests import RequestIds, RequestReader

HOST = (b"host", b"example.com")
RANDOM_ID = re.compile(r"[0-9a-f]{32}")


def read(
    *headers: tuple[bytes, bytes],
    peer: str | None = "203.0.113.9",
    host: bool = True,
    proxy_header: str = "x-forwarded-for",
    **scope: Any,  # noqa: ANN401 - parts of a scope
) -> tuple[Exchange, str | None]:
    """Open the exchange of a request."""
    settings = WebSettings.model_validate(
        {"trusted_proxies": ["10.0.0.0/8"], "proxy_header": proxy_header}
    )
    reader = RequestReader(
        settings,
        addresses=ClientAddresses(settings.trusted_proxies),
        hosts=HostAllowList(["example.com"]),
    )
    full = {
        "type": "http",
        "scheme": "http",
        "client": None if peer is None else (peer, 1234),
        "path": "/",
        "headers": [*([HOST] if host else []), *headers],
        **scope,
    }
    return reader.open(full, None)


def test_a_plain_request_is_accepted() -> None:
    """Without anything special the exchange holds what the connection says."""
    exchange, reason = read()
    assert reason is None
    assert (exchange.client, exchange.scheme, exchange.from_proxy) == ("203.0.113.9", "http", False)
    assert (exchange.authorization, exchange.content_length) == (None, 0)
    assert exchange.body_limit == 1_048_576
    assert exchange.host == b"example.com"
    assert RANDOM_ID.fullmatch(exchange.request_id)


@pytest.mark.parametrize(
    "name", [b"host", b"authorization", b"content-encoding", b"content-length", b"content-type"]
)
@pytest.mark.parametrize("second", [b"example.com", b"1"], ids=["other", "same"])
def test_a_header_that_decides_comes_once(name: bytes, second: bytes) -> None:
    """Two of them, even if they are equal, let two readers disagree: the request is refused."""
    pair = {b"host": b"example.com"}.get(name, b"1")
    _, reason = read((name, pair), (name, second), host=False)
    assert reason in {"web.duplicate_header", "web.host_not_allowed"}
    if name != b"host":
        _, reason = read((name, pair), (name, second))
        assert reason == "web.duplicate_header"


def test_two_hosts_are_refused_whichever_is_allowed() -> None:
    """An allowed name before or after another one does not help."""
    evil = (b"host", b"evil.com")
    assert read(evil)[1] == "web.duplicate_header"
    assert read(evil, HOST, host=False)[1] == "web.duplicate_header"


def test_other_headers_may_repeat() -> None:
    """Cookies and accepted types come in several headers."""
    assert read((b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"accept", b"a"))[1] is None


@pytest.mark.parametrize("host", [b"", b"evil.com", b"example.com:99999"], ids=repr)
def test_another_host_is_refused(host: bytes) -> None:
    """The server answers to its own names alone."""
    assert read((b"host", host), host=False)[1] == "web.host_not_allowed"
    assert read(host=False)[1] == "web.host_not_allowed"


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"00012", 12),
        (b"999999999999999999", 10**18 - 1),
        (b"-1", None),
        (b"+1", None),
        (b"1_0", None),
        (b"0x10", None),
        (b"1.0", None),
        (b" 1", None),
        (b"1,1", None),
        (b"", None),
        (b"9" * 19, None),
        (b"9" * 5000, None),
        ("\u0661".encode(), None),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_length_is_digits(value: bytes, length: int | None) -> None:
    """What Python would read as a number but another server would not is refused."""
    exchange, reason = read((b"content-length", value))
    assert reason == (None if length is not None else "web.bad_content_length")
    assert exchange.content_length == (length or 0)


@pytest.mark.parametrize(
    ("peer", "given", "taken"),
    [
        ("10.0.0.1", b"abc-DEF_1.2", True),
        (None, b"abcdefgh", True),
        ("203.0.113.9", b"abcdefgh", False),
        ("10.0.0.1", b"short", False),
        ("10.0.0.1", b"a" * 128, True),
        ("10.0.0.1", b"a" * 129, False),
        ("10.0.0.1", b"abc defgh", False),
        ("10.0.0.1", b"abcdefgh\r\nx: y", False),
        ("10.0.0.1", b"abcdefgh\n", False),
        ("10.0.0.1", b'abcdefgh"', False),
        ("10.0.0.1", b"abcdefg\xe4", False),
        ("10.0.0.1", b"<script>alert", False),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_an_identifier_comes_from_a_trusted_proxy_alone(
    peer: str | None, given: bytes, taken: bool
) -> None:
    """A client can't choose the name under which its request is logged."""
    exchange, _ = read((b"x-request-id", given), peer=peer)
    assert (exchange.request_id == given.decode("latin-1")) is taken
    assert taken or RANDOM_ID.fullmatch(exchange.request_id)


@given(st.binary(max_size=600))
def test_any_identifier_is_safe_to_log_and_send(given: bytes) -> None:
    """Whatever a proxy hands on, the identifier is a short word of safe characters."""
    exchange, _ = read((b"x-request-id", given), peer="10.0.0.1")
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,128}", exchange.request_id)


def test_identifiers_do_not_repeat() -> None:
    """Each request has its own."""
    assert len({read()[0].request_id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("peer", "kind", "proto", "scheme"),
    [
        ("10.0.0.1", "http", b"https", "https"),
        ("10.0.0.1", "http", b" HTTPS ", "https"),
        ("10.0.0.1", "websocket", b"https", "wss"),
        ("10.0.0.1", "websocket", b"http", "ws"),
        ("10.0.0.1", "http", b"javascript", "http"),
        ("10.0.0.1", "http", b"https, http", "http"),
        ("10.0.0.1", "http", b"", "http"),
        ("203.0.113.9", "http", b"https", "http"),
    ],
    ids=str,
)
def test_the_scheme_comes_from_a_trusted_proxy_alone(
    peer: str, kind: str, proto: bytes, scheme: str
) -> None:
    """A client can't claim to have come by HTTPS."""
    exchange, _ = read(
        (b"x-forwarded-proto", proto), peer=peer, type=kind, scheme=kind.replace("websocket", "ws")
    )
    assert exchange.scheme == scheme


def test_the_client_comes_from_a_trusted_proxy_alone() -> None:
    """The forwarding header of anybody else is not read."""
    forwarded = (b"x-forwarded-for", b"198.51.100.1")
    assert read(forwarded)[0].client == "203.0.113.9"
    assert read(forwarded, peer="10.0.0.1")[0].client == "198.51.100.1"
    assert read(peer=None)[0].client == "unknown"


@pytest.mark.parametrize(
    ("header", "other"),
    [
        ("x-forwarded-for", (b"forwarded", b"for=192.0.2.66;proto=https")),
        ("forwarded", (b"x-forwarded-for", b"192.0.2.66")),
        ("forwarded", (b"x-forwarded-proto", b"https")),
    ],
    ids=str,
)
def test_only_one_header_names_the_client(header: str, other: tuple[bytes, bytes]) -> None:
    """A proxy that appends to one of them hands on what a client wrote into the other."""
    exchange, _ = read(other, peer="10.0.0.1", proxy_header=header)
    assert (exchange.client, exchange.scheme) == ("10.0.0.1", "http")
    name, value = (header.encode(), b"198.51.100.1")
    if header == "forwarded":
        value = b"for=" + value
    exchange, _ = read(other, (name, value), peer="10.0.0.1", proxy_header=header)
    assert (exchange.client, exchange.scheme) == ("198.51.100.1", "http")


@pytest.mark.parametrize(
    ("kind", "scheme"), [("http", "https"), ("websocket", "wss")], ids=["http", "websocket"]
)
def test_an_element_tells_the_scheme(kind: str, scheme: str) -> None:
    """It is believed from a trusted proxy, in the words of the kind of request."""
    element = (b"forwarded", b"for=198.51.100.1;proto=https")
    plain = kind.replace("websocket", "ws")
    scope: dict[str, Any] = {"type": kind, "scheme": plain, "proxy_header": "forwarded"}
    assert read(element, peer="10.0.0.1", **scope)[0].scheme == scheme
    assert read(element, **scope)[0].scheme == plain


def test_the_only_authorization_is_handed_on() -> None:
    """Its value is taken as it is; it is for the authenticator to judge."""
    assert read((b"authorization", b"Bearer x"))[0].authorization == b"Bearer x"


HEADER = st.tuples(
    st.sampled_from(
        [
            b"host",
            b"authorization",
            b"content-length",
            b"x-forwarded-for",
            b"x-forwarded-proto",
            b"forwarded",
            b"x-request-id",
            b"cookie",
        ]
    ),
    st.binary(max_size=20) | st.sampled_from([b"example.com", b"5"]),
)


@given(
    st.lists(HEADER, max_size=6),
    st.sampled_from(["10.0.0.1", "203.0.113.9", None]),
    st.sampled_from(["forwarded", "x-forwarded-for"]),
)
def test_any_headers_give_a_verdict(
    headers: list[tuple[bytes, bytes]], peer: str | None, proxy_header: str
) -> None:
    """Whatever is sent, the request is accepted with single headers, or refused with a reason."""
    exchange, reason = read(*headers, peer=peer, host=False, proxy_header=proxy_header)
    names = [name for name, _ in headers]
    if reason is None:
        assert names.count(b"host") == 1
        assert names.count(b"authorization") <= 1
        assert names.count(b"content-length") <= 1
        assert exchange.host == dict(headers)[b"host"]
    else:
        assert reason.startswith("web.")


def test_identifiers_of_threads_do_not_repeat() -> None:
    """However many are made, also by several threads, each is new and of 128 bits."""
    ids = RequestIds()
    with ThreadPoolExecutor(4) as pool:
        made = [
            name
            for part in pool.map(lambda _: [ids.make() for _ in range(1000)], range(4))
            for name in part
        ]
    assert len(set(made)) == 4000
    assert all(RANDOM_ID.fullmatch(name) for name in made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_makes_identifiers_of_its_own() -> None:
    """A worker that was forked does not repeat what its parent gives out."""
    ids = RequestIds()
    ids.make()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ids.make().encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = pipe.read()
    assert RANDOM_ID.fullmatch(theirs)
    assert theirs not in {ids.make() for _ in range(500)}


@pytest.mark.parametrize(
    "length", [b"", b"+5", b" 5", b"5 ", b"1_0", b"0x5", b"-1", b"9" * 19, b"\xd9\xa5"]
)
def test_only_digits_are_a_length(length: bytes) -> None:
    """What a lenient reader would take for a number is refused."""
    assert read((b"content-length", length))[1] == "web.bad_content_length"


@pytest.mark.parametrize("order", [1, -1], ids=["length first", "chunks first"])
def test_a_body_has_one_kind_of_length(order: int) -> None:
    """A length and chunks are two answers to where the next request begins."""
    both = [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")][::order]
    exchange, reason = read(*both)
    assert reason == "web.bad_content_length"
    assert exchange.headers == [(b"connection", b"close")]
    exchange, reason = read((b"transfer-encoding", b"chunked"))
    assert (reason, exchange.headers) == (None, [])


def test_a_stream_has_no_connection_to_close() -> None:
    """HTTP/2 forbids the header."""
    exchange, reason = read((b"content-length", b"x"), http_version="2")
    assert (reason, exchange.headers) == ("web.bad_content_length", [])


@pytest.mark.parametrize(
    "spelled",
    [
        b"/a b",
        b"/%7Euser;v=1/@me:x",
        b"/caf%C3%A9/%F0%9F%98%80",
        b"/100%",
        b"/%zz/%u0041",
        b"/%EF%BF%BD",
        b"/..%2Fa//b",
        b"/%2500",
        b"",
    ],
    ids=repr,
)
def test_an_address_that_is_text_passes(spelled: bytes) -> None:
    """Percent signs may stand for themselves, and are undone once."""
    path = unquote(spelled.decode())
    assert read(path=path, raw_path=spelled)[1] is None
    assert read(query_string=b"a=" + spelled + b"&b=1+2&&=;")[1] is None


@pytest.mark.parametrize(
    "spelled",
    [
        b"/%00",
        b"/a%C0%AF",
        b"/%ff",
        b"/%ED%A0%80",
        b"/%C3",
        b"/%C3/%A9",
        b"/\xc3\xa9",
        b"/%F5%80%80%80",
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_address_that_is_no_text_is_refused(spelled: bytes, kind: str) -> None:
    """Nothing is read in which something else was put in the place of bytes."""
    path = unquote(spelled.decode("latin-1"))
    assert read(type=kind, path=path, raw_path=spelled)[1] == "web.url_encoding"
    assert read(type=kind, query_string=b"a=" + spelled)[1] == "web.url_encoding"


@pytest.mark.parametrize("path", ["/\ufffd", "/" + chr(0xDCFF), "/a\0"], ids=ascii)
def test_a_server_need_not_say_how_a_path_was_spelled(path: str) -> None:
    """Then what it has decoded is looked at."""
    for scope in ({"path": path}, {"path": path, "raw_path": None}):
        assert read(**scope)[1] == "web.url_encoding"
    assert read(path="/caf\u00e9/\U0001f600")[1] is None
    assert read(path="/" + "a" * 20_000)[1] == "web.url_too_long"
