"""Find the client's address behind trusted proxies."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

UNKNOWN: Final = "unknown"
# Only characters of an address: an IPv6 address has brackets where a port follows it.
_HOP: Final = re.compile(
    r"\[(?P<v6>[0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?"
    r"|(?P<v4>[0-9.]{7,15})(?::[0-9]{1,5})?"
    r"|(?P<bare>[0-9A-Fa-f:.]{2,45})",
    re.ASCII,
)
# Longer chains are no proxies of ours; whoever sends one is read as the last hop that could be
# checked.
_MAXIMUM_HOPS = 32


class ClientAddresses:
    """Tell the client's address from the connection and the header ``X-Forwarded-For``.

    The header is read from the right: each proxy appends the address it saw, so only what trusted
    proxies appended can be believed. The leftmost entry, which a client can write, is never taken
    on trust.

    Args:
        trusted: Networks of the proxies.
    """

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self.trusts_anybody = bool(trusted)
        self.is_trusted = _make_trust_check(trusted)

    def find(self, peer: str | None, forwarded_for: Iterable[bytes]) -> str:
        """Return the client's address, or ``unknown`` where there is none (unix sockets).

        Args:
            peer: Address of the other end of the connection; None for a unix socket, which a local
                proxy alone can reach.
            forwarded_for: Values of all ``X-Forwarded-For`` headers, in order; untrusted.
        """
        if not self.trusts_anybody:
            return peer or UNKNOWN
        if peer is not None and not self.is_trusted(peer):
            return peer
        nearest = peer or UNKNOWN
        for hop in hops_of(forwarded_for):
            address = read_address(hop)
            if address is None:
                # What stands further left can't be trusted either: the chain is broken here.
                return nearest
            nearest = address
            if not self.is_trusted(address):
                return address
        return nearest


def hops_of(values: Iterable[bytes]) -> list[str]:
    """Return the entries of all headers of one name from the last, as many as proxies can write."""
    hops = b",".join(values).decode("latin-1").split(",")
    return hops[: -_MAXIMUM_HOPS - 1 : -1]


def read_address(text: str) -> str | None:
    """Read one address of a forwarding header, with or without port, in its normal form.

    Returns:
        The address; None where the text is anything else. A zone (``fe80::1%eth0``) names an
        interface of the machine that wrote it, and could hold any text at all: it is no address.
    """
    found = _HOP.fullmatch(text.strip(" \t"))
    if found is None:
        return None
    try:
        return str(_normalise(ip_address(found["v6"] or found["bare"] or found["v4"])))
    except ValueError:
        return None


def _normalise(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _make_trust_check(trusted: Sequence[IPv4Network | IPv6Network]) -> Callable[[str], bool]:
    @lru_cache(maxsize=1024)
    def is_trusted(text: str) -> bool:
        try:
            address = _normalise(ip_address(text))
        except ValueError:
            return False
        return any(address in network for network in trusted if network.version == address.version)

    return is_trusted
