"""The start fails when a layer has lost its teeth, such as after an upgrade of a framework."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI, routing
from starlette.routing import Mount, Router, WebSocketRoute

from stockade import Principal, public
from stockade.authentication import BearerAuthenticator
from stockade.errors import ConfigurationError
from stockade.gate import proofs
from stockade.gate.binding import Snapshot
from stockade.gate.gates import Gate
from stockade.gate.guard import Guard
from stockade.rate_limiting import RateLimiter
from stockade.web.channel import Channel
from tests.unit.gate.apps import MEMBER, Protected

if TYPE_CHECKING:
    from collections.abc import Callable


def _make_app() -> FastAPI:
    app, router = FastAPI(), APIRouter()
    router.add_api_route("/x", lambda: "ran")
    app.include_router(router, prefix="/v1")
    app.get("/open")(public("for the test")(lambda: "open"))
    return app


def _start(app: FastAPI, protected: Protected) -> None:
    async def run() -> None:
        protected.stockade.install(app)
        await protected.stockade.start()
        await protected.stockade.stop()

    asyncio.run(run())


def test_healthy_application_starts() -> None:
    """Nothing is wrong with the application that the tests below break."""
    protected = Protected(rate_limiting={"enabled": True})

    _start(_make_app(), protected)

    assert protected.stockade.plans()


def test_planted_requests_leave_no_trace() -> None:
    """The start-up check records no event but the start and takes from no limit of a client."""
    protected = Protected(rate_limiting={"enabled": True})

    _start(_make_app(), protected)

    assert protected.names() == []


def _routes_ignore_instances(patch: pytest.MonkeyPatch) -> None:
    """As if a framework called the class's method and not the object's attribute."""

    async def app(self: routing.APIRouter, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        for route in self.routes:
            match, child = route.matches(scope)
            if match.name == "FULL":
                routing._update_scope(scope, child)
                await type(route).handle(route, scope, receive, send)
                return
        await self.default(scope, receive, send)

    patch.setattr(routing.APIRouter, "app", app)


def _context_key_renamed(patch: pytest.MonkeyPatch) -> None:
    """As if FastAPI put the effective context under another key."""
    patch.setattr(routing, "_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY", "renamed")


def _included_routes_invisible(patch: pytest.MonkeyPatch) -> None:
    """As if the public walk no longer gave included routes."""
    walk = routing.iter_route_contexts

    def visible(routes: Any) -> Any:  # noqa: ANN401 - FastAPI's shapes
        return (
            context for context in walk(routes) if getattr(context, "_route_context", None) is None
        )

    patch.setattr("stockade.gate.tree.iter_route_contexts", visible)


def _mounts_opaque(patch: pytest.MonkeyPatch) -> None:
    """As if a websocket's handle could not be replaced."""
    patch.setattr(
        WebSocketRoute,
        "handle",
        property(
            lambda self: self.app,
            lambda _self, _value: None,
        ),
    )


def _changes_unnoticed(patch: pytest.MonkeyPatch) -> None:
    """As if added routes were no longer noticed."""
    patch.setattr(Snapshot, "is_stale", lambda _self: False)


def _gate_lets_through(patch: pytest.MonkeyPatch) -> None:
    """As if the gate called what it guards, whoever asks."""

    async def call(self: Gate, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        await self.inner(scope, receive, send)

    patch.setattr(Gate, "__call__", call)


def _guard_grants(patch: pytest.MonkeyPatch) -> None:
    """As if the guard granted everything."""

    async def admit(_self: Guard, plan: Any, _scope: Any, exchange: Any) -> None:  # noqa: ANN401 - any plan
        exchange.decision = plan.granted

    patch.setattr(Guard, "admit", admit)


def _tokens_unchecked(patch: pytest.MonkeyPatch) -> None:
    """As if any token were believed."""

    async def authenticate(_self: BearerAuthenticator, _authorization: bytes | None) -> Principal:
        return Principal(user_id=MEMBER.user_id, email=MEMBER.email)

    patch.setattr(BearerAuthenticator, "authenticate", authenticate)


def _limits_unchecked(patch: pytest.MonkeyPatch) -> None:
    """As if limits counted nothing."""

    async def check(*_arguments: object) -> None:
        pass

    patch.setattr(RateLimiter, "check", check)


def _sanitizer_passes(patch: pytest.MonkeyPatch) -> None:
    """As if the sanitizer gave back what it got."""
    patch.setattr(proofs, "sanitize_html", lambda value: value)


def _wall_passes(patch: pytest.MonkeyPatch) -> None:
    """As if the wall let every answer out."""

    async def start(self: Channel, message: Any) -> None:  # noqa: ANN401 - ASGI message
        await self._send(message)

    patch.setattr(Channel, "_start", start)


BREAKS = [
    _routes_ignore_instances,
    _context_key_renamed,
    _included_routes_invisible,
    _mounts_opaque,
    _changes_unnoticed,
    _gate_lets_through,
    _guard_grants,
    _tokens_unchecked,
    _limits_unchecked,
    _sanitizer_passes,
    _wall_passes,
]


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda found: found.__name__.strip("_"))
def test_toothless_layer_stops_the_start(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer that no longer bites is an error at start-up, never a silence."""
    app, protected = _make_app(), Protected(rate_limiting={"enabled": True})
    break_it(monkeypatch)

    with pytest.raises(ConfigurationError):
        _start(app, protected)


def test_application_without_own_routes_starts_closed() -> None:
    """An application that has nothing but a mounted router is walked into it."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.append(Mount("/mount", app=Router()))
    protected = Protected()

    _start(app, protected)

    assert {plan.route for plan in protected.stockade.plans()} == {
        "/{unknown}",
        "/mount/{unknown}",
    }
