import asyncio
from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from stockade import Principal, Settings, Stockade, optional_principal, public, rate_limit
from stockade.errors import ConfigurationError
from tests.unit.gate.apps import ADMIN, MEMBER, Protected, serve

Caller = Annotated[Principal | None, Depends(optional_principal)]


def make_app() -> FastAPI:
    """Make an application that greets whoever comes."""
    app = FastAPI()

    @app.get("/hello")
    @public("test")
    async def hello(caller: Caller) -> str:
        return "stranger" if caller is None else caller.user_id

    @app.get("/limited")
    @public("test")
    @rate_limit("2/minute")
    async def limited(caller: Caller) -> str:
        return "stranger" if caller is None else caller.user_id

    @app.get("/forgotten")
    async def forgotten(caller: Caller) -> str:
        return "reached"

    return app


@pytest.fixture
def protected() -> Protected:
    """Make a Stockade whose limits are on."""
    return Protected(rate_limiting={"enabled": True})


@pytest.fixture
def client(protected: Protected) -> Iterator[TestClient]:
    """Serve the application."""
    with serve(make_app(), protected) as client:
        yield client


def test_strangers_and_callers_are_both_let_in(client: TestClient, protected: Protected) -> None:
    """The route is open, and knows whoever proves who it is."""
    assert client.get("/hello").json() == "stranger"
    assert client.get("/hello", headers=protected.headers(MEMBER)).json() == "mia"
    # The second time from the cache.
    assert client.get("/hello", headers=protected.headers(MEMBER)).json() == "mia"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": ""},
        {"X-CLIENT-ID": "x"},
        {"X-CLIENT-ID": "x", "X-API-KEY": "y"},
    ],
)
def test_credentials_that_do_not_hold_are_refused(
    client: TestClient, headers: dict[str, str]
) -> None:
    """Nobody is taken for a stranger because a token has just expired."""
    assert client.get("/hello", headers=headers).status_code == 401


def test_it_opens_nothing(client: TestClient, protected: Protected) -> None:
    """Without `public` the route is closed, to callers too."""
    assert client.get("/forgotten").status_code == 401
    assert client.get("/forgotten", headers=protected.headers(ADMIN)).status_code == 403


def test_a_known_caller_is_limited_as_well(client: TestClient, protected: Protected) -> None:
    """Whether the token is new or was verified lately."""
    headers = protected.headers(MEMBER)
    assert client.get("/hello", headers=headers).status_code == 200
    statuses = [client.get("/limited", headers=headers).status_code for _ in range(4)]
    assert statuses.count(429) >= 1
    assert statuses[-1] == 429


def test_a_stranger_is_limited(client: TestClient) -> None:
    """By address, as on any open route."""
    assert [client.get("/limited").status_code for _ in range(3)] == [200, 200, 429]


def test_it_needs_accounts() -> None:
    """Without any, every token would be refused."""
    app = make_app()
    stockade = Stockade(Settings(environment="test"))
    stockade.install(app)
    with pytest.raises(ConfigurationError, match="accounts"):
        asyncio.run(stockade.start())
    asyncio.run(stockade.stop())


def test_without_a_stockade_it_is_an_error() -> None:
    """Not a stranger."""
    app = FastAPI()

    @app.get("/")
    async def hello(caller: Caller) -> str:
        return "reached"

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/").status_code == 500
