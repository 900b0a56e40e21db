"""Decide which bucket a request belongs to.

A bucket is chosen by what has been verified: the caller once it is authenticated, before that the
address that the wall found. No header is read here, so no client can choose a fresh bucket for each
request.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, Protocol
from uuid import UUID

from stockade.core.exchange import find_exchange
from stockade.errors import ConfigurationError
from stockade.rate_limiting.models import KeyKind

IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that name one client: providers hand out at least a /64 to each."""

# Callers without an address (a Unix socket, a test client) share one bucket: no address must never
# mean no limit.
UNKNOWN: Final = "unknown"

_PLAIN = re.compile(r"[A-Za-z0-9_.@:+-]{1,64}")
_FOREIGN_ADDRESS = ("slowapi.util", "get_remote_address")
_FOREIGN_FORWARDED = ("slowapi.util", "get_ipaddr")


class HasScope(Protocol):
    """A request or a websocket, as Starlette has them."""

    @property
    def scope(self) -> MutableMapping[str, Any]:
        """The ASGI scope."""


@lru_cache(maxsize=8192)
def address_key(address: str | None, prefix: int = IPV6_PREFIX) -> str:
    """Name the bucket of an address.

    Args:
        address: Address of the client, already taken from trusted proxies.
        prefix: Bits of an IPv6 address that count.

    >>> address_key("192.0.2.7"), address_key("::ffff:192.0.2.7"), address_key("2001:db8::1:2")
    ('ip:192.0.2.7', 'ip:192.0.2.7', 'ip:2001:db8::/64')
    """
    parsed = _parse(address)
    if parsed is None:
        return f"ip:{UNKNOWN}"
    if isinstance(parsed, IPv4Address):
        return f"ip:{parsed}"
    return f"ip:{IPv6Network((int(parsed), prefix), strict=False)}"


def _parse(address: str | None) -> IPv4Address | IPv6Address | None:
    try:
        # A zone ("%eth0") is chosen by the sender and must not part buckets.
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


@lru_cache(maxsize=8192)
def user_key(user_id: str) -> str:
    """Name the bucket of a verified caller; an unusual identifier becomes its digest."""
    return f"user:{user_id if _PLAIN.fullmatch(user_id) else _digest(user_id)}"


def custom_key(value: object) -> str:
    """Name the bucket that a key function chose.

    What such a function returns is often a secret (an API key) and often as long as its sender
    likes, so only a digest is kept. An empty value is a bucket like any other: slowapi would skip
    the limit.

    Raises:
        TypeError: The function returned something whose text is not the same for equal callers,
            such as a coroutine.
    """
    if value is not None and not isinstance(value, str | int | UUID):
        raise TypeError(f"a key function returns a text, not {type(value).__name__}")
    return f"key:{_digest('' if value is None else str(value))}"


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def get_rate_limit_key(request: HasScope) -> str:
    """Name the bucket of a request: ``user:<id>`` for a verified caller, else ``ip:<address>``.

    It is the key of all limits that name none, and works as ``key_func`` of slowapi's own
    ``Limiter`` too. Where Stockade is not installed it uses the address of the peer; a header never
    counts.
    """
    exchange = find_exchange(request.scope)
    if exchange is None:
        return address_key(_peer(request.scope))
    if exchange.principal is not None:
        return user_key(exchange.principal.user_id)
    return address_key(exchange.client)


def get_remote_address(request: HasScope) -> str:
    """Return the address of the client, or of the peer where Stockade is not installed."""
    exchange = find_exchange(request.scope)
    return (exchange.client if exchange else _peer(request.scope)) or UNKNOWN


def _peer(scope: MutableMapping[str, Any]) -> str | None:
    client = scope.get("client")
    return str(client[0]) if client else None


def kind_of(key: Callable[..., object] | None) -> KeyKind:
    """Tell whether a key function is one of ours, which cost nothing, or custom."""
    if key is None or key is get_rate_limit_key:
        return KeyKind.CALLER
    if key is get_remote_address or _origin(key) == _FOREIGN_ADDRESS:
        return KeyKind.ADDRESS
    return KeyKind.CUSTOM


def verify_key(key: Callable[..., object]) -> None:
    """Check that a function can be a key function.

    Raises:
        ConfigurationError: It is a coroutine function, needs more than the connection, or trusts a
            header.
    """
    if _origin(key) == _FOREIGN_FORWARDED:
        raise ConfigurationError(
            "slowapi's get_ipaddr believes a header that the client writes: use get_remote_address"
        )
    verify_function("a key function", key)


def verify_function(what: str, function: object) -> None:
    """Check that a function can be asked about a request.

    Args:
        what: What it is, for the message.
        function: The function.

    Raises:
        ConfigurationError: It is a coroutine function or needs more than the connection.
    """
    if not callable(function):
        message = f"{what} is a function of the request, or of nothing"
        raise ConfigurationError(message)
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is looked at
    ):
        message = f"{what} must not be a coroutine function"
        raise ConfigurationError(message)
    takes_connection(function, what)


def takes_connection(key: Callable[..., object], what: str = "a key function") -> bool:
    """Tell whether a function is given the connection or nothing.

    Args:
        key: The function.
        what: What it is, for the message.

    Raises:
        ConfigurationError: It needs more than that.
    """
    try:
        parameters = inspect.signature(key).parameters.values()
    except ValueError:  # Some functions written in C have no signature.
        return True
    variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    needed = [
        item for item in parameters if item.default is item.empty and item.kind not in variable
    ]
    if len(needed) > 1 or any(item.kind is item.KEYWORD_ONLY for item in needed):
        message = f"{what} takes the request, or nothing"
        raise ConfigurationError(message)
    return bool(needed) or any(
        item.kind is item.VAR_POSITIONAL
        or (item.name == "request" and item.kind is not item.KEYWORD_ONLY)
        for item in parameters
    )


def _origin(key: object) -> tuple[str, str]:
    return getattr(key, "__module__", "") or "", getattr(key, "__qualname__", "")
