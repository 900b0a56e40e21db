"""The public internet is told from every other network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.validation.types.addresses import embedded_address, is_public_address


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4001:82b::200e",
        "2001:200::",
    ],
)
def test_public_addresses_are_known(text: str) -> None:
    """Addresses of web sites, and those right beside a private network, are public."""
    assert is_public_address(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3ffe::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_all_others_are_known(text: str) -> None:
    """Private, shared, local, reserved and multicast addresses, and disguises, are not public."""
    assert not is_public_address(ip_address(text))


@given(st.ip_addresses())
def test_what_python_holds_for_private_is_not_public(address: IPv4Address | IPv6Address) -> None:
    """We are never more generous than the standard library."""
    if is_public_address(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=4))
def test_disguises_are_not_public(address: IPv4Address) -> None:
    """An address inside of another one is refused in each way to put it there."""
    number = int(address)
    for disguise in (
        IPv6Address(number),
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64_FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x2001_0000 << 96) | (number ^ 0xFFFF_FFFF)),
    ):
        assert not is_public_address(disguise)


def test_nat64_is_unwrapped_and_nothing_else() -> None:
    """What a resolver of an IPv6 network gives out for a host of IPv4 is that host's address."""
    assert embedded_address(ip_address("64:ff9b::8.8.8.8")) == ip_address("8.8.8.8")
    assert embedded_address(ip_address("64:ff9b::10.0.0.1")) == ip_address("10.0.0.1")
    for text in ("64:ff9b:1::8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1", "8.8.8.8"):
        assert embedded_address(ip_address(text)) == ip_address(text)
