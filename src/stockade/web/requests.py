"""Read from a request, in one pass, what every later step needs."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from stockade.core.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.web.addresses import ClientAddresses
    from stockade.web.hosts import HostAllowList
    from stockade.web.settings import WebSettings

# A second one of these would let two readers disagree about which counts (request smuggling,
# confused credentials).
_SINGLE: Final = (b"host", b"authorization", b"content-length", b"content-type")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,512}")
_LENGTH = re.compile(rb"[0-9]{1,18}")


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
        self._addresses = addresses
        self._hosts = hosts

    def open(self, scope: Mapping[str, Any], guard: object) -> tuple[Exchange, str | None]:
        """Return the exchange of a request, and a reason code if it can't be accepted at all."""
        pairs = scope["headers"]
        headers: dict[bytes, bytes] = dict(pairs)
        peer = scope["client"][0] if scope.get("client") else None
        from_proxy = self._addresses.trusts_anybody and (
            peer is None or self._addresses.is_trusted(peer)
        )
        client = peer or "unknown"
        if from_proxy:
            client = self._addresses.find(
                peer, [value for name, value in pairs if name == b"x-forwarded-for"]
            )
        exchange = Exchange(
            guard=guard,
            request_id=self._read_request_id(headers, from_proxy=from_proxy),
            client=client,
            scheme=_read_scheme(scope, headers, from_proxy=from_proxy),
            body_limit=self._body_limit,
        )
        exchange.from_proxy = from_proxy
        exchange.authorization = headers.get(b"authorization")
        exchange.host = host = headers.get(b"host")
        reason = None
        if len(headers) != len(pairs) and _has_duplicates(pairs):
            reason = "web.duplicate_header"
        elif not self._hosts.is_allowed(host):
            reason = "web.host_not_allowed"
        length = headers.get(b"content-length")
        if length is not None:
            if _LENGTH.fullmatch(length):
                exchange.content_length = int(length)
            else:
                reason = reason or "web.bad_content_length"
        return exchange, reason

    def _read_request_id(self, headers: Mapping[bytes, bytes], *, from_proxy: bool) -> str:
        # A client's own identifier could forge or collide with another request's trail: proxies
        # alone may set it.
        if from_proxy:
            given = headers.get(b"x-request-id", b"")
            if len(given) <= self._max_request_id and _REQUEST_ID.fullmatch(given):
                return given.decode("ascii")
        return secrets.token_hex(16)


def _read_scheme(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], *, from_proxy: bool
) -> str:
    scheme: str = scope.get("scheme", "http")
    if from_proxy:
        forwarded = headers.get(b"x-forwarded-proto", b"").strip().lower()
        if forwarded in (b"http", b"https"):
            secure = forwarded == b"https"
            names = ("wss", "ws") if scope["type"] == "websocket" else ("https", "http")
            return names[0] if secure else names[1]
    return scheme


def _has_duplicates(pairs: list[tuple[bytes, bytes]]) -> bool:
    names = [name for name, _ in pairs]
    return any(names.count(name) > 1 for name in _SINGLE)
