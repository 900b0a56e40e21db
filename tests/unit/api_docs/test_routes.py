from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, applications
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.testclient import TestClient

from stockade.api_docs import DocsKind, install_docs
from stockade.errors import ConfigurationError


def table(app: FastAPI) -> dict[DocsKind, str]:
    """Install and return the paths by kind."""
    return {route.kind: route.path for route in install_docs(app)}


def test_all_routes_of_the_documentation_are_described() -> None:
    """Every kind is found once, with the object that the router holds."""
    app = FastAPI()
    found = install_docs(app)
    assert {route.kind: route.path for route in found} == {
        DocsKind.OPENAPI: "/openapi.json",
        DocsKind.SWAGGER: "/docs",
        DocsKind.OAUTH2_REDIRECT: "/docs/oauth2-redirect",
        DocsKind.REDOC: "/redoc",
        DocsKind.ASSETS: "/docs/assets/{file}",
    }
    assert all(any(route.route is known for known in app.router.routes) for route in found)
    assert not any(route.route.include_in_schema for route in found)


def test_route_objects_and_names_stay() -> None:
    """What was bound to a route before, or refers to it by name, keeps working."""
    app = FastAPI()
    before = {route.path: route for route in app.router.routes if isinstance(route, Route)}
    for route in install_docs(app):
        assert route.kind is DocsKind.ASSETS or before[route.path] is route.route
    assert app.url_path_for("swagger_ui_html") == "/docs"


def test_flattened_walk_sees_the_new_endpoints() -> None:
    """The public walk over an application's routes leads to the same objects."""
    app = FastAPI()
    found = {id(route.route) for route in install_docs(app)}
    assert found <= {id(context.original_route) for context in iter_route_contexts(app.routes)}


def test_second_call_changes_nothing() -> None:
    """Installing twice gives the same routes and adds none."""
    app = FastAPI()
    first, routes = install_docs(app), list(app.router.routes)
    endpoints = [route.route.endpoint for route in first]
    assert install_docs(app) == first
    assert app.router.routes == routes
    assert [route.route.endpoint for route in install_docs(app)] == endpoints


def test_documentation_set_up_again_is_replaced_too() -> None:
    """Routes that FastAPI adds later are found by the next call, and the assets stay single."""
    app = FastAPI()
    install_docs(app)
    app.setup()
    found = install_docs(app)
    assert [route.kind for route in found].count(DocsKind.SWAGGER) == 2
    assert [route.kind for route in found].count(DocsKind.ASSETS) == 1
    assert "cdn" not in TestClient(app).get("/docs").text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"openapi_url": None}, {}, id="no description"),
        pytest.param(
            {"docs_url": None, "redoc_url": None},
            {DocsKind.OPENAPI: "/openapi.json"},
            id="description alone",
        ),
        pytest.param(
            {"docs_url": None},
            {
                DocsKind.OPENAPI: "/openapi.json",
                DocsKind.REDOC: "/redoc",
                DocsKind.ASSETS: "/redoc/assets/{file}",
            },
            id="ReDoc alone",
        ),
        pytest.param(
            {"redoc_url": None, "swagger_ui_oauth2_redirect_url": None},
            {
                DocsKind.OPENAPI: "/openapi.json",
                DocsKind.SWAGGER: "/docs",
                DocsKind.ASSETS: "/docs/assets/{file}",
            },
            id="Swagger UI alone",
        ),
        pytest.param(
            {"docs_url": "/in/docs/", "redoc_url": "/in/read", "openapi_url": "/in/api.json"},
            {
                DocsKind.OPENAPI: "/in/api.json",
                DocsKind.SWAGGER: "/in/docs/",
                DocsKind.OAUTH2_REDIRECT: "/docs/oauth2-redirect",
                DocsKind.REDOC: "/in/read",
                DocsKind.ASSETS: "/in/docs/assets/{file}",
            },
            id="own names",
        ),
        pytest.param(
            {"docs_url": "/", "redoc_url": None, "swagger_ui_oauth2_redirect_url": None},
            {
                DocsKind.OPENAPI: "/openapi.json",
                DocsKind.SWAGGER: "/",
                DocsKind.ASSETS: "/api-docs/assets/{file}",
            },
            id="at the root",
        ),
        pytest.param(
            {"docs_url": "/{lang}/docs", "redoc_url": None, "swagger_ui_oauth2_redirect_url": None},
            {
                DocsKind.OPENAPI: "/openapi.json",
                DocsKind.SWAGGER: "/{lang}/docs",
                DocsKind.ASSETS: "/api-docs/assets/{file}",
            },
            id="with a parameter",
        ),
    ],
)
def test_every_choice_of_urls(options: dict[str, Any], expected: dict[DocsKind, str]) -> None:
    """Whatever URLs an application has chosen, each is found and the page loads from its own."""
    app = FastAPI(**options)
    assert table(app) == expected
    page = expected.get(DocsKind.SWAGGER) or expected.get(DocsKind.REDOC)
    if page is not None:
        text = TestClient(app).get(page.replace("{lang}", "en")).text
        assert expected[DocsKind.ASSETS].removesuffix("{file}") in text
        assert f'data-openapi-url="{expected[DocsKind.OPENAPI]}"' in text


def test_changed_attributes_do_not_hide_a_route() -> None:
    """A route is known by its handler: forgetting its URL on the application does not hide it."""
    app = FastAPI()
    app.docs_url = app.redoc_url = app.openapi_url = None
    assert DocsKind.SWAGGER in table(app)
    assert DocsKind.REDOC in table(app)
    assert DocsKind.OPENAPI in table(app)


def test_patched_page_function_does_not_hide_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual patch of FastAPI's page function changes neither discovery nor what is served."""

    def patched(**_: object) -> HTMLResponse:
        return HTMLResponse("<script src=https://cdn.example/x.js></script>")

    monkeypatch.setattr(applications, "get_swagger_ui_html", patched)
    app = FastAPI()
    assert DocsKind.SWAGGER in table(app)
    assert "cdn.example" not in TestClient(app).get("/docs").text


def test_subclass_is_treated_alike() -> None:
    """An application class of one's own inherits the protection."""

    class Shop(FastAPI):
        pass

    assert len(install_docs(Shop())) == 5


def test_route_of_a_developer_is_left_alone() -> None:
    """A page that a developer wrote stays his, even at the usual path and with FastAPI's helper."""
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/docs")
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="/openapi.json", title="mine")

    assert table(app) == {DocsKind.OPENAPI: "/openapi.json"}
    assert "<title>mine</title>" in TestClient(app).get("/docs").text


def test_description_of_a_developer_is_used() -> None:
    """A page finds the description that the developer serves at the application's own URL."""
    app = FastAPI()
    app.router.routes[:] = [
        route
        for route in app.router.routes
        if not (isinstance(route, Route) and route.path == "/openapi.json")
    ]
    assert DocsKind.OPENAPI not in table(app)
    assert 'data-openapi-url="/openapi.json"' in TestClient(app).get("/docs").text


def test_page_without_description_is_an_error() -> None:
    """A page that could show nothing stops the start."""
    app = FastAPI()
    app.router.routes[:] = [
        route for route in app.router.routes if isinstance(route, Route) and route.path == "/docs"
    ]
    app.openapi_url = None
    with pytest.raises(ConfigurationError):
        install_docs(app)


def test_unknown_handler_of_fastapi_is_an_error() -> None:
    """A documentation page that a later FastAPI adds is not served unseen."""
    app = FastAPI()
    namespace = vars(applications)
    before = set(namespace)
    # The handler is compiled in FastAPI's own module, as a new kind of page would be.
    exec("async def stockade_probe(request): return None", namespace)  # noqa: S102
    try:
        app.add_route("/new-docs", namespace["stockade_probe"])
        with pytest.raises(ConfigurationError):
            install_docs(app)
    finally:
        for name in set(namespace) - before:
            del namespace[name]


def test_catch_all_route_does_not_take_the_assets() -> None:
    """The assets come before any route of the application."""
    app = FastAPI()

    async def everything(_: Request) -> Response:
        return PlainTextResponse("caught")

    app.add_route("/{path:path}", everything)
    page = TestClient(app)
    install_docs(app)
    script = page.get("/docs").text.split('src="')[1].split('"')[0]
    assert page.get(script).text != "caught"
    assert page.get("/elsewhere").text == "caught"


def test_documentation_at_the_root_leaves_assets_to_the_application() -> None:
    """An application with its pages at `/` keeps its own `/assets` folder."""
    app = FastAPI(docs_url="/")

    async def own(_: Request) -> Response:
        return PlainTextResponse("own")

    app.add_route("/assets/{file}", own)
    install_docs(app)
    assert TestClient(app).get("/assets/app.js").text == "own"


def test_mounted_application_is_not_touched() -> None:
    """A mounted application is installed by a call of its own."""
    app, sub = FastAPI(), FastAPI()
    app.mount("/sub", sub)
    install_docs(app)
    assert len(sub.router.routes) == 4
    assert len(install_docs(sub)) == 5


def test_extra_origins_reach_the_policy() -> None:
    """Swagger UI may call the origins that were given."""
    app = FastAPI()
    install_docs(app, connect_origins=("https://login.example.com",))
    policy = TestClient(app).get("/docs").headers["content-security-policy"]
    assert "connect-src 'self' https://login.example.com;" in policy


@pytest.mark.parametrize("prefix", ["", "/sub"])
@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"])
def test_each_page_is_found(prefix: str, path: str) -> None:
    """The shortcut past the documentation leads nobody past a page, mounted or not."""
    inner = FastAPI()
    outer = FastAPI(openapi_url=None)
    outer.mount("/sub", inner)
    app = outer if prefix else inner
    before = TestClient(app).get(prefix + path, follow_redirects=False).status_code
    install_docs(inner)
    after = TestClient(app).get(prefix + path, follow_redirects=False).status_code
    assert (before, after) == (200, 200)


@pytest.mark.parametrize("path", ["/x/docs", "/docs/x", "/docsx", "/Docs", "/redoc/"])
def test_a_path_that_only_contains_a_page_is_no_page(path: str) -> None:
    """The shortcut decides on nothing by itself: the route still has to match."""
    app = FastAPI()
    install_docs(app)
    for route in app.router.routes:
        assert isinstance(route, Route)
        scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
        assert route.matches(scope)[0] is Match.NONE
