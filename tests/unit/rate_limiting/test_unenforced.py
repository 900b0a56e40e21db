"""Expect an application whose limits nobody enforces to say so instead of serving."""

from collections.abc import Callable
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from stockade import Settings, Stockade, public, rate_limit
from stockade.rate_limiting import Limiter, get_rate_limit_key
from stockade.rate_limiting.unenforced import UnenforcedLimitError

limiter = Limiter(get_rate_limit_key)


@limiter.limit("5/minute")
@public("open")
async def limited() -> str:
    """Answer."""
    return "served"


@rate_limit("5/minute")
@public("open")
async def limited_by_ours() -> str:
    """Answer."""
    return "served"


async def plain() -> str:
    """Answer."""
    return "served"


async def plain_starlette(_request: Request) -> PlainTextResponse:
    """Answer."""
    return PlainTextResponse("served")


def with_limiter() -> FastAPI:
    """Make an application with a slowapi-style limit."""
    app = FastAPI()
    app.get("/x")(limited)
    return app


def with_ours() -> FastAPI:
    """Make an application with a limit of ours."""
    app = FastAPI()
    app.get("/x")(limited_by_ours)
    return app


def with_a_router() -> FastAPI:
    """Make an application with a limited router in a router."""
    inner = APIRouter(dependencies=[rate_limit("5/minute")])
    inner.get("/x")(plain)
    outer = APIRouter()
    outer.include_router(inner)
    app = FastAPI()
    app.include_router(outer)
    return app


def with_a_limited_dependency() -> FastAPI:
    """Make an application whose limit stands on what a dependency depends on."""

    async def deep(_: Annotated[None, rate_limit("5/minute")]) -> None: ...

    app = FastAPI(dependencies=[Depends(deep)])
    app.get("/x")(plain)
    return app


def with_a_mount() -> Starlette:
    """Make an application without limits around one that has some."""
    return Starlette(routes=[Mount("/", app=with_limiter())])


def of_starlette() -> Starlette:
    """Make an application without FastAPI."""

    @rate_limit("5/minute")
    async def marked(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("served")

    return Starlette(routes=[Route("/x", marked)])


EVERY = [
    with_limiter,
    with_ours,
    with_a_router,
    with_a_limited_dependency,
    with_a_mount,
    of_starlette,
]


@pytest.mark.parametrize("make", EVERY)
def test_without_stockade_nothing_is_served(make: Callable[[], Starlette]) -> None:
    """The first request is an error of the server, not an answer without limits."""
    client = TestClient(make())
    for _ in range(2):
        with pytest.raises(UnenforcedLimitError):
            client.get("/x")


def test_the_server_does_not_start() -> None:
    """The lifespan fails, so that a server which waits for it ends."""
    with pytest.raises(UnenforcedLimitError), TestClient(with_limiter()):
        pass


@pytest.mark.parametrize("make", [with_limiter, with_ours, with_a_mount])
def test_with_stockade_it_is_served(make: Callable[[], Starlette]) -> None:
    """A gate enforces limits, in applications that are mounted as well."""
    app = make()
    Stockade(Settings(environment="test")).install(app)
    with TestClient(app) as client:
        assert client.get("/x").status_code == 200


def test_an_application_without_limits_is_nobodys_business() -> None:
    """Applications that have no limits are served as ever."""
    app = FastAPI()
    app.get("/x")(plain)
    with TestClient(app) as client:
        assert client.get("/x").text == '"served"'
    with TestClient(Starlette(routes=[Route("/x", plain_starlette)])) as client:
        assert client.get("/x").text == "served"
