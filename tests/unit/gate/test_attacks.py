"""Ways around the gate that an attacker, or an unlucky line, might take."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from stockade import Principal, current_principal, public, rate_limit
from stockade.errors import ConfigurationError
from tests.unit.gate.apps import ADMIN, MEMBER, Protected, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from stockade.core.dependencies import PolicyMark


class _Handler:
    """An ASGI application that remembers that it ran."""

    def __init__(self) -> None:
        self.ran = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.ran += 1
        await PlainTextResponse("secret")(scope, receive, send)


# What serves without being a route ----------------------------------------------------------------


def _own_default(app: FastAPI, handler: ASGIApp) -> str:
    app.router.default = handler
    return "/anything"


def _default_of_mounted_router(app: FastAPI, handler: ASGIApp) -> str:
    app.mount("/mount", Router(default=handler))
    return "/mount/anything"


def _overridden_not_found(app: FastAPI, handler: ASGIApp) -> str:
    class Own(Router):
        async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
            await handler(scope, receive, send)

    app.mount("/mount", Own())
    return "/mount/anything"


DEFAULTS = [_own_default, _default_of_mounted_router, _overridden_not_found]


@pytest.mark.parametrize("hang", DEFAULTS)
def test_own_handler_of_unknown_paths_is_closed(hang: Callable[[FastAPI, ASGIApp], str]) -> None:
    """A handler in the place of "not found" is a handler like any other: closed."""
    app, protected, handler = FastAPI(), Protected(), _Handler()
    path = hang(app, handler)

    with serve(app, protected) as client:
        response = client.get(path)

    assert (response.status_code, handler.ran) == (401, 0)


def test_handler_of_unknown_paths_can_be_replaced_after_the_start() -> None:
    """A handler that takes the place of "not found" later on is closed as well."""
    app, protected, handler = FastAPI(), Protected(), _Handler()

    with serve(app, protected) as client:
        before = client.get("/anything").status_code
        path = _own_default(app, handler)
        response = client.get(path)

    assert (before, response.status_code, handler.ran) == (404, 401, 0)


def test_equal_route_in_the_place_of_another_is_noticed() -> None:
    """Starlette's routes are equal if their paths and endpoints are; the new object has no gate."""
    app, protected, ran = FastAPI(), Protected(), list[str]()

    async def closed(_request: Any) -> PlainTextResponse:  # noqa: ANN401 - Starlette's shape
        ran.append("ran")
        return PlainTextResponse("secret")

    app.router.routes.append(Route("/x", closed))

    with serve(app, protected) as client:
        assert client.get("/x").status_code == 401
        app.router.routes[-1] = Route("/x", closed)
        response = client.get("/x")

    assert (response.status_code, ran) == (401, [])


class _Switch:
    """Middleware whose inside can be changed at any time."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def test_application_swapped_inside_of_middleware_is_closed() -> None:
    """Middleware around a mounted application that leads elsewhere later on is bound anew."""
    app, protected, ran = FastAPI(), Protected(), list[str]()
    switch = _Switch(FastAPI())
    app.mount("/mount", _Switch(switch))
    other = FastAPI()
    other.add_api_route("/x", lambda: ran.append("ran"))

    with serve(app, protected) as client:
        client.get("/mount/x")
        switch.app = other
        response = client.get("/mount/x")

    assert (response.status_code, ran) == (401, [])


def test_answer_after_a_refusal_does_not_get_out() -> None:
    """Middleware that answers a refused request from its own store gets nothing out."""
    app, protected = FastAPI(), Protected()
    app.add_api_route("/x", lambda: "ran")

    @app.middleware("http")
    async def stale_if_error(request: Any, call_next: Any) -> Any:  # noqa: ANN401 - Starlette's shape
        response = await call_next(request)
        return PlainTextResponse("secret") if response.status_code >= 400 else response

    with serve(app, protected) as client:
        response = client.get("/x")

    assert response.status_code == 500
    assert "secret" not in response.text


class _Stubborn:
    """Middleware that accepts a websocket which was refused further in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return

        async def swallow(message: Any) -> None:  # noqa: ANN401 - ASGI messages
            del message

        await self.app(scope, receive, swallow)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "secret"})


def test_websocket_that_was_refused_is_not_accepted() -> None:
    """Middleware can't accept a handshake that the gate has refused."""
    app, protected = FastAPI(), Protected()
    app.add_middleware(_Stubborn)

    @app.websocket("/x")
    async def closed(websocket: WebSocket) -> None:
        await websocket.accept()

    with (
        serve(app, protected) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/x"),
    ):
        pass


# Policies where nobody looks ----------------------------------------------------------------------


def _on_call(mark: PolicyMark) -> Any:  # noqa: ANN401 - any callable
    class Endpoint:
        @mark
        async def __call__(self) -> str:
            return "ran"

    return Endpoint()


def _on_class_of_instance(mark: PolicyMark) -> Any:  # noqa: ANN401 - any callable
    @mark
    class Endpoint:
        async def __call__(self) -> str:
            return "ran"

    return Endpoint()


def _on_staticmethod(mark: PolicyMark) -> Any:  # noqa: ANN401 - any callable
    class Endpoints:
        @mark
        @staticmethod
        async def answer() -> str:
            return "ran"

    return Endpoints.answer


def _on_classmethod(mark: PolicyMark) -> Any:  # noqa: ANN401 - any callable
    class Endpoints:
        @mark
        @classmethod
        async def answer(cls) -> str:
            return cls.__name__

    return Endpoints.answer


def _on_method(mark: PolicyMark) -> Any:  # noqa: ANN401 - any callable
    class Endpoints:
        @mark
        async def answer(self) -> str:
            return "ran"

    return Endpoints().answer


def _on_partial_of_instance(mark: PolicyMark) -> Any:  # noqa: ANN401 - any callable
    return functools.partial(_on_call(mark))


@pytest.mark.parametrize(
    "make",
    [
        _on_call,
        _on_class_of_instance,
        _on_staticmethod,
        _on_classmethod,
        _on_method,
        _on_partial_of_instance,
    ],
)
def test_limit_is_in_force_wherever_it_is_written(make: Callable[[PolicyMark], Any]) -> None:
    """A limit holds on every kind of callable that FastAPI takes as an endpoint."""
    app, protected = FastAPI(), Protected(rate_limiting={"enabled": True})
    router = APIRouter(dependencies=[public("for the test")])
    router.add_api_route("/x", make(rate_limit("1/minute")))
    app.include_router(router)

    with serve(app, protected) as client:
        statuses = [client.get("/x").status_code for _ in range(2)]

    assert statuses == [200, 429]


def _inherited_verb(app: FastAPI, mark: PolicyMark) -> None:
    class Base(HTTPEndpoint):
        @mark
        async def get(self, _request: Any) -> PlainTextResponse:  # noqa: ANN401 - Starlette's shape
            return PlainTextResponse("ran")

    @public("for the test")
    class Endpoint(Base):
        pass

    app.router.routes.append(Route("/x", Endpoint))


def _inside_of_an_object(app: FastAPI, mark: PolicyMark) -> None:
    class Decorator:
        def __init__(self, function: Callable[[], str]) -> None:
            self._function = function

        async def __call__(self) -> str:
            return self._function()

    app.get("/x", dependencies=[public("for the test")])(Decorator(mark(lambda: "ran")))


def _argument_of_a_partial(app: FastAPI, mark: PolicyMark) -> None:
    def call(function: Any) -> str:  # noqa: ANN401 - the partial fills it in
        return str(function())

    endpoint = functools.partial(call, mark(lambda: "ran"))
    app.get("/x", dependencies=[public("for the test")])(endpoint)


@pytest.mark.parametrize("hang", [_inherited_verb, _inside_of_an_object, _argument_of_a_partial])
def test_hidden_limit_stops_the_start(hang: Callable[[FastAPI, PolicyMark], None]) -> None:
    """A limit that nothing would enforce is a failed start."""
    app, protected = FastAPI(), Protected()
    hang(app, rate_limit("1/minute"))

    with pytest.raises(ConfigurationError, match="nothing would enforce"), serve(app, protected):
        pass


async def _active(caller: Annotated[Principal, Depends(current_principal)]) -> Principal:
    return caller


def test_security_scopes_reach_through_a_dependency() -> None:
    """Scopes asked of a dependency that itself asks for the caller are permissions."""
    app = FastAPI()
    protected = Protected(authorization={"roles": {"admin": ["notes:note:read"], "member": []}})
    security = Security(_active, scopes=["notes:note:read"])
    app.add_api_route("/x", lambda: "ran", dependencies=[security])

    with serve(app, protected) as client:
        statuses = [
            client.get("/x", headers=protected.headers(account)).status_code
            for account in (MEMBER, ADMIN)
        ]

    assert statuses == [403, 200]


# State --------------------------------------------------------------------------------------------


def test_caller_of_one_request_is_not_in_the_state_of_the_next() -> None:
    """A server may share one state among the requests of a connection; the caller is not in it."""
    app, protected, state = FastAPI(), Protected(), dict[str, Any](opened="at the start")
    app.get("/open")(public("for the test")(lambda: "ran"))
    app.get("/closed", dependencies=[Depends(current_principal)])(lambda: "ran")
    protected.stockade.install(app)

    async def shared(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": state}, receive, send)

    client = TestClient(shared)

    assert client.get("/closed", headers=protected.headers()).status_code == 200
    assert state == {"opened": "at the start"}


# Attacks that fail --------------------------------------------------------------------------------


def test_starlette_application_is_protected() -> None:
    """An application without FastAPI is closed as well."""
    handler, protected = _Handler(), Protected()
    app = Starlette(routes=[Mount("/a", app=handler), Route("/x", endpoint=handler)])

    with serve(app, protected) as client:  # type: ignore[arg-type]  # Starlette, on purpose.
        statuses = [client.get(path).status_code for path in ("/a", "/a/b", "/x")]

    assert (statuses, handler.ran) == ([401] * 3, 0)


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"]
)
def test_method_opens_nothing(method: str) -> None:
    """No method, known or unknown, reaches a closed handler."""
    app, protected, handler = FastAPI(), Protected(), _Handler()
    app.router.routes.append(Route("/x", endpoint=handler))

    with serve(app, protected) as client:
        response = client.request(method, "/x")

    assert (response.status_code, handler.ran) == (401, 0)


def test_route_handler_of_its_own_runs_behind_the_gate() -> None:
    """A route class that answers in `get_route_handler` is closed."""
    ran: list[str] = []

    class Own(APIRoute):
        def get_route_handler(self) -> Callable[[Any], Any]:
            async def handle(_request: Any) -> PlainTextResponse:  # noqa: ANN401 - Starlette's shape
                ran.append("ran")
                return PlainTextResponse("secret")

            return handle

    app, protected, router = FastAPI(), Protected(), APIRouter(route_class=Own)
    router.add_api_route("/x", lambda: "never")
    app.include_router(router, prefix="/v1")

    with serve(app, protected) as client:
        assert client.get("/v1/x").status_code == 401
    assert ran == []


def test_redirect_of_a_hostile_path_is_no_error() -> None:
    """Whatever stands in a path, the redirect to it without its slash is no server error."""
    app, protected = FastAPI(), Protected(rate_limiting={"enabled": False})
    app.add_api_route("/x/{item}", lambda: "ran")
    names = [f"%{code:02X}" for code in range(256) if code != ord("/")]
    names += ["%E2%80%AE", "%F0%9F%98%80", "%C3%A9", "%25%32%66", ";", "@", "%", "//", "\\"]

    with serve(app, protected) as client:
        statuses = {
            name: client.get(f"/x/a{name}b/?q={name}", follow_redirects=False).status_code
            for name in names
        }

    assert {name: status for name, status in statuses.items() if status >= 500} == {}
