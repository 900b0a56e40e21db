from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.errors import ConfigurationError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.identities import MemoryIdentityStore
from tests.clock import FrozenClock
from tests.integration.test_outside_issuers import Nobody
from tests.unit.authentication.helpers import NEW, rsa_pem
from tests.unit.authentication.providers import (
    CLIENT,
    HOST,
    LocalProvider,
    Site,
    query_of,
    run_provider,
    visit,
)
from tests.unit.authentication.test_routes_providers import link

PROVIDER = {"issuer": "https://id.example", "client_id": "app", "client_secret": "hush"}
DEPLOYED = {"secret_keys": NEW, "web": {"allowed_hosts": ["app.example.com"]}}


@pytest.fixture
def clock() -> FrozenClock:
    """The time of the application and of its provider."""
    return FrozenClock()


@pytest.fixture
def provider(clock: FrozenClock) -> Iterator[LocalProvider]:
    """A provider that is running."""
    with run_provider(clock) as running:
        yield running


def make(environment: str = "test", *, accounts: Any = None, **values: Any) -> Stockade:  # noqa: ANN401
    """Make a Stockade with providers."""
    given = {"public_url": HOST, "providers": {"local": PROVIDER}, **values}
    more = DEPLOYED if environment == "production" else {}
    settings = Settings(environment=environment, authentication=given, **more)
    return Stockade(settings, accounts=accounts or MemoryAccountStore())


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"public_url": None}, "STOCKADE_AUTHENTICATION__PUBLIC_URL"),
        ({"providers": {"one": PROVIDER, "two": PROVIDER}}, "provider two"),
    ],
)
def test_providers_that_can_not_be_used_stop_the_start(values: dict[str, Any], part: str) -> None:
    """The message says what to set."""
    with pytest.raises(ConfigurationError) as caught:
        make(**values)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"public_url": "http://localhost:8000"},
        {"return_origin": "http://app.example.com"},
        {"providers": {"local": PROVIDER | {"issuer": "http://localhost:9"}}},
    ],
)
def test_a_deployed_application_does_nothing_without_tls(values: dict[str, Any]) -> None:
    """On the machine of a developer it may."""
    assert make(**values).settings.authentication.providers.keys() == {"local"}
    with pytest.raises(ConfigurationError) as caught:
        make("production", **values)
    assert "https" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["app.example.com", "http://app.example.com", "https://app.example.com?x", "https://a@b.c"],
)
def test_the_own_address_is_one(address: str) -> None:
    """With TLS, and without anything that would end up in the middle of another one."""
    with pytest.raises(ConfigurationError):
        make(public_url=address)


def test_accounts_elsewhere_need_a_place_for_identities() -> None:
    """Nothing is guessed."""
    with pytest.raises(ConfigurationError) as caught:
        make(accounts=Nobody())
    assert "identities=" in str(caught.value)


async def test_a_deployed_application_keeps_no_identities_in_memory() -> None:
    """They would be gone with the process, and other processes would not know them."""
    accounts = MemoryAccountStore()
    settings = Settings(environment="production", **DEPLOYED)
    stockade = Stockade(settings, accounts=accounts, identities=MemoryIdentityStore(accounts))
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.oidc_router)
    with pytest.raises(ConfigurationError) as caught:
        await stockade.start()
    assert "identities=" in str(caught.value)


@pytest.mark.parametrize("accounts", [None, MemoryAccountStore()], ids=["none", "some"])
def test_without_providers_there_are_none(accounts: MemoryAccountStore | None) -> None:
    """The routes are there, and nothing is behind them."""
    settings = Settings(environment="test", authentication={"cookies": True})
    stockade = Stockade(settings, accounts=accounts)
    app = FastAPI()
    stockade.install(app)
    if accounts is not None:
        app.include_router(stockade.oidc_router)
        client = TestClient(app, base_url=HOST)
        assert client.get("/auth/oidc/local/start").status_code == 404
        assert client.get("/auth/oidc/local/callback").status_code == 404


def test_a_provider_that_is_away_is_503(clock: FrozenClock) -> None:
    """Whoever wants to sign in there learns when to try again."""
    with run_provider(clock) as gone:
        site = Site(gone, clock=clock, provider={"timeout": 1})
    answer = site.client.get("/auth/oidc/local/start")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) == 30
    assert "set-cookie" not in answer.headers


def test_the_router_has_any_prefix(provider: LocalProvider, clock: FrozenClock) -> None:
    """The address for the provider says so."""
    site = Site(provider, clock=clock, public_url=f"{HOST}/api")
    app = FastAPI()
    stockade = Stockade(
        site.stockade.settings, accounts=site.accounts, clock=clock, sinks=[site.sink]
    )
    stockade.install(app)
    app.include_router(stockade.oidc_router, prefix="/api")
    site.client = TestClient(app, base_url=HOST, follow_redirects=False)
    browser = site.browser()
    answer = browser.send("GET", "/api/auth/oidc/local/start")
    address = visit(answer.headers["location"])
    assert address.startswith(f"{HOST}/api/auth/oidc/local/callback?")
    # The way back is behind the prefix as well, and the way on from there is not.
    end = browser.come_back(address).headers["location"]
    assert end == f"{HOST}/?error=identity_not_linked"


def test_a_key_proves_who_asks(provider: LocalProvider, clock: FrozenClock) -> None:
    """The provider verifies it with the public part."""
    own = {
        "client_secret": None,
        "client_key": rsa_pem(),
        "client_authentication": "private_key_jwt",
    }
    provider.method = "private_key_jwt"
    site = Site(provider, clock=clock, provider=own)
    link(site)
    assert not query_of(site.browser().sign_in())
    form = next(form for path, form in reversed(provider.asked) if path == "/token")
    claims = jwt.decode(form["client_assertion"], options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == (CLIENT, provider.name)
    assert "client_secret" not in form


def test_a_provider_rotates_its_keys(provider: LocalProvider, clock: FrozenClock) -> None:
    """The new one is found when a token names it, half a minute after the last question."""
    site = Site(provider, clock=clock)
    link(site)
    provider.kid = "two"
    provider.key = Ed25519PrivateKey.generate()
    clock.advance(31)
    assert not query_of(site.browser().sign_in())
