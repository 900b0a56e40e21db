"""A line that is forgotten or in the wrong place is a refusal or a failed start.

It is never an open route.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from stockade import (
    Principal,
    Settings,
    Stockade,
    body_limit,
    current_principal,
    public,
    rate_limit,
    require_permission,
    require_role,
    unlimited,
)
from stockade.compat import get_current_user, require_admin_role
from stockade.errors import ConfigurationError
from stockade.gate.settings import GateSettings
from stockade.rate_limiting import Limiter, get_rate_limit_key
from tests.unit.gate.apps import ADMIN, DOCS, MEMBER, ROOT, Protected, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

Caller = Annotated[Principal, Depends(current_principal)]


def _start_problem(app: FastAPI | Starlette, protected: Protected) -> str:
    """Start with a lifespan and return the one message with which the start fails."""
    protected.stockade.install(app)
    messages: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"} if not messages else {"type": "lifespan.shutdown"}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI messages
        messages.append(message)

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    with pytest.raises(ConfigurationError):
        asyncio.run(app(scope, receive, send))
    assert messages[0]["type"] == "lifespan.startup.failed"
    return str(messages[0]["message"])


# Position and order -------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False], ids=["install-first", "install-last"])
def test_place_of_install_makes_no_difference(early: bool) -> None:
    """Routes and middleware added before or after `install` are all behind the wall."""
    app, protected = FastAPI(), Protected()
    if early:
        protected.stockade.install(app)

    @app.get("/x")
    async def answer() -> str:
        return "ran"

    @app.middleware("http")
    async def pass_on(request: Request, call_next: Any) -> Any:  # noqa: ANN401 - Starlette's shape
        return await call_next(request)

    if not early:
        protected.stockade.install(app)

    with TestClient(app) as client:
        response = client.get("/x")

    assert response.status_code == 401
    assert "x-request-id" in response.headers


def test_server_without_lifespan_is_protected() -> None:
    """Where the lifespan never runs, the layers start with the first request."""
    app, protected = FastAPI(), Protected()
    app.add_api_route("/x", lambda: "ran")
    protected.stockade.install(app)

    response = TestClient(app).get("/x")

    assert response.status_code == 401
    assert next(event.name for event in protected.sink) == "application.started"


def test_failed_start_without_lifespan_serves_nothing() -> None:
    """Where the lifespan never runs and a layer is not in force, every request is refused."""
    app, protected = FastAPI(), Protected()
    ran: list[str] = []

    @app.get("/x")
    @public("for the test")
    async def answer(caller: Caller) -> None:
        ran.append(caller.email)

    protected.stockade.install(app)
    client = TestClient(app, raise_server_exceptions=False)

    assert [client.get("/x").status_code for _ in range(2)] == [500, 500]
    assert ran == []
    assert "application.start_failed" in protected.names()


@pytest.mark.parametrize("above", [True, False], ids=["limit-above", "limit-below"])
@pytest.mark.parametrize("style", ["rate_limit", "slowapi"])
def test_order_of_decorators_makes_no_difference(above: bool, style: str) -> None:
    """A limit bites above and below the route decorator, in both spellings."""
    app, protected = FastAPI(), Protected(rate_limiting={"enabled": True})
    mark: Callable[[Any], Any] = rate_limit("2/minute")
    if style == "slowapi":
        mark = Limiter(key_func=get_rate_limit_key).limit("2/minute")

    def endpoint() -> str:
        return "ran"

    public("for the test")(endpoint)
    if above:
        mark(app.get("/x")(endpoint))
    else:
        app.get("/x")(mark(endpoint))

    with serve(app, protected) as client:
        statuses = [client.get("/x").status_code for _ in range(4)]

    assert statuses == [200, 200, 429, 429]


def test_default_limits_hold_for_included_and_mounted_routes() -> None:
    """The default limit bites on every route, however it hangs on the tree."""
    app = FastAPI()
    protected = Protected(rate_limiting={"enabled": True, "public": "2/minute"})
    router, inner = APIRouter(), FastAPI()
    for place in (app, router, inner):
        place.get("/x")(public("for the test")(lambda: "ran"))
    app.include_router(router, prefix="/v1")
    app.mount("/mount", inner)

    with serve(app, protected) as client:
        found = {
            path: [client.get(path).status_code for _ in range(3)]
            for path in ("/x", "/v1/x", "/mount/x")
        }

    assert set(map(tuple, found.values())) == {(200, 200, 429)}


# The forgotten line -------------------------------------------------------------------------------


def test_forgotten_depends_closes_the_route() -> None:
    """An endpoint whose `Depends` was forgotten is closed to everybody, even to a super admin."""
    app, protected = FastAPI(), Protected()
    app.add_api_route("/admin", lambda: "ran")

    with serve(app, protected) as client:
        statuses = [
            client.get("/admin").status_code,
            client.get("/admin", headers=protected.headers(ROOT)).status_code,
        ]

    assert statuses == [401, 403]


def test_forgotten_install_is_an_error_where_a_dependency_is_used() -> None:
    """Without `install`, an endpoint that asks for its caller answers 500 and does not run."""
    app, ran = FastAPI(), list[str]()

    @app.get("/x")
    async def answer(caller: Caller) -> None:
        ran.append(caller.email)

    response = TestClient(app, raise_server_exceptions=False).get("/x")

    assert response.status_code == 500
    assert ran == []


def test_compatible_names_protect_without_further_lines() -> None:
    """The snippet of an existing backend (`token: dict`, `_: None`) is enforced as it stands."""
    app, protected = FastAPI(), Protected()

    @app.post("/admin-endpoint")
    async def admin_endpoint(
        token: dict = Depends(get_current_user),  # type: ignore[type-arg]  # The snippet says so.
        _: None = Depends(require_admin_role),
    ) -> str:
        return str(token["user_id"])

    with serve(app, protected) as client:
        answers = [
            client.post("/admin-endpoint"),
            client.post("/admin-endpoint", headers=protected.headers(MEMBER)),
            client.post("/admin-endpoint", headers=protected.headers(ADMIN)),
        ]

    assert [answer.status_code for answer in answers] == [401, 403, 200]
    assert answers[2].json() == ADMIN.user_id


def test_dependency_override_does_not_open_a_route() -> None:
    """An override of the dependency, left over from a test, does not take the gate away."""
    app, protected = FastAPI(), Protected()

    @app.get("/x")
    async def answer(caller: Caller) -> str:
        return caller.email

    app.dependency_overrides[current_principal] = lambda: ADMIN

    with serve(app, protected) as client:
        response = client.get("/x")

    assert response.status_code == 401


async def _nothing(caller: Caller) -> Principal:
    return caller


def test_override_with_a_stricter_dependency_is_in_force() -> None:
    """A role that only an override asks for is decided on when it is called."""
    app, protected = FastAPI(), Protected()

    @app.get("/x")
    async def answer(caller: Annotated[Principal, Depends(_nothing)]) -> str:
        return caller.email

    app.dependency_overrides[_nothing] = require_role("admin")

    with serve(app, protected) as client:
        member = client.get("/x", headers=protected.headers(MEMBER))
        admin = client.get("/x", headers=protected.headers(ADMIN))

    assert (member.status_code, admin.status_code) == (403, 200)


def test_security_scopes_are_permissions() -> None:
    """`Security(current_principal, scopes=[...])` asks for these permissions."""
    app = FastAPI()
    protected = Protected(authorization={"roles": {"admin": ["notes:note:read"], "member": []}})

    @app.get("/x")
    async def answer(
        caller: Annotated[Principal, Security(current_principal, scopes=["notes:note:read"])],
    ) -> str:
        return caller.email

    with serve(app, protected) as client:
        member = client.get("/x", headers=protected.headers(MEMBER))
        admin = client.get("/x", headers=protected.headers(ADMIN))

    assert (member.status_code, admin.status_code) == (403, 200)


# Middleware ---------------------------------------------------------------------------------------


class _Metrics:
    """Answers /metrics by itself, past every route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/metrics":
            await PlainTextResponse("secret figures")(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def test_answer_of_undeclared_middleware_does_not_get_out() -> None:
    """A middleware that answers past the gate is refused at the wall."""
    app, protected = FastAPI(), Protected()
    app.add_middleware(_Metrics)

    with serve(app, protected) as client:
        response = client.get("/metrics")

    assert response.status_code == 500
    assert "secret" not in response.text
    assert protected.names() == ["gate.undecided"]


class _Fallback:
    """Answers with a page of its own where the application says 404."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def note(message: Any) -> None:  # noqa: ANN401 - ASGI message
            nonlocal status
            status = status or message.get("status", 0)

        await self.app(scope, receive, note)
        if status == 404:
            await PlainTextResponse("secret page")(scope, receive, send)


def test_answer_in_place_of_a_404_does_not_get_out() -> None:
    """That no route has a path permits no other answer to it."""
    app, protected = FastAPI(), Protected()
    app.add_middleware(_Fallback)

    with serve(app, protected) as client:
        response = client.get("/nothing")

    assert response.status_code == 500
    assert "secret" not in response.text


def test_declared_middleware_may_answer() -> None:
    """A middleware that the settings name, with a reason, may answer by itself."""
    name = f"{_Metrics.__module__}.{_Metrics.__qualname__}"
    app, protected = FastAPI(), Protected(gate={"answering_middleware": {name: "scraped inside"}})
    app.add_middleware(_Metrics)
    app.add_api_route("/x", lambda: "ran")

    with serve(app, protected) as client:
        statuses = [client.get("/metrics").status_code, client.get("/x").status_code]

    assert statuses == [200, 401]


def test_middleware_around_a_mounted_application_does_not_answer_for_it() -> None:
    """The wall covers middleware of mounted applications as well."""
    app, protected, inner = FastAPI(), Protected(), FastAPI()
    inner.add_middleware(_Metrics)
    inner.add_api_route("/metrics", lambda: "route")
    app.mount("/mount", _Metrics(inner))

    class Inner(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> PlainTextResponse:  # noqa: ANN401 - Starlette's shape
            return PlainTextResponse("secret")

    inner.add_middleware(Inner)

    with serve(app, protected) as client:
        response = client.get("/mount/metrics")

    assert response.status_code == 500
    assert "secret" not in response.text


@pytest.mark.parametrize("first", [True, False], ids=["cors-before", "cors-after"])
def test_preflight_works_and_opens_nothing(first: bool) -> None:
    """A CORS preflight is answered; the request after it is not let through by it."""
    app, protected = FastAPI(), Protected()
    if not first:
        protected.stockade.install(app)
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
    app.add_api_route("/x", lambda: "ran")
    if first:
        protected.stockade.install(app)
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}

    with TestClient(app) as client:
        preflight = client.options("/x", headers=headers)
        request = client.get("/x", headers=headers)

    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert (preflight.status_code, request.status_code) == (200, 401)


# Mistakes that stop the start ---------------------------------------------------------------------


class _Open(BaseModel):
    name: str


def _contradiction(app: FastAPI) -> None:
    @app.get("/x")
    @public("for the test")
    async def answer(caller: Caller) -> str:
        return caller.email


def _two_body_limits(app: FastAPI) -> None:
    app.post("/x")(public("for the test")(body_limit(1)(body_limit(2)(lambda: ""))))


def _limit_and_none(app: FastAPI) -> None:
    app.get("/x")(public("for the test")(rate_limit("1/minute")(unlimited("why not")(lambda: ""))))


def _impossible_roles(app: FastAPI) -> None:
    router = APIRouter(dependencies=[Depends(require_role("owner"))])
    router.get("/x", dependencies=[Depends(require_role("member"))])(lambda: "")
    app.include_router(router)


def _unknown_role(app: FastAPI) -> None:
    app.get("/x", dependencies=[Depends(require_role("adnim"))])(lambda: "")


def _unknown_permission(app: FastAPI) -> None:
    app.get("/x", dependencies=[Depends(require_permission("notes:note:raed"))])(lambda: "")


def _hidden_by_wrapper(app: FastAPI) -> None:
    def wrapper(function: Callable[[], str]) -> Callable[[], str]:
        def call() -> str:
            return function()

        return call

    app.get("/x")(wrapper(public("for the test")(lambda: "")))


def _hidden_in_class(app: FastAPI) -> None:
    class Endpoint(HTTPEndpoint):
        @public("for the test")
        async def get(self, _request: Request) -> PlainTextResponse:
            return PlainTextResponse("")

    app.router.routes.append(Route("/x", Endpoint))


def _unbounded_body(app: FastAPI) -> None:
    @app.post("/x")
    @public("for the test")
    async def answer(body: _Open) -> str:
        return body.name


def _unbounded_query(app: FastAPI) -> None:
    @app.get("/x")
    @public("for the test")
    async def answer(q: str) -> str:
        return q


def _unresolved(app: FastAPI) -> None:
    class Local(BaseModel):
        pass

    @app.post("/x")
    @public("for the test")
    async def answer(body: Local) -> str:
        return str(body)


def _second_stockade(app: FastAPI) -> None:
    inner = FastAPI()
    Protected().stockade.install(inner)
    app.mount("/mount", inner)


def _mounted_twice(app: FastAPI) -> None:
    inner = FastAPI()
    inner.add_api_route("/x", lambda: "")
    app.mount("/one", inner)
    app.mount("/two", inner)


MISTAKES = [
    pytest.param(_contradiction, {}, "public", id="public-and-caller"),
    pytest.param(_two_body_limits, {}, "two body limits", id="two-body-limits"),
    pytest.param(_limit_and_none, {}, "exempt", id="limit-and-unlimited"),
    pytest.param(_impossible_roles, {}, "no role satisfies", id="impossible-roles"),
    pytest.param(_unknown_role, {}, "no role is called adnim", id="unknown-role"),
    pytest.param(_unknown_permission, {}, "notes:note:raed", id="unknown-permission"),
    pytest.param(_hidden_by_wrapper, {}, "hidden by a decorator", id="hidden-by-wrapper"),
    pytest.param(_hidden_in_class, {}, "put it on the class", id="hidden-in-class"),
    pytest.param(_unbounded_body, {}, "body.body.name has no bound", id="unbounded-body"),
    pytest.param(_unbounded_query, {}, "query.q has no bound", id="unbounded-query"),
    pytest.param(_unresolved, {}, "can't be resolved", id="unresolved-annotation"),
    pytest.param(_second_stockade, {}, "Stockade of its own", id="two-stockades"),
    pytest.param(
        _mounted_twice,
        {"gate": {"policies": {"/one/x": {"public": "for the test"}}}},
        "mounted twice",
        id="mounted-twice",
    ),
    pytest.param(
        lambda _app: None,
        {"gate": {"policies": {"/nothing": {"public": "for the test"}}}},
        "names a route that does not exist",
        id="policy-for-nothing",
    ),
]


@pytest.mark.parametrize(("make", "settings", "words"), MISTAKES)
def test_mistake_stops_the_start(
    make: Callable[[FastAPI], None], settings: dict[str, Any], words: str
) -> None:
    """A policy that could not be in force as written stops the start with a line that says why."""
    app = FastAPI()
    make(app)

    problem = _start_problem(app, Protected(**settings))

    assert words in problem
    assert "Traceback" not in problem


def test_every_mistake_is_named_at_once() -> None:
    """Two mistakes are two lines, so that one start is enough to mend both."""
    app = FastAPI()
    _unknown_role(app)
    app.get("/y", dependencies=[Depends(require_permission("notes:note:raed"))])(lambda: "")

    problem = _start_problem(app, Protected())

    assert len(problem.splitlines()) == 2


def test_debug_stops_a_deployed_start() -> None:
    """Tracebacks for clients are refused where others can reach the server."""
    app = FastAPI(debug=True)
    protected = Protected(
        environment="production",
        secret_keys="k9V2mQx7LpR4tYw8ZbN3cF6hJ1sD5gA0eUoI",
        web={"allowed_hosts": ["api.example.com"]},
    )

    assert "debug=True" in _start_problem(app, protected)


def test_callers_without_accounts_stop_the_start() -> None:
    """Routes that need a caller need accounts."""
    app, protected = FastAPI(), Protected()
    app.get("/x", dependencies=[Depends(current_principal)])(lambda: "")
    protected.stockade = Stockade(Settings(environment="test"), sinks=[protected.sink])

    assert "STOCKADE_DATABASE_URL" in _start_problem(app, protected)


def test_unreachable_redis_stops_the_start() -> None:
    """Limits whose store does not answer stop the start."""
    app = FastAPI()
    protected = Protected(redis_url="redis://127.0.0.1:1/0", rate_limiting={"enabled": True})

    assert _start_problem(app, protected)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"environment": "production"}, "no secret key", id="no-secret"),
        pytest.param(
            {"environment": "production", "secret_keys": "changeme" * 5}, "placeholder", id="weak"
        ),
        pytest.param(
            {"environment": "production", "secret_keys": "k9V2mQx7LpR4tYw8ZbN3cF6hJ1sD5gA0eUoI"},
            "STOCKADE_WEB__ALLOWED_HOSTS",
            id="no-hosts",
        ),
    ],
)
def test_deployed_settings_must_be_complete(settings: dict[str, Any], words: str) -> None:
    """A deployed application without a real secret and host names is not made at all."""
    with pytest.raises(ConfigurationError, match=words):
        Stockade(Settings(**settings))


def test_install_mistakes_are_errors_at_once() -> None:
    """A second install, an application that runs already, and a shared Stockade are refused."""
    app, protected = FastAPI(), Protected()
    protected.stockade.install(app)
    running = FastAPI()
    TestClient(running).get("/")

    with pytest.raises(ConfigurationError):
        protected.stockade.install(app)
    with pytest.raises(ConfigurationError):
        protected.stockade.install(FastAPI())
    with pytest.raises(ConfigurationError):
        Protected().stockade.install(running)


@pytest.mark.parametrize(
    "reason", ["", "  ", lambda: "", None], ids=["empty", "blank", "bare", "none"]
)
def test_public_needs_a_reason(reason: Any) -> None:  # noqa: ANN401 - anything a developer may write
    """`@public` without a reason in words is an error at import."""
    with pytest.raises(ConfigurationError):
        public(reason)


def test_default_policy_can_be_authenticated() -> None:
    """A setting opens routes without a policy to whoever is signed in, and to nobody else."""
    app = FastAPI()
    protected = Protected(gate=GateSettings(default="authenticated"))
    app.add_api_route("/x", lambda: "ran")

    with serve(app, protected) as client:
        statuses = [
            client.get("/x").status_code,
            client.get("/x", headers=protected.headers()).status_code,
        ]

    assert statuses == [401, 200]


def test_third_party_router_gets_its_policy_by_name_or_path() -> None:
    """Routes that can't be decorated are opened and limited by settings."""
    app = FastAPI()
    protected = Protected(
        gate={
            "policies": {
                "name:vendor_login": {"public": "vendor login", "limits": "1/minute"},
                "/vendor/admin/**": {"roles": ["admin"]},
            }
        },
        rate_limiting={"enabled": True},
    )
    vendor = APIRouter(prefix="/vendor")
    vendor.add_api_route("/login", lambda: "ran", name="vendor_login")
    vendor.add_api_route("/admin/panel", lambda: "ran")
    vendor.add_api_route("/other", lambda: "ran")
    app.include_router(vendor)

    with serve(app, protected) as client:
        login = [client.get("/vendor/login").status_code for _ in range(2)]
        panel = [
            client.get("/vendor/admin/panel", headers=protected.headers(account)).status_code
            for account in (MEMBER, ADMIN)
        ]
        other = client.get("/vendor/other").status_code

    assert (login, panel, other) == ([200, 429], [403, 200], 401)


def test_wrapper_with_functools_wraps_keeps_the_policy() -> None:
    """A decorator that uses functools.wraps carries the policy upwards."""
    app, protected = FastAPI(), Protected()

    def wrapper(function: Callable[[], str]) -> Callable[[], str]:
        @functools.wraps(function)
        def call() -> str:
            return function()

        return call

    app.get("/x")(wrapper(public("for the test")(lambda: "open")))

    with serve(app, protected) as client:
        assert client.get("/x").status_code == 200


def test_documentation_is_closed_everywhere() -> None:
    """Every documentation route of every application asks for HTTP Basic, also behind a proxy."""
    app, inner, protected = FastAPI(), FastAPI(), Protected()
    app.mount("/mount", inner)
    paths = [
        prefix + path
        for prefix in ("", "/mount")
        for path in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect")
    ]

    with serve(app, protected) as client:
        proxied = TestClient(app, root_path="/proxy")
        closed = {client.get(path).status_code for path in paths}
        closed |= {proxied.get(f"/proxy{path}").status_code for path in paths}
        opened = {client.get(path, auth=DOCS).status_code for path in paths}
        opened |= {proxied.get(f"/proxy{path}", auth=DOCS).status_code for path in paths}

    assert (closed, opened) == ({401}, {200})


def test_documentation_without_credentials_is_off() -> None:
    """Where no credentials are set, the documentation answers as if it were not there."""
    app, protected = FastAPI(), Protected(api_docs={})

    with serve(app, protected) as client:
        statuses = {client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")}

    assert statuses == {404}
