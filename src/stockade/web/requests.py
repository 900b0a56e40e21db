"""Read from a request, in one pass, what every later step needs."""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from stockade.core.exchange import SESSION_COOKIE, BrowserRequest, Exchange
from stockade.web.forwarded import find_client
from stockade.web.socket_tokens import SUBPROTOCOL, take_token

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from stockade.web.addresses import ClientAddresses
    from stockade.web.hosts import HostAllowList
    from stockade.web.settings import WebSettings

# A second one of these would let two readers disagree about which counts (request smuggling,
# confused credentials).
_SINGLE: Final = (
    b"host",
    b"authorization",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"origin",
    b"sec-fetch-site",
    b"x-api-key",
    b"x-client-id",
)
_COOKIE: Final = SESSION_COOKIE.encode("ascii")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,512}")
_LONGEST_LENGTH: Final = 18
# Later ones have streams, which have no such header.
_VERSIONS_OF_CONNECTIONS: Final = ("1.0", "1.1")
# What decoders make of bytes that are no UTF-8.
_REPLACED: Final = re.compile("[\ud800-\udfff\ufffd]")
_SCHEMES: Final = {b"http": "http", b"https": "https"}
# Identifiers that are made at once: one call to the system costs more than the rest of the request
# identifier.
_IDS_AT_ONCE: Final = 128


class RequestReader:
    """Open the exchange of a request.

    Args:
        settings: Body size, request id.
        addresses: Finds the client.
        hosts: Names that the server answers to.
    """

    def __init__(
        self, settings: WebSettings, *, addresses: ClientAddresses, hosts: HostAllowList
    ) -> None:
        self._body_limit = settings.max_body_size
        self._max_request_id = settings.max_request_id
        self._max_headers = settings.max_headers
        self._max_header_bytes = settings.max_header_bytes
        self._max_url = settings.max_url
        self._addresses = addresses
        self._trusts_anybody = addresses.trusts_anybody
        self._reads_elements = settings.proxy_header == "forwarded"
        self._ids = _ids
        self._hosts = hosts

    def open(self, scope: MutableMapping[str, Any], guard: object) -> tuple[Exchange, str | None]:
        """Return the exchange of a request, and a reason code if it can't be accepted at all."""
        pairs = scope["headers"]
        headers: dict[bytes, bytes] = dict(pairs)
        peer = scope.get("client")
        exchange = Exchange(
            guard,
            # A client's own identifier could forge or collide with another request's trail:
            # proxies alone may set it.
            self._ids.make(),
            peer[0] if peer and peer[0] else "unknown",
            scope.get("scheme", "http"),
            self._body_limit,
        )
        if self._trusts_anybody:
            self._read_forwarded(exchange, peer[0] if peer else None, scope, headers)
        exchange.authorization = headers.get(b"authorization")
        if scope["type"] == "websocket" and not _read_socket_token(scope, exchange):
            return exchange, "web.duplicate_header"
        if _COOKIE in headers.get(b"cookie", b""):
            exchange.browser, twice = _read_browser(scope, headers)
            if twice:
                return exchange, "web.duplicate_cookie"
        if b"x-api-key" in headers or b"x-client-id" in headers:
            exchange.api_key = headers.get(b"x-client-id"), headers.get(b"x-api-key")
        exchange.host = host = headers.get(b"host")
        exchange.has_content = b"content-type" in headers or b"content-encoding" in headers
        reason = self._refuse_size(scope, pairs, headers)
        if reason is not None:
            return exchange, reason
        if len(headers) != len(pairs) and _has_duplicates(pairs):
            reason = "web.duplicate_header"
        elif not self._hosts.is_allowed(host):
            reason = "web.host_not_allowed"
        if b"content-length" in headers and not _read_length(scope, headers, exchange):
            reason = reason or "web.bad_content_length"
        return exchange, reason

    def _refuse_size(
        self,
        scope: Mapping[str, Any],
        pairs: list[tuple[bytes, bytes]],
        headers: Mapping[bytes, bytes],
    ) -> str | None:
        """Return a reason code if headers or URL are too large, or the URL is no text."""
        if len(pairs) == len(headers):
            size = len(b"".join(headers)) + len(b"".join(headers.values()))
        else:
            size = sum(len(name) + len(value) for name, value in pairs)
        if len(pairs) > self._max_headers or size > self._max_header_bytes:
            return "web.headers_too_large"
        query = scope.get("query_string", b"")
        path = scope["path"]
        # Servers need not tell how the path was spelled.
        raw_path = scope.get("raw_path")
        if len(query) + len(raw_path or path) > self._max_url:
            return "web.url_too_long"
        if "\0" in path or (query and not _is_text(query)):
            return "web.url_encoding"
        told = _is_text(raw_path) if raw_path else _is_whole(path)
        return None if told else "web.url_encoding"

    def _read_forwarded(
        self,
        exchange: Exchange,
        peer: str | None,
        scope: Mapping[str, Any],
        headers: Mapping[bytes, bytes],
    ) -> None:
        """Believe what a trusted proxy says; a unix socket is one, since no client can reach it."""
        if peer is not None and not self._addresses.is_trusted(peer):
            return
        exchange.from_proxy = True
        if self._reads_elements:
            values = [value for name, value in scope["headers"] if name == b"forwarded"]
            exchange.client, scheme = find_client(self._addresses, peer, values)
        else:
            values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            exchange.client = self._addresses.find(peer, values)
            scheme = _SCHEMES.get(headers.get(b"x-forwarded-proto", b"").strip().lower())
        if scheme is not None:
            exchange.scheme = _for_type(scheme, scope)
        given = headers.get(b"x-request-id", b"")
        if len(given) <= self._max_request_id and _REQUEST_ID.fullmatch(given):
            exchange.request_id = given.decode("ascii")


class RequestIds:
    """Random identifiers of 128 bits, made many at once; safe for threads and forks."""

    def __init__(self) -> None:
        self._stock: list[str] = []
        # A child process must not hand out the same identifiers as its parent.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._stock.clear)

    def make(self) -> str:
        """Return an identifier that was not given out before."""
        try:
            return self._stock.pop()
        except IndexError:
            digits = secrets.token_hex(16 * _IDS_AT_ONCE)
            self._stock += [digits[at : at + 32] for at in range(32, len(digits), 32)]
            return digits[:32]


# One stock for the process: hooks at a fork can't be taken back.
_ids = RequestIds()


def _read_socket_token(scope: MutableMapping[str, Any], exchange: Exchange) -> bool:
    """Take a token from the subprotocols; False where there is another one in a header."""
    token = take_token(scope)
    if token is None:
        return True
    if exchange.authorization is not None:
        return False
    exchange.authorization = b"Bearer " + token
    exchange.subprotocol = SUBPROTOCOL
    return True


def _read_length(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], exchange: Exchange
) -> bool:
    """Note how long a body is said to be, and return whether that is clear."""
    length = headers[b"content-length"]
    # Of two readers in a row, one could go by the length and one by the chunks; what is left over
    # would be a request of its own for one of them (RFC 9112, section 11.2).
    alone = b"transfer-encoding" not in headers
    # ASCII digits alone: int() would take a sign, spaces and underscores as well.
    if alone and length.isdigit() and len(length) <= _LONGEST_LENGTH:
        exchange.content_length = int(length)
        return True
    if scope.get("http_version", "1.1") in _VERSIONS_OF_CONNECTIONS:
        # Where this body ends is unclear, and so is where the next request begins.
        exchange.headers.append((b"connection", b"close"))
    return False


def _for_type(scheme: str, scope: Mapping[str, Any]) -> str:
    if scope["type"] == "websocket":
        return "wss" if scheme == "https" else "ws"
    return scheme


def _read_browser(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes]
) -> tuple[BrowserRequest | None, bool]:
    """Return what a browser says of itself, and whether it sends the session cookie twice."""
    pairs = [part.strip(b" \t").split(b"=", 1) for part in headers[b"cookie"].split(b";")]
    values = [pair[1] for pair in pairs if pair[0] == _COOKIE and len(pair) > 1]
    if len(values) != 1:
        return None, len(values) > 1
    request = BrowserRequest(
        cookie=values[0],
        method=scope.get("method", "WEBSOCKET"),
        fetch_site=headers.get(b"sec-fetch-site"),
        origin=headers.get(b"origin"),
        csrf_token=headers.get(b"x-csrf-token"),
    )
    return request, False


def _is_text(escaped: bytes) -> bool:
    """Tell whether a part of a URL stands for UTF-8 without NUL.

    Whoever reads it later would put something else in the place of what is none.
    """
    if b"%" not in escaped:
        return escaped.isascii()
    try:
        return "\0" not in unquote_to_bytes(escaped).decode("utf-8") and escaped.isascii()
    except UnicodeDecodeError:
        return False


def _is_whole(path: str) -> bool:
    """Tell whether nothing of a path that a server has decoded was put in the place of bytes."""
    return path.isascii() or not _REPLACED.search(path)


def _has_duplicates(pairs: list[tuple[bytes, bytes]]) -> bool:
    names = [name for name, _ in pairs]
    return any(names.count(name) > 1 for name in _SINGLE)
