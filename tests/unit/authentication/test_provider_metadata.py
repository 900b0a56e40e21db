import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.errors import IssuerError
from stockade.authentication.provider_metadata import (
    Endpoints,
    ProviderMetadata,
    read_endpoints,
)
from stockade.authentication.provider_settings import ProviderSettings
from stockade.errors import UnavailableError
from stockade.events import EventLog, MemorySink
from tests.clock import FrozenClock

ISSUER = "https://id.example"
WHOLE = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


def make_settings(**values: object) -> ProviderSettings:
    """Make settings of a provider."""
    given = {"issuer": ISSUER, "client_id": "app", "client_secret": "hush", **values}
    return ProviderSettings.model_validate(given)


def read(settings: ProviderSettings | None = None, **changes: object) -> Endpoints:
    """Read a description; None takes a member away."""
    document = {name: value for name, value in {**WHOLE, **changes}.items() if value is not None}
    return read_endpoints(json.dumps(document).encode(), settings or make_settings())


def test_a_description_says_where_things_are() -> None:
    """What it does not promise is not expected."""
    found = read()
    assert (found.authorization, found.token, found.keys) == (
        f"{ISSUER}/authorize",
        f"{ISSUER}/token",
        f"{ISSUER}/keys",
    )
    assert not found.names_itself
    assert read(authorization_response_iss_parameter_supported=True).names_itself
    assert not read(authorization_response_iss_parameter_supported="yes").names_itself


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "address",
    [
        None,
        7,
        "",
        "/token",
        "http://id.example/token",
        "https://other.example/token",
        "https://id.example.evil/token",
        "https://id.example:8443/token",
        "https://user@id.example/token",
        "https://id.example@evil.example/token",
        "https://169.254.169.254/latest",
        "http://127.0.0.1:9/token",
        "http://localhost/token",
        "file:///etc/passwd",
        "gopher://id.example/",
        "https://id.example/token?x=y",
        "https://id.example/token#x",
        "https://id.example/\r\nx: y",
        "https://id.example\\@evil.example/",
        "https://[::1/",
        "https://id.example/" + "a" * 600,
    ],
)
def test_an_endpoint_is_on_the_provider_s_own_host(
    member: str,
    address: Any,  # noqa: ANN401 - whatever JSON can hold
) -> None:
    """What a provider writes leads this server nowhere else."""
    with pytest.raises(IssuerError):
        read(**{member: address})


def test_further_hosts_are_named_by_the_settings() -> None:
    """By name and port, over https alone."""
    settings = make_settings(hosts=["oauth.example", "keys.example:8443"])
    assert read(settings, token_endpoint="https://oauth.example/token").token
    assert read(settings, jwks_uri="https://keys.example:8443/keys").keys
    for address in (
        "http://oauth.example/token",
        "https://a.oauth.example/token",
        "https://oauth.example:444/token",
        "https://keys.example/token",
    ):
        with pytest.raises(IssuerError):
            read(settings, token_endpoint=address)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://id.example/"},
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"id_token_signing_alg_values_supported": ["HS256", "none"]},
        {"id_token_signing_alg_values_supported": "RS256"},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": []},
        {"response_types_supported": ["id_token"]},
        {"token_endpoint_auth_methods_supported": ["client_secret_post", 7]},
    ],
)
def test_what_does_not_fit_the_settings_is_not_believed(changes: dict[str, Any]) -> None:
    """Another issuer, or one that can't do what is asked for."""
    with pytest.raises(IssuerError):
        read(**changes)


@given(
    st.binary(max_size=50)
    | st.dictionaries(
        st.sampled_from([*WHOLE, "code_challenge_methods_supported"]),
        st.none() | st.text() | st.integers() | st.lists(st.text() | st.none(), max_size=2),
    ).map(lambda found: json.dumps({**WHOLE, **found}).encode())
)
def test_any_document_is_read_or_refused(raw: bytes) -> None:
    """With the one error and no other."""
    with contextlib.suppress(IssuerError):
        read_endpoints(raw, make_settings())


class Reader:
    """Reads a description, or finds that the provider is away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_away = False
        self.waits: asyncio.Event | None = None

    async def read(self, url: str, *, seconds: float) -> bytes:
        """Return the description."""
        self.asked.append(url)
        if self.waits is not None:
            await self.waits.wait()
        if self.is_away:
            raise IssuerError("no answer")
        return json.dumps(WHOLE).encode()


class Bench:
    """The description of one provider."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.reader = Reader()
        self.sink = MemorySink()
        self.metadata = ProviderMetadata(
            "local",
            make_settings(),
            self.reader,
            events=EventLog([self.sink], clock=self.clock),
            clock=self.clock,
        )

    def names(self) -> list[str]:
        """Return the names of all events."""
        return [event.name.removeprefix("authentication.issuer_") for event in self.sink]


async def test_a_description_is_asked_for_once_an_hour() -> None:
    """Not for each sign-in."""
    bench = Bench()
    for _ in range(3):
        await bench.metadata.get()
    assert bench.reader.asked == [f"{ISSUER}/.well-known/openid-configuration"]
    bench.clock.advance(3600)
    await bench.metadata.get()
    assert len(bench.reader.asked) == 2


async def test_many_sign_ins_ask_once() -> None:
    """Those that come meanwhile wait for the answer."""
    bench = Bench()
    bench.reader.waits = asyncio.Event()
    tasks = [asyncio.create_task(bench.metadata.get()) for _ in range(20)]
    await asyncio.sleep(0)
    bench.reader.waits.set()
    assert len({id(found) for found in await asyncio.gather(*tasks)}) == 1
    assert len(bench.reader.asked) == 1


async def test_a_provider_that_is_away_is_not_pressed() -> None:
    """Whoever comes meanwhile is told when to try again."""
    bench = Bench()
    bench.reader.is_away = True
    for _ in range(5):
        with pytest.raises(UnavailableError) as caught:
            await bench.metadata.get()
        assert caught.value.reason == "authentication.issuer_away"
        assert caught.value.retry_after.total_seconds() == 30
    assert (len(bench.reader.asked), bench.names()) == (1, ["failed"])
    bench.clock.advance(30)
    bench.reader.is_away = False
    await bench.metadata.get()
    assert bench.names() == ["failed", "recovered"]


async def test_an_old_description_goes_on_for_a_day() -> None:
    """After that nobody goes where the provider may no longer be."""
    bench = Bench()
    before = await bench.metadata.get()
    bench.reader.is_away = True
    bench.clock.advance(86_399)
    assert await bench.metadata.get() is before
    bench.clock.advance(1)
    with pytest.raises(UnavailableError):
        await bench.metadata.get()


async def test_a_caller_who_hangs_up_says_nothing_about_the_provider() -> None:
    """The next one asks again."""
    bench = Bench()
    bench.reader.waits = asyncio.Event()
    task = asyncio.create_task(bench.metadata.get())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.reader.waits = None
    assert (await bench.metadata.get()).token == f"{ISSUER}/token"
    assert bench.names() == []
