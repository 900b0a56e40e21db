"""Expect buckets that no client can choose."""

import functools
from collections.abc import Callable
from ipaddress import IPv6Address
from uuid import UUID

import pytest
import slowapi.util
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from stockade.errors import ConfigurationError
from stockade.rate_limiting import address_key, get_rate_limit_key, get_remote_address
from stockade.rate_limiting.keys import (
    custom_key,
    kind_of,
    takes_connection,
    user_key,
    verify_key,
)
from stockade.rate_limiting.models import KeyKind
from tests.unit.rate_limiting.helpers import make_exchange, make_scope


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "ip:192.0.2.7"),
        ("::ffff:192.0.2.7", "ip:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "ip:2001:db8:1:2::/64"),
        ("::1", "ip:::/64"),
        ("fe80::1%eth0", "ip:fe80::/64"),
        ("fe80::1%eth0:rotating", "ip:fe80::/64"),
        (None, "ip:unknown"),
        ("", "ip:unknown"),
        ("testclient", "ip:unknown"),
        ("/run/app.sock", "ip:unknown"),
        ("192.0.2.7:80", "ip:unknown"),
        ("010.0.0.1", "ip:unknown"),
    ],
)
def test_address(address: str | None, expected: str) -> None:
    """Equal clients share a bucket; those without an address share one too."""
    assert address_key(address) == expected


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1))
def test_ipv6_hosts_of_one_network_share_a_bucket(left: int, right: int, network: int) -> None:
    """Rotating through a /64 gains nothing."""
    first, second = (str(IPv6Address((network << 64) | host)) for host in (left, right))
    assert address_key(first) == address_key(second)


def test_ipv6_prefix_is_a_setting() -> None:
    """A narrower or wider network can be what counts as one client."""
    assert address_key("2001:db8:1:2::3", 48) == "ip:2001:db8:1::/48"


@given(st.text(max_size=40))
def test_any_address_has_a_bucket(address: str) -> None:
    """No text leads to an error or to an empty key."""
    assert address_key(address).startswith("ip:")


def test_verified_caller() -> None:
    """The verified caller is the bucket, whatever its address."""
    scope = make_scope(make_exchange(user="42"))
    assert get_rate_limit_key(Request(scope)) == "user:42"


def test_anonymous_caller_behind_a_proxy() -> None:
    """The address that the wall found counts, not the proxy's."""
    scope = make_scope(make_exchange(client="203.0.113.5"))
    assert get_rate_limit_key(Request(scope)) == "ip:203.0.113.5"
    assert get_remote_address(Request(scope)) == "203.0.113.5"


def test_without_stockade_the_peer_counts() -> None:
    """Without a wall no header is believed, neither a token nor a forwarded address."""
    scope = make_scope(headers={"authorization": "Bearer x", "x-forwarded-for": "203.0.113.5"})
    assert get_rate_limit_key(Request(scope)) == "ip:198.51.100.9"
    assert get_remote_address(Request(scope)) == "198.51.100.9"


def test_without_any_peer() -> None:
    """A peer without an address is still limited."""
    scope = make_scope() | {"client": None}
    assert get_rate_limit_key(Request(scope)) == "ip:unknown"
    assert get_remote_address(Request(scope)) == "unknown"


@pytest.mark.parametrize("user", ["a}GET /x", "{", "x" * 500, "ü", "", "a\r\nb", "*"])
def test_unusual_identifiers_become_a_digest(user: str) -> None:
    """No identifier reaches into the rest of a key, and none makes keys large."""
    key = user_key(user)
    assert len(key) == len("user:") + 32
    assert set(key) <= set("user:0123456789abcdef")


def test_custom_keys_are_digested() -> None:
    """What a key function returns may be a secret: it is not kept."""
    assert "secret" not in custom_key("secret")
    assert custom_key("a") != custom_key("b")


@pytest.mark.parametrize("value", ["", None, 7, UUID(int=1)])
def test_any_plain_value_is_a_bucket(value: object) -> None:
    """An empty key is a bucket like any other, not an exemption."""
    assert custom_key(value).startswith("key:")


@pytest.mark.parametrize("value", [object(), [], 1.5, b"x"])
def test_other_values_are_refused(value: object) -> None:
    """A value whose text may differ each time would be a fresh bucket each time."""
    with pytest.raises(TypeError):
        custom_key(value)


class Callers:
    """Key functions as users write them."""

    @staticmethod
    def nothing() -> str:
        return "k"

    @staticmethod
    def connection(request: Request) -> str:
        return str(request.url)

    @staticmethod
    def optional(request: Request | None = None) -> str:
        return str(request)

    @staticmethod
    def anything(*args: object, **kwargs: object) -> str:
        return str(args or kwargs)

    @staticmethod
    def two(request: Request, other: str) -> str:
        return f"{request}{other}"

    @staticmethod
    def keyword(*, request: Request) -> str:
        return str(request)

    @staticmethod
    def other_default(prefix: str = "k") -> str:
        return prefix

    @staticmethod
    async def coroutine() -> str:
        return "k"

    class Object:
        async def __call__(self) -> str:
            return "k"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (Callers.nothing, False),
        (Callers.connection, True),
        (Callers.optional, True),
        (Callers.anything, True),
        (Callers.other_default, False),
        (functools.partial(Callers.two, other="x"), True),
        (lambda: "k", False),
        (lambda connection: f"{connection}", True),
    ],
    ids=["nothing", "request", "optional", "any", "default", "partial", "lambda0", "lambda1"],
)
def test_key_functions_take_the_request_or_nothing(
    key: Callable[..., object], expected: bool
) -> None:
    """A key function gets the request if it asks for one."""
    assert takes_connection(key) is expected


@pytest.mark.parametrize(
    "key",
    [
        Callers.two,
        Callers.keyword,
        Callers.coroutine,
        Callers.Object(),
        slowapi.util.get_ipaddr,
        "x",
    ],
    ids=["two", "keyword", "coroutine", "async object", "get_ipaddr", "text"],
)
def test_unusable_key_functions_are_refused(key: Callable[..., object]) -> None:
    """What can't be a key, or believes a header that the client writes, is refused at import."""
    with pytest.raises(ConfigurationError):
        verify_key(key)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (None, KeyKind.CALLER),
        (get_rate_limit_key, KeyKind.CALLER),
        (get_remote_address, KeyKind.ADDRESS),
        (slowapi.util.get_remote_address, KeyKind.ADDRESS),
        (Callers.nothing, KeyKind.CUSTOM),
    ],
    ids=["none", "ours", "address", "slowapi's", "custom"],
)
def test_known_key_functions_are_recognised(
    key: Callable[..., object] | None, kind: KeyKind
) -> None:
    """Our own keys, and slowapi's address, need no call."""
    assert kind_of(key) is kind
