"""The gate stands in front of everything that serves, wherever it hangs on the tree."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.routing import APIRoute
from starlette.endpoints import HTTPEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import WebSocketDenialResponse

from stockade import Principal, current_principal, public, require_role
from stockade.validation import Identifier
from tests.unit.gate.apps import ADMIN, MEMBER, Protected, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send


def _closed_router(ran: list[str]) -> APIRouter:
    router = APIRouter()

    @router.post("/closed/{item}")
    async def closed(item: Identifier) -> str:
        ran.append(item)
        return "ran"

    return router


async def _plain(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ran")


def _direct(app: FastAPI) -> str:
    app.add_api_route("/x", lambda: "ran", methods=["GET"])
    return "/x"


def _included(app: FastAPI) -> str:
    router = APIRouter(prefix="/r")
    router.add_api_route("/x", lambda: "ran")
    app.include_router(router, prefix="/v1")
    return "/v1/r/x"


def _nested(app: FastAPI) -> str:
    inner, outer = APIRouter(), APIRouter()
    inner.add_api_route("/x", lambda: "ran")
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer")
    return "/outer/inner/x"


def _filled_after_include(app: FastAPI) -> str:
    router = APIRouter()
    app.include_router(router, prefix="/v1")
    router.add_api_route("/x", lambda: "ran")
    return "/v1/x"


def _starlette_route(app: FastAPI) -> str:
    app.add_route("/x", _plain)
    return "/x"


def _starlette_route_included(app: FastAPI) -> str:
    router = APIRouter()
    router.add_route("/x", _plain)
    app.include_router(router, prefix="/v1")
    return "/v1/x"


def _mounted_app(app: FastAPI) -> str:
    inner = FastAPI()
    inner.add_api_route("/x", lambda: "ran")
    app.mount("/mount", inner)
    return "/mount/x"


def _mounted_in_router(app: FastAPI) -> str:
    inner = FastAPI()
    inner.add_api_route("/x", lambda: "ran")
    router = APIRouter()
    router.mount("/mount", inner)
    app.include_router(router, prefix="/v1")
    return "/v1/mount/x"


def _mounted_router(app: FastAPI) -> str:
    app.router.routes.append(Mount("/mount", app=Router([Route("/x", _plain)])))
    return "/mount/x"


class _Wrapped:
    def __init__(self, app: Any) -> None:  # noqa: ANN401 - any application
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def _wrapped_app(app: FastAPI) -> str:
    inner = FastAPI()
    inner.add_api_route("/x", lambda: "ran")
    app.mount("/mount", _Wrapped(_Wrapped(inner)))
    return "/mount/x"


def _opaque_app(app: FastAPI) -> str:
    async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("ran")(scope, receive, send)

    app.mount("/mount", opaque)
    return "/mount/x"


def _host(app: FastAPI) -> str:
    app.router.routes.insert(0, Host("testserver", app=Router([Route("/x", _plain)])))
    return "/x"


def _class_endpoint(app: FastAPI) -> str:
    class Endpoint(HTTPEndpoint):
        async def get(self, _request: Request) -> PlainTextResponse:
            return PlainTextResponse("ran")

    app.router.routes.append(Route("/x", Endpoint))
    return "/x"


def _custom_route_class(app: FastAPI) -> str:
    class OwnHandle(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    router = APIRouter(route_class=OwnHandle)
    router.add_api_route("/x", lambda: "ran")
    app.include_router(router, prefix="/v1")
    return "/v1/x"


def _custom_base_route(app: FastAPI) -> str:
    class Strange(BaseRoute):
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            return (Match.FULL if scope["path"] == "/x" else Match.NONE), {}

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("ran")(scope, receive, send)

    app.router.routes.append(Strange())
    return "/x"


def _partial_endpoint(app: FastAPI) -> str:
    def answer(word: str = "ran") -> str:
        return word

    app.add_api_route("/x", functools.partial(answer, "ran"))
    return "/x"


PLACES = [
    _direct,
    _included,
    _nested,
    _filled_after_include,
    _starlette_route,
    _starlette_route_included,
    _mounted_app,
    _mounted_in_router,
    _mounted_router,
    _wrapped_app,
    _opaque_app,
    _host,
    _class_endpoint,
    _custom_route_class,
    _custom_base_route,
    _partial_endpoint,
]


@pytest.mark.parametrize("hang", PLACES, ids=lambda hang: hang.__name__.strip("_"))
def test_route_without_policy_is_closed(hang: Callable[[FastAPI], str]) -> None:
    """A route that says nothing is closed to everybody, wherever it hangs."""
    app, protected = FastAPI(), Protected()
    path = hang(app)

    with serve(app, protected) as client:
        anonymous = client.get(path)
        known = client.get(path, headers=protected.headers(ADMIN))

    assert (anonymous.status_code, known.status_code) == (401, 403)
    assert "ran" not in anonymous.text + known.text


@pytest.mark.parametrize("hang", PLACES, ids=lambda hang: hang.__name__.strip("_"))
def test_route_added_after_the_start_is_closed(hang: Callable[[FastAPI], str]) -> None:
    """A route that comes after the start is bound before its first request."""
    app, protected = FastAPI(), Protected()

    with serve(app, protected) as client:
        client.get("/warm")
        path = hang(app)
        anonymous = client.get(path)
        known = client.get(path, headers=protected.headers(ADMIN))

    assert (anonymous.status_code, known.status_code) == (401, 403)
    assert "gate.routes_changed" in protected.names()


@pytest.mark.parametrize("hang", PLACES, ids=lambda hang: hang.__name__.strip("_"))
def test_same_routes_answer_without_stockade(hang: Callable[[FastAPI], str]) -> None:
    """The routes do answer when nothing guards them, so that the tests above mean something."""
    from starlette.testclient import TestClient

    app = FastAPI()
    path = hang(app)

    with TestClient(app) as client:
        answer = client.get(path)

    assert "ran" in answer.text


@pytest.mark.parametrize(
    "replace",
    [
        pytest.param(lambda app: app.router.routes.pop(), id="removed-then-added"),
        pytest.param(
            lambda app: setattr(app.router, "routes", list(app.router.routes)), id="list-replaced"
        ),
        pytest.param(lambda app: app.router.routes.reverse(), id="reordered"),
    ],
)
def test_changed_route_list_is_noticed(replace: Callable[[FastAPI], Any]) -> None:
    """A route slipped in by editing the list of routes directly is closed as well."""
    app, protected = FastAPI(), Protected()
    app.add_api_route("/y", lambda: "y")

    with serve(app, protected) as client:
        client.get("/warm")
        replace(app)
        app.router.routes.append(APIRoute("/x", lambda: "ran"))
        answer = client.get("/x")

    assert answer.status_code == 401


def test_element_swapped_in_place_is_closed() -> None:
    """A route that takes the place of another one in the list is closed."""
    app, protected = FastAPI(), Protected()

    @app.get("/x")
    @public("for the test")
    def opened() -> str:
        return "open"

    with serve(app, protected) as client:
        assert client.get("/x").status_code == 200
        app.router.routes[-1] = APIRoute("/x", lambda: "ran")
        answer = client.get("/x")

    assert answer.status_code == 401


def test_mounted_application_swapped_is_closed() -> None:
    """Another application put behind a bound mount is closed."""
    app, protected = FastAPI(), Protected()
    app.mount("/mount", FastAPI())
    other = FastAPI()
    other.add_api_route("/x", lambda: "ran")

    with serve(app, protected) as client:
        client.get("/warm")
        mount = next(route for route in app.router.routes if isinstance(route, Mount))
        mount.app = other
        answer = client.get("/mount/x")

    assert answer.status_code == 401


def test_refusal_comes_before_the_body() -> None:
    """A refused request's body is never asked for."""
    ran: list[str] = []
    app, protected = FastAPI(), Protected()
    app.include_router(_closed_router(ran), prefix="/v1")
    reads = 0

    async def receive() -> dict[str, Any]:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b"{}", "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI messages
        sent.append(message)

    async def run() -> None:
        protected.stockade.install(app)
        await protected.stockade.start()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/closed/1",
            "raw_path": b"/v1/closed/1",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), (b"content-length", b"999")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await app(scope, receive, send)
        await protected.stockade.stop()

    asyncio.run(run())

    assert sent[0]["status"] == 401
    assert reads == 0
    assert ran == []


def test_one_router_under_two_prefixes_is_told_apart() -> None:
    """The same route object is open under one prefix and closed under another."""
    app, protected = FastAPI(), Protected()
    router = APIRouter()
    router.add_api_route("/x", lambda: "ran")
    app.include_router(router, prefix="/open", dependencies=[public("for the test")])
    app.include_router(router, prefix="/closed")
    app.include_router(router, prefix="/admin", dependencies=[Depends(require_role("admin"))])

    with serve(app, protected) as client:
        statuses = [client.get(f"/{place}/x").status_code for place in ("open", "closed", "admin")]
        member = client.get("/admin/x", headers=protected.headers(MEMBER))
        admin = client.get("/admin/x", headers=protected.headers(ADMIN))

    assert statuses == [200, 401, 401]
    assert (member.status_code, admin.status_code) == (403, 200)


def test_one_router_in_two_applications_keeps_two_policies() -> None:
    """Two applications that share a router are guarded each by its own Stockade."""
    router = APIRouter()
    router.add_api_route("/x", lambda: "ran")
    first, second = FastAPI(), FastAPI()
    first.include_router(router, dependencies=[public("for the test")])
    second.include_router(router)

    with serve(first, Protected()) as one, serve(second, Protected()) as two:
        statuses = [one.get("/x").status_code, two.get("/x").status_code, one.get("/x").status_code]

    assert statuses == [200, 401, 200]


def test_shared_router_is_refused_by_an_application_without_stockade() -> None:
    """A route that a Stockade guards is not served past it by another application."""
    from starlette.testclient import TestClient

    router = APIRouter()
    router.add_api_route("/x", lambda: "ran")
    guarded, bare = FastAPI(), FastAPI()
    guarded.include_router(router)
    bare.include_router(router)

    with serve(guarded, Protected()), TestClient(bare) as client:
        answer = client.get("/x")

    assert answer.status_code == 500
    assert "ran" not in answer.text


def test_wrong_method_reveals_nothing_to_nobody() -> None:
    """A method that a closed route does not know is answered as unauthenticated, not as 405."""
    app, protected = FastAPI(), Protected()

    @app.get("/x")
    async def answer(caller: Principal = Depends(current_principal)) -> str:
        return caller.email

    with serve(app, protected) as client:
        anonymous = client.delete("/x")
        known = client.delete("/x", headers=protected.headers())

    assert (anonymous.status_code, known.status_code) == (401, 405)


def _api_socket(app: FastAPI, ran: list[str]) -> None:
    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        ran.append("ran")
        await websocket.accept()


def _included_socket(app: FastAPI, ran: list[str]) -> None:
    router = APIRouter()

    @router.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        ran.append("ran")
        await websocket.accept()

    app.include_router(router)


def _starlette_socket(app: FastAPI, ran: list[str]) -> None:
    async def socket(websocket: WebSocket) -> None:
        ran.append("ran")
        await websocket.accept()

    app.router.routes.append(WebSocketRoute("/socket", socket))


@pytest.mark.parametrize("hang", [_api_socket, _included_socket, _starlette_socket])
def test_websocket_without_policy_is_closed(hang: Callable[[FastAPI, list[str]], None]) -> None:
    """A websocket that says nothing is refused at the handshake, before its handler runs."""
    app, protected, ran = FastAPI(), Protected(), list[str]()
    hang(app, ran)

    with (
        serve(app, protected) as client,
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("/socket"),
    ):
        pass

    assert denied.value.status_code == 401
    assert ran == []


def test_websocket_gives_its_caller() -> None:
    """A websocket knows its verified caller as an HTTP endpoint does."""
    app, protected = FastAPI(), Protected()

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, caller: Principal = Depends(current_principal)) -> None:
        await websocket.accept()
        await websocket.send_text(caller.user_id)
        await websocket.close()

    with (
        serve(app, protected) as client,
        client.websocket_connect("/socket", headers=protected.headers()) as session,
    ):
        assert session.receive_text() == MEMBER.user_id


def test_static_files_are_closed_until_opened(tmp_path: Path) -> None:
    """Static files are closed by default and open by a policy of the settings."""
    (tmp_path / "logo.txt").write_text("ran")
    closed, opened = FastAPI(), FastAPI()
    for app in (closed, opened):
        app.mount("/static", StaticFiles(directory=tmp_path))
    policy = {"policies": {"/static": {"public": "assets of the login page"}}}

    with serve(closed, Protected()) as one, serve(opened, Protected(gate=policy)) as two:
        statuses = [
            one.get("/static/logo.txt").status_code,
            two.get("/static/logo.txt").status_code,
        ]

    assert statuses == [401, 200]


def test_frontend_is_closed_until_opened(tmp_path: Path) -> None:
    """FastAPI's low-priority frontends are guarded, direct and included ones."""
    (tmp_path / "index.html").write_text("ran")
    app, protected = FastAPI(), Protected()
    app.frontend("/ui", directory=tmp_path)
    router = APIRouter()
    router.frontend("/ui", directory=tmp_path)
    app.include_router(router, prefix="/v1")

    with serve(app, protected) as client:
        statuses = [client.get(path).status_code for path in ("/ui/", "/v1/ui/")]

    assert statuses == [401, 401]


def test_unknown_path_is_a_plain_404() -> None:
    """A path that no route has is answered as a problem, by a decision."""
    app, protected = FastAPI(), Protected()

    with serve(app, protected) as client:
        answer = client.get("/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "gate.undecided" not in protected.names()


def test_slash_redirect_still_works() -> None:
    """The router's redirect to the path with or without slash is let out."""
    app, protected = FastAPI(), Protected()

    @app.get("/x")
    @public("for the test")
    def opened() -> str:
        return "open"

    with serve(app, protected) as client:
        redirect = client.get("/x/", follow_redirects=False)
        followed = client.get("/x/")

    assert (redirect.status_code, followed.status_code) == (307, 200)


def test_policy_attached_after_the_start_is_in_force() -> None:
    """A policy that is put on an endpoint while the server runs applies to the next request."""
    app, protected = FastAPI(), Protected()

    @app.get("/x")
    def endpoint() -> str:
        return "open"

    with serve(app, protected) as client:
        before = client.get("/x")
        public("for the test")(endpoint)
        after = client.get("/x")

    assert (before.status_code, after.status_code) == (401, 200)


@pytest.mark.parametrize("included", [False, True], ids=["direct", "included"])
def test_frontend_added_after_the_start_is_closed(tmp_path: Path, *, included: bool) -> None:
    """A frontend that comes after the start is bound before its first request."""
    (tmp_path / "index.html").write_text("ran")
    app, protected, router = FastAPI(), Protected(), APIRouter()
    app.include_router(router, prefix="/v1")

    with serve(app, protected) as client:
        client.get("/warm")
        (router if included else app).frontend("/ui", directory=tmp_path)
        answer = client.get("/v1/ui/" if included else "/ui/")

    assert answer.status_code == 401
    assert "ran" not in answer.text


def test_start_beside_a_serving_application_disturbs_nothing() -> None:
    """While one application starts, another that shares its routes goes on serving through them."""
    router = APIRouter()
    router.get("/x")(public("for the test")(lambda: "ran"))
    first, second = FastAPI(), FastAPI()
    first.include_router(router)
    second.include_router(router)

    with serve(first, Protected()) as one:
        gates = [vars(route)["handle"].inner for route in router.routes]
        with serve(second, Protected()):
            answer = one.get("/x")
        unchanged = [vars(route)["handle"].inner for route in router.routes] == gates

    assert (answer.status_code, unchanged) == (200, True)
