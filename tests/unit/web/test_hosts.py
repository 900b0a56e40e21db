import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.web import HostAllowList

HOSTS = HostAllowList(["example.com", "*.example.org", "[::1]", "localhost"])


@pytest.mark.parametrize(
    "header",
    [
        b"example.com",
        b"EXAMPLE.com",
        b"example.com.",
        b"example.com:8000",
        b"example.com.:443",
        b"a.example.org",
        b"a.b.example.org:1",
        b"[::1]",
        b"[::1]:8000",
        b"localhost:65535",
    ],
    ids=repr,
)
def test_names_of_the_server_are_allowed(header: bytes) -> None:
    """Case, a final dot and a port make no other name."""
    assert HOSTS.is_allowed(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"evil.com",
        b"example.com.evil.com",
        b"evilexample.com",
        b"example.org",
        b".example.org",
        b"a..example.org",
        b"evilexample.org",
        b"sub.example.com",
        b"example.com@evil.com",
        b"evil.com@example.com",
        b"example.com/",
        b"example.com/../evil",
        b"example.com#",
        b"example.com?x",
        b"example.com\\evil",
        b"example.com:",
        b"example.com:80:80",
        b"example.com:8a",
        b"example.com:65536",
        b"example.com:999999",
        b"example.com:-1",
        b"example.com, evil.com",
        b"example.com evil.com",
        b" example.com",
        b"example.com\n",
        b"example.com\0",
        b"example.com..",
        b"ex\xe4mple.com",
        b"[::1",
        b"::1",
        b"[::1]evil",
        b"[::1%25eth0]",
        b"[fe80::1]",
        b"http://example.com",
        b"a" * 64 + b".example.org",
        b"a." * 200 + b"example.org",
        b"a" * 10_000_000,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_anything_else_is_not(header: bytes | None) -> None:
    """A name that only looks like one of ours is refused, and so is every trick with the syntax."""
    assert not HOSTS.is_allowed(header)


def test_without_names_nothing_is_allowed() -> None:
    """An empty list answers to nobody."""
    assert not HostAllowList([]).is_allowed(b"localhost")


LABEL = st.from_regex(r"\A[A-Za-z0-9-]{1,10}\Z")


@given(
    st.binary(max_size=40)
    | st.lists(LABEL | st.just("example.com") | st.just("example.org"), min_size=1, max_size=3).map(
        lambda parts: ".".join(parts).encode()
    )
)
def test_only_listed_names_pass(header: bytes) -> None:
    """Whatever passes is one of the names, or a whole label in front of a listed suffix."""
    if HOSTS.is_allowed(header):
        name = header.decode("ascii").lower().rpartition("]")[0] or header.decode("ascii").lower()
        name = name.partition(":")[0].removesuffix(".")
        assert name in {"example.com", "localhost", "["} or name.endswith(".example.org")
        assert "" not in name.split(".")
