import re
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.errors import ProviderRefusedError
from stockade.authentication.sign_in_flows import (
    CHALLENGE,
    NEXT,
    STATE,
    Flow,
    Flows,
    LinkTarget,
    challenge_of,
)
from stockade.core import UserId
from stockade.crypto import KeyRing
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import NEW

LINK = LinkTarget(user_id=UserId("ana"), session_id="s-1")
FLOWS = st.builds(
    Flow,
    provider=st.from_regex(r"\A[a-z][a-z0-9-]{0,39}\Z"),
    started_at=st.integers(0, 2**33),
    next=st.from_regex(re.compile(NEXT, re.ASCII), fullmatch=True).map(lambda path: path[:200]),
    fresh=st.booleans(),
    challenge=st.none() | st.from_regex(re.compile(CHALLENGE, re.ASCII), fullmatch=True),
    link=st.none() | st.just(LINK),
    secret=st.binary(min_size=32, max_size=32),
)


def make() -> Flows:
    """Make what keeps sign-ins in cookies."""
    return Flows(KeyRing((NEW,)), clock=FrozenClock())


def cookies_of(header: str) -> dict[str, str]:
    """Return what a browser sends from then on."""
    return {name: morsel.value for name, morsel in SimpleCookie(header).items()}


@given(FLOWS)
def test_a_sign_in_comes_back_as_it_was(flow: Flow) -> None:
    """In a cookie that any browser and server takes."""
    header = make().write_cookie(flow)
    assert len(header) < 1500
    assert make().find(flow.provider, flow.state, cookies_of(header)) == flow


@given(FLOWS)
def test_what_follows_from_the_secret_is_apart(flow: Flow) -> None:
    """Whoever sees the state, or the nonce in a token, knows nothing of the verifier."""
    derived = {flow.state, flow.nonce, flow.verifier, challenge_of(flow.verifier)}
    assert len(derived) == 4
    assert all(re.fullmatch(STATE, each) for each in derived)
    assert flow.secret.hex() not in repr(flow)


def test_each_sign_in_has_a_secret_of_its_own() -> None:
    """Nobody guesses the next one."""
    assert Flow(provider="a", started_at=0).secret != Flow(provider="a", started_at=0).secret


@pytest.mark.parametrize("state", [None, "", "x", "a" * 43, "a" * 44, "é" * 43])
def test_another_state_finds_nothing(state: str | None) -> None:
    """Whatever cookie it finds."""
    header = make().write_cookie(Flow(provider="local", started_at=0))
    (value,) = cookies_of(header).values()
    cookies = {f"__Host-stockade-oidc-{slot}": value for slot in range(8)}
    with pytest.raises(ProviderRefusedError) as caught:
        make().find("local", state, cookies)
    assert caught.value.reason == "authentication.flow_unknown"


def test_another_provider_finds_nothing() -> None:
    """The name in the cookie is that of the address."""
    flow = Flow(provider="one", started_at=0)
    with pytest.raises(ProviderRefusedError) as caught:
        make().find("two", flow.state, cookies_of(make().write_cookie(flow)))
    assert caught.value.reason == "authentication.flow_of_another_provider"


@given(st.from_regex(re.compile(NEXT, re.ASCII), fullmatch=True))
def test_a_path_leads_nowhere_else(path: str) -> None:
    """Alone and behind an origin, as browsers read it."""
    assert not path.startswith(("//", "/\\"))
    assert "\\" not in path
    parts = urlsplit(f"https://app.example.com{path}")
    assert (parts.scheme, parts.netloc) == ("https", "app.example.com")
    assert urlsplit(path).netloc == ""
