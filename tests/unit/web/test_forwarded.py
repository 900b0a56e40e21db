from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stockade.web import ClientAddresses, WebSettings
from stockade.web.forwarded import Element, find_client, read_element

ADDRESSES = ClientAddresses([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("text", "element"),
    [
        ("for=192.0.2.43", Element("192.0.2.43", None)),
        (' For="192.0.2.43:47011" ', Element("192.0.2.43", None)),
        ("for=192.0.2.43:47011;proto=HTTPS", Element("192.0.2.43", "https")),
        ('for="[2001:db8:cafe::17]:4711"', Element("2001:db8:cafe::17", None)),
        ('for="[2001:DB8::17]"; proto=http;by=203.0.113.43', Element("2001:db8::17", "http")),
        ('for="[::ffff:192.0.2.43]:_port"', Element("192.0.2.43", None)),
        ("proto=https;for=192.0.2.43;host=a.example", Element("192.0.2.43", "https")),
        ("proto=https", Element(None, "https")),
        ("for=unknown", Element(None, None)),
        ("for=_SEVKISEK;proto=https", Element(None, "https")),
        ('for="2001:db8::17"', Element(None, None)),
        ("for=fe80::1%eth0", Element(None, None)),
        ("for=;proto=http", None),
        ("for=192.0.2.43;for=192.0.2.44", None),
        ("for=192.0.2.43;FOR=192.0.2.43", None),
        ("for=192.0.2.43;proto=ftp", Element("192.0.2.43", None)),
        (";;for=192.0.2.43;", Element("192.0.2.43", None)),
        ("", None),
        (";", None),
        ("192.0.2.43", None),
        ('for="192.0.2.43', None),
        ('for=192.0.2.43"', None),
        ('for="192.0.2.43\\""', None),
        ("for =192.0.2.43", None),
        ("for= 192.0.2.43", None),
        (f"for={'1' * 300}", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_element_is_read(text: str, element: Element | None) -> None:
    """Addresses and schemes are taken in each spelling of RFC 7239, section 4 to 6."""
    assert read_element(text) == element


@pytest.mark.parametrize(
    ("forwarded", "client", "scheme"),
    [
        ([b"for=198.51.100.1;proto=https"], "198.51.100.1", "https"),
        ([b"for=1.1.1.1;proto=http, for=198.51.100.1;proto=https"], "198.51.100.1", "https"),
        ([b"for=198.51.100.1;proto=https, for=10.0.0.2;proto=http"], "198.51.100.1", "https"),
        ([b"for=198.51.100.1;proto=https", b"for=10.0.0.2"], "198.51.100.1", "https"),
        ([b"for=198.51.100.1, for=10.0.0.2;proto=https"], "198.51.100.1", None),
        ([b"for=10.0.0.9;proto=https"], "10.0.0.9", "https"),
        ([b"for=_hidden;proto=https, for=10.0.0.2"], "10.0.0.2", "https"),
        ([b"for=1.1.1.1, nonsense, for=10.0.0.2"], "10.0.0.2", None),
        ([], "10.0.0.1", None),
        ([b""], "10.0.0.1", None),
        # A quote that a client opens reaches over no comma.
        ([b'for="1.1.1.1, for=198.51.100.1;proto=https'], "198.51.100.1", "https"),
        ([b'x=", for="[2001:db8::9]"'], "2001:db8::9", None),
        ([b'for=1.1.1.1;x="', b'for=198.51.100.1;host="a,b"'], "10.0.0.1", None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_client_is_the_last_whom_no_proxy_of_ours_is(
    forwarded: list[bytes], client: str, scheme: str | None
) -> None:
    """Elements are read from the right, as far as trusted proxies have written them."""
    assert find_client(ADDRESSES, "10.0.0.1", forwarded) == (client, scheme)


def test_a_unix_socket_is_a_proxy() -> None:
    """No client can reach it."""
    assert find_client(ADDRESSES, None, [b"for=198.51.100.1"]) == ("198.51.100.1", None)
    assert find_client(ADDRESSES, None, []) == ("unknown", None)


OURS = st.sampled_from(["10.0.0.2", "10.9.9.9", "[fd00::7]"])


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    st.lists(OURS, max_size=4),
)
def test_whatever_a_client_writes_it_is_who_the_proxy_saw(written: str, behind: list[str]) -> None:
    """Nothing to the left of what the first proxy has appended changes whom it names."""
    appended = [f'for="{each}"' for each in ("198.51.100.1", *behind)]
    header = ", ".join([written, *appended]).encode()
    assert find_client(ADDRESSES, "10.0.0.1", [header]) == ("198.51.100.1", None)


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_any_text_is_an_element_or_none(text: str) -> None:
    """Nothing raises, and an address is one."""
    element = read_element(text)
    if element is not None and element.address is not None:
        assert str(ip_address(element.address)) == element.address


def test_the_header_needs_proxies() -> None:
    """A setting that changes nothing is a mistake."""
    with pytest.raises(ValidationError, match="name them in STOCKADE_WEB__TRUSTED_PROXIES"):
        WebSettings(proxy_header="forwarded")
