"""A name is looked up right before it is called, and each answer has to be public."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.errors import InvalidInputError
from stockade.validation import resolve_public
from stockade.validation.errors import PrivateAddressError
from stockade.validation.types.addresses import is_public_address
from stockade.validation.types.resolving import Resolver, resolve_host

URL = "https://example.com/hook"


def answering(*answers: str) -> Resolver:
    """Return a resolver that knows one answer."""

    async def resolve(host: str, port: int) -> list[str]:
        assert (host, port) == ("example.com", 443)
        return list(answers)

    return resolve


def raising(error: Exception) -> Resolver:
    """Return a resolver that fails."""

    async def resolve(host: str, port: int) -> list[str]:
        raise error

    return resolve


async def never(host: str, port: int) -> list[str]:
    """Resolve nothing: whoever asks did not look at the URL first."""
    pytest.fail("was asked")


async def test_public_answers_come_back_once_and_in_order() -> None:
    """The addresses are what may be connected to."""
    answers = answering("93.184.216.34", "2606:4700::1", "93.184.216.34")
    assert await resolve_public(URL, resolver=answers) == (
        ip_address("93.184.216.34"),
        ip_address("2606:4700::1"),
    )


@pytest.mark.parametrize(
    "answers",
    [
        ("127.0.0.1",),
        ("169.254.169.254",),
        ("10.0.0.1",),
        ("::1",),
        ("::ffff:10.0.0.1",),
        ("fe80::1%eth0",),
        ("64:ff9b::10.0.0.1",),
        ("64:ff9b::a9fe:a9fe",),
        ("93.184.216.34", "127.0.0.1"),
        ("127.0.0.1", "93.184.216.34"),
        ("93.184.216.34", "fd00::1"),
    ],
    ids=repr,
)
async def test_one_private_answer_refuses_the_url(answers: tuple[str, ...]) -> None:
    """A client tries the answers in turn, so that a public one beside it saves nothing."""
    with pytest.raises(PrivateAddressError) as caught:
        await resolve_public(URL, resolver=answering(*answers))
    assert caught.value.reason == "validation.address_not_public"


async def test_networks_of_ipv6_alone_reach_public_hosts() -> None:
    """There, the resolver puts each public IPv4 address into one of NAT64."""
    answers = answering("64:ff9b::93.184.216.34")
    assert await resolve_public(URL, resolver=answers) == (ip_address("64:ff9b::5db8:d822"),)


async def test_rebinding_is_noticed_at_the_second_look() -> None:
    """A name that has moved inside since the field was accepted is refused."""
    pending = [["93.184.216.34"], ["127.0.0.1"]]

    async def moving(host: str, port: int) -> list[str]:
        return pending.pop(0)

    await resolve_public(URL, resolver=moving)
    with pytest.raises(PrivateAddressError):
        await resolve_public(URL, resolver=moving)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://localhost/",
        "http://metadata/",
        "http://m\u00fcnchen.de/",
        "http://2130706433/",
        "http://user@example.com/",
        "ftp://example.com/",
        "example.com",
        "",
        "http://example.com/" + "x" * 3_000,
    ],
    ids=lambda url: ascii(url)[:40],
)
async def test_what_is_no_public_url_is_never_looked_up(url: str) -> None:
    """The function trusts nobody to have checked the field."""
    with pytest.raises(PrivateAddressError) as caught:
        await resolve_public(url, resolver=never)
    assert caught.value.reason == "validation.url_not_public"


async def test_an_address_needs_no_look_up() -> None:
    """A public address leads to itself."""
    assert await resolve_public("https://8.8.8.8/", resolver=never) == (ip_address("8.8.8.8"),)


@pytest.mark.parametrize(
    "resolver",
    [
        raising(socket.gaierror(socket.EAI_NONAME, "unknown")),
        raising(OSError("no route")),
        raising(UnicodeError("label too long")),
        answering(),
        answering("not an address"),
        answering("93.184.216.34", ""),
    ],
    ids=["unknown", "unreachable", "unicode", "empty", "garbage", "half"],
)
async def test_unknown_hosts_are_refused(resolver: Resolver) -> None:
    """No answer is no address, and the resolver's own error is not shown."""
    with pytest.raises(PrivateAddressError) as caught:
        await resolve_public(URL, resolver=resolver)
    assert caught.value.reason == "validation.host_unknown"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


async def test_a_slow_resolver_is_given_up() -> None:
    """Whoever owns the name can't hold the request."""

    async def slow(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(PrivateAddressError) as caught:
        await resolve_public(URL, resolver=slow, max_wait=timedelta(0))
    assert caught.value.reason == "validation.host_unknown"


async def test_slow_names_hold_no_thread_of_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many look-ups hang, the loop still finds its databases."""
    answer = threading.Event()
    real = socket.getaddrinfo

    def hang(host: str, *rest: object, **options: object) -> object:
        if host == "example.com":
            answer.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "slow")
        return real(host, *rest, **options)  # type: ignore[arg-type] # as it came

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    waits = [resolve_public(URL, max_wait=timedelta(milliseconds=20)) for _ in range(64)]
    try:
        refused = await asyncio.gather(*waits, return_exceptions=True)
        found = await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    finally:
        answer.set()
    assert {type(each) for each in refused} == {PrivateAddressError}
    assert found
    alive = [each for each in threading.enumerate() if "stockade-resolver" in each.name]
    assert 0 < len(alive) <= 16


async def test_refusals_look_the_same_from_outside() -> None:
    """Whether a host inside exists is not told: code and status are those of any wrong value."""
    codes = set()
    for resolver in (answering("10.0.0.1"), answering()):
        with pytest.raises(InvalidInputError) as caught:
            await resolve_public(URL, resolver=resolver)
        codes.add(caught.value.code)
        assert "example.com" not in repr(caught.value)
    assert codes == {"private_address"}


async def test_the_real_resolver_answers_off_the_loop() -> None:
    """The system's answers for this machine are its own addresses, each once."""
    found = await resolve_host("localhost", 80)
    assert "127.0.0.1" in found or "::1" in found
    assert len(found) == len(set(found))
    assert not any(is_public_address(ip_address(each)) for each in found)


@given(st.lists(st.ip_addresses().map(str), min_size=1, max_size=4))
def test_no_private_address_ever_comes_back(answers: list[str]) -> None:
    """Whatever a resolver says, what comes back is public, or NAT64 of what is public."""

    async def look() -> None:
        try:
            found = await resolve_public(URL, resolver=answering(*answers))
        except PrivateAddressError:
            assert not all(is_public_address(ip_address(each)) for each in answers)
        else:
            assert [str(each) for each in found] == list(dict.fromkeys(answers))

    asyncio.run(look())
