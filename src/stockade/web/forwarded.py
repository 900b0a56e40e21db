"""Read the elements of the header ``Forwarded`` (RFC 7239)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from stockade.web.addresses import UNKNOWN, hops_of, read_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stockade.web.addresses import ClientAddresses

# A value that is not quoted may have the colon of a port all the same: not every proxy quotes it.
_PAIR: Final = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40})="
    r"(?:\"(?P<quoted>[^\"\\]{0,256})\"|(?P<bare>[^\s\"\\=]{1,256}))",
    re.ASCII,
)
_HIDDEN_PORT: Final = re.compile(r":_[A-Za-z0-9._-]{1,100}$", re.ASCII)
_SCHEMES: Final = {"http": "http", "https": "https"}


class Element(NamedTuple):
    """What one proxy says of the request that it got.

    Attributes:
        address: Whom the proxy saw (``for``); None where it does not tell.
        scheme: ``http`` or ``https`` (``proto``); None where it does not tell.
    """

    address: str | None
    scheme: str | None


def find_client(
    addresses: ClientAddresses, peer: str | None, forwarded: Iterable[bytes]
) -> tuple[str, str | None]:
    """Return the client's address and the scheme of its request, as far as proxies vouch for them.

    As with ``X-Forwarded-For``, elements are read from the right: each was appended by the proxy
    that the one to its right saw.

    Args:
        addresses: Knows which proxies are trusted.
        peer: Address of a trusted proxy at the other end of the connection; None for a unix socket.
        forwarded: Values of all ``Forwarded`` headers, in order; untrusted.

    Returns:
        The address, or ``unknown``, and the scheme that the proxy next to the client saw.
    """
    nearest, scheme = peer or UNKNOWN, None
    for hop in hops_of(forwarded):
        element = read_element(hop)
        if element is None:
            break
        address, scheme = element
        if address is None:
            break
        nearest = address
        if not addresses.is_trusted(address):
            break
    return nearest, scheme


def read_element(text: str) -> Element | None:
    """Read one element, which is what stands between two commas.

    Commas part elements in quotes as well: no address and no scheme has one, and so nothing that a
    client wrote can reach into what a proxy appended.

    Returns:
        The element; None where the text is anything else.
    """
    pairs: dict[str, str] = {}
    for part in text.split(";"):
        pair = part.strip(" \t")
        if not pair:
            continue
        found = _PAIR.fullmatch(pair)
        if found is None:
            return None
        name, quoted = found["name"].lower(), found["quoted"]
        if name in pairs:
            return None
        pairs[name] = found["bare"] if quoted is None else quoted
    if not pairs:
        return None
    return Element(_read_node(pairs.get("for", "")), _SCHEMES.get(pairs.get("proto", "").lower()))


def _read_node(node: str) -> str | None:
    bare = _HIDDEN_PORT.sub("", node)
    if bare.count(":") > 1 and not bare.startswith("["):
        # Without brackets nobody knows whether the last part is a port.
        return None
    return read_address(bare)
