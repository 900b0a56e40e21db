"""Take the access token of a websocket from where a browser can put it.

A page can set no header of a handshake but the subprotocols that it offers:
``new WebSocket(url, ["bearer", token])``. An address, which ends up in logs, is never read.

Source: RFC 6455, section 1.9; ASVS 5.0 V4.4.3; CWE-598.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SUBPROTOCOL: Final = "bearer"
_HEADER: Final = b"sec-websocket-protocol"


def take_token(scope: MutableMapping[str, Any]) -> bytes | None:
    """Take the token out of the offered subprotocols, so that nothing further in sees or logs it.

    Args:
        scope: ASGI scope of a handshake; untrusted.

    Returns:
        What stands behind ``bearer``; None where that is not offered, or nothing is behind it.
    """
    offered: list[str] = list(scope.get("subprotocols") or ())
    if SUBPROTOCOL not in offered[:-1]:
        return None
    at = offered.index(SUBPROTOCOL)
    token = offered[at + 1]
    left = offered[:at] + offered[at + 2 :]
    headers = [pair for pair in scope["headers"] if pair[0] != _HEADER]
    if left:
        headers.append((_HEADER, ", ".join(left).encode("latin-1")))
    scope["subprotocols"] = left
    scope["headers"] = headers
    return token.encode("latin-1", "replace")
