"""Tell the addresses of the public internet from all others.

Not by `ipaddress.is_global`: its answers differ between releases of Python, and it holds addresses
for global that carry a private one inside.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            # Multicast, reserved, and the broadcast address.
            *("224.0.0.0/4", "240.0.0.0/4"),
            # Looks public and is the host of every virtual machine in Azure.
            "168.63.129.16/32",
        ),
    )
)
# Global unicast is the one block that the internet uses: everything else is loopback, link-local,
# unique local, site-local, multicast, or an IPv4 address in disguise.
_GLOBAL_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    map(
        IPv6Network,
        (
            # Protocol assignments with Teredo, benchmarking and ORCHID; documentation; 6to4, which
            # has an IPv4 address inside; the former 6bone; documentation again.
            *("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20"),
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public_address(address: IPAddress) -> bool:
    """Tell whether an address is one of the public internet.

    An IPv6 address that only carries an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo) is
    not, wherever that one leads: no web site is known by it.

    Source: the IANA registries of special-purpose addresses (RFC 6890); RFC 4291, section 2.4.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GLOBAL_6 and not any(address in network for network in _NOT_PUBLIC_6)


def embedded_address(address: IPAddress) -> IPAddress:
    """Return the address that a NAT64 address leads to, and any other as it is.

    In a network of IPv6 alone, its resolver gives out such addresses for every host of IPv4.

    Source: RFC 6052, section 2.1; RFC 6147, section 5.1.
    """
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
