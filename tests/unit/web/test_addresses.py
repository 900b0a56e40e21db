from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.web import ClientAddresses
from stockade.web.addresses import read_address

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
ADDRESSES = ClientAddresses(TRUSTED)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [b"198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", [b"1.1.1.1", b"198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1,"], "10.0.0.1"),
        ("10.0.0.1", [b"127.0.0.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"_hidden"], "10.0.0.1"),
        ("10.0.0.1", [b'"198.51.100.1"'], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.1:443"], "198.51.100.1"),
        ("10.0.0.1", [b"[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", [b"2001:DB8:0::1"], "2001:db8::1"),
        ("10.0.0.1", [b"::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [b"198.51.100.1, ::ffff:10.0.0.5"], "198.51.100.1"),
        ("::ffff:10.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("fd00::1", [b"198.51.100.1"], "198.51.100.1"),
        (None, [b"198.51.100.1"], "198.51.100.1"),
        (None, [], "unknown"),
        ("testclient", [b"198.51.100.1"], "testclient"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_client_is_the_last_hop_that_no_proxy_of_ours_is(
    peer: str | None, forwarded: list[bytes], client: str
) -> None:
    """The chain is read from the right, as far as proxies that are trusted have written it."""
    assert ADDRESSES.find(peer, forwarded) == client


@pytest.mark.parametrize("peer", ["10.0.0.1", "203.0.113.9", "::1", "testclient"])
def test_without_proxies_the_header_means_nothing(peer: str) -> None:
    """Whoever sends the header to a server without proxies is who it is."""
    alone = ClientAddresses([])
    assert not alone.trusts_anybody
    assert alone.find(peer, [b"198.51.100.1"]) == peer
    assert alone.find(None, [b"198.51.100.1"]) == "unknown"


HOPS = st.sampled_from(
    [
        "10.0.0.1",
        "10.9.9.9",
        "fd00::7",
        "198.51.100.1",
        "2001:db8::1",
        "nonsense",
        "",
        "10.0.0.1:80",
    ]
)
PEERS = st.sampled_from(["10.0.0.1", "fd00::7", "203.0.113.9", None])


def slow_find(peer: str | None, chain: list[str]) -> str:
    """Find the client by recursion over the chain, as the rule is told in words."""
    if peer is not None and not any(ip_address(peer) in network for network in TRUSTED):
        return peer
    if not chain or chain[-1] in {"nonsense", ""}:
        return peer or "unknown"
    return slow_find(chain[-1].removesuffix(":80"), chain[:-1])


@given(PEERS, st.lists(HOPS, max_size=8), st.integers(0, 8))
def test_the_chain_is_read_as_the_rule_says(peer: str | None, chain: list[str], cut: int) -> None:
    """A slow reading of the rule gives the same, however the chain is spread over headers."""
    headers = [", ".join(part).encode() for part in (chain[:cut], chain[cut:]) if part]
    assert ADDRESSES.find(peer, headers) == slow_find(peer, chain)


@given(st.lists(st.text("0123456789.:abcdef[], x", max_size=30), max_size=4))
def test_a_client_never_chooses_its_address(written: list[str]) -> None:
    """Whatever a client writes, what the trusted proxy appends is what counts."""
    headers = [part.encode() for part in written] + [b"203.0.113.9"]
    assert ADDRESSES.find("10.0.0.1", headers) == "203.0.113.9"
    joined = ",".join([*written, "203.0.113.9"]).encode()
    assert ADDRESSES.find("10.0.0.1", [joined]) == "203.0.113.9"


def test_a_long_chain_is_read_in_part() -> None:
    """A header of thousands of hops costs no more than a few."""
    chain = b",".join([b"198.51.100.1"] + [b"10.0.0.2"] * 20_000)
    assert ADDRESSES.find("10.0.0.1", [chain]) == "10.0.0.2"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" 192.0.2.1\t", "192.0.2.1"),
        ("192.0.2.1:65535", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
        ("192.0.2.1:evil", None),
        ("192.0.2.1:", None),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("3221225985", None),
        ("0x7f.0.0.1", None),
        ("[192.0.2.1]", "192.0.2.1"),
        ("[::1]evil", None),
        ("[::1", None),
        ("::1]", None),
        ("fe80::1%eth0", None),
        ("fe80::1%<script>", None),
        ("[fe80::1%25eth0]:80", None),
        ("192.0.2.1\u00a0", None),
        ("192.0.2.1 192.0.2.2", None),
        ("for=192.0.2.1", None),
        ("", None),
    ],
    ids=repr,
)
def test_one_address_is_read_strictly(text: str, address: str | None) -> None:
    """An address with or without a port, and nothing that only begins like one."""
    assert read_address(text) == address


@given(st.text(max_size=60) | st.from_regex(r"\A\[?[0-9a-f:.%]{1,40}\]?(:\d+)?\Z"))
def test_what_is_read_is_an_address_in_its_normal_form(text: str) -> None:
    """Any text gives a normal address, which reads back as itself, or none."""
    address = read_address(text)
    if address is not None:
        assert str(ip_address(address)) == address
        assert read_address(address) == address
        assert len(address) <= 39


@given(st.ip_addresses())
def test_every_address_is_read(address: object) -> None:
    """Each form in which proxies write an address is understood."""
    text = str(address)
    expected = read_address(text)
    assert expected is not None
    bracketed = f"[{text}]:443" if ":" in text else f"{text}:443"
    assert read_address(bracketed) == read_address(text.upper()) == expected
