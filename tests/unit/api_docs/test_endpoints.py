from __future__ import annotations

from enum import Enum
from html import unescape
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Mount
from starlette.testclient import TestClient

from stockade.api_docs import DocsKind, content_security_policy, install_docs
from stockade.api_docs.assets import REDOC_BUNDLE, load_assets, served_assets
from stockade.api_docs.endpoints import root_prefix


def documented(**options: Any) -> FastAPI:  # noqa: ANN401  # FastAPI's own options are loose.
    """Return an application with one route and our documentation."""
    app = FastAPI(title="Shop", **options)

    @app.get("/things")
    async def things() -> list[str]:
        return []

    install_docs(app)
    return app


def asset(name: str, prefix: str = "") -> str:
    """Return the path an asset of an ordinary application is served at."""
    return f"{prefix}/docs/assets/{load_assets()[name].name}"


CLIENT = TestClient(documented())


@pytest.mark.parametrize(
    ("path", "kind", "media_type"),
    [
        ("/docs", DocsKind.SWAGGER, "text/html; charset=utf-8"),
        ("/redoc", DocsKind.REDOC, "text/html; charset=utf-8"),
        ("/docs/oauth2-redirect", DocsKind.OAUTH2_REDIRECT, "text/html; charset=utf-8"),
        ("/openapi.json", DocsKind.OPENAPI, "application/json"),
    ],
)
def test_response_has_its_type_policy_and_is_not_stored(
    path: str, kind: DocsKind, media_type: str
) -> None:
    """Each kind is served with its own policy, and no cache keeps it."""
    response = CLIENT.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["content-security-policy"] == content_security_policy(kind)
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_asset_is_served_for_ever_but_not_shared() -> None:
    """An asset may be kept by the browser of the one who signed in."""
    response = CLIENT.get(asset(REDOC_BUNDLE))
    assert response.content == load_assets()[REDOC_BUNDLE].content
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("template", ["{}", "W/{}", '"other", {}', "*"])
def test_known_etag_gets_no_body(template: str) -> None:
    """A browser that has the file is not sent it again."""
    etag = load_assets()[REDOC_BUNDLE].etag
    headers = {"If-None-Match": template.format(etag)}
    response = CLIENT.get(asset(REDOC_BUNDLE), headers=headers)
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


def test_other_etag_gets_the_file() -> None:
    """A browser with an older file is sent the new one."""
    response = CLIENT.get(asset(REDOC_BUNDLE), headers={"If-None-Match": '"other"'})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "file",
    [
        "",
        "swagger-ui.css",
        "SOURCE.md",
        "LICENSE",
        "%2e%2e",
        "..%2f..%2fsettings.py",
        "..%5csettings.py",
        "swagger-ui%2fLICENSE",
        "%00",
        "..;",
        "../../settings.py",
        next(iter(served_assets())) + "%00",
        next(iter(served_assets())).upper(),
    ],
)
def test_nothing_but_the_table_is_served(file: str) -> None:
    """A name that is not in the table is not found, whatever path it spells."""
    assert CLIENT.get(f"/docs/assets/{file}").status_code == 404


@given(st.text(max_size=40))
def test_no_text_leads_to_another_file(file: str) -> None:
    """Only exact names of the table are served."""
    file = file.encode(errors="replace").decode()
    response = CLIENT.get("/docs/assets/" + "".join(f"%{byte:02x}" for byte in file.encode()))
    assert response.status_code == (200 if file in served_assets() else 404)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", asset(REDOC_BUNDLE)])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading_is_allowed(method: str, path: str) -> None:
    """The documentation can't be written to."""
    assert CLIENT.request(method, path).status_code == 405


@pytest.mark.parametrize(
    ("root_path", "prefix"),
    [
        pytest.param("", "", id="none"),
        pytest.param("/", "", id="slash alone"),
        pytest.param("/api", "/api", id="plain"),
        pytest.param("/api/", "/api", id="slash at the end"),
        pytest.param("//evil.example", "/evil.example", id="host"),
        pytest.param("/\\evil.example", "/%5Cevil.example", id="backslash"),
        pytest.param("https://evil.example", "/https://evil.example", id="URL"),
        pytest.param("/a?b#c", "/a%3Fb%23c", id="query and fragment"),
        pytest.param('/"><script>', "/%22%3E%3Cscript%3E", id="markup"),
        pytest.param("/caf\u00e9 1", "/caf%C3%A9%201", id="letters and space"),
        pytest.param("/\ud800", "/%3F", id="surrogate"),
    ],
)
def test_prefix_is_one_absolute_path(root_path: str, prefix: str) -> None:
    """Whatever the root path holds, the prefix stays a path of this origin."""
    assert root_prefix({"root_path": root_path}) == prefix


@given(st.text())
def test_prefix_never_names_a_host(root_path: str) -> None:
    """No root path gives an address that a browser takes for another host."""
    prefix = root_prefix({"root_path": root_path})
    assert prefix == "" or (prefix[0] == "/" and prefix[1:2] not in {"", "/", "\\"})
    assert prefix.isascii()


@pytest.mark.parametrize("path", ["/docs", "/api/docs"], ids=["stripping", "non-stripping"])
def test_addresses_have_the_root_path_behind_a_proxy(path: str) -> None:
    """Pages name the public paths, whether the proxy strips its prefix or not."""
    client = TestClient(documented(), root_path="/api")
    page = client.get(path).text
    assert 'data-openapi-url="/api/openapi.json"' in page
    assert 'data-oauth2-redirect-url="/api/docs/oauth2-redirect"' in page
    assert 'src="/api/docs/assets/' in page
    assert client.get(path.replace("docs", "openapi.json")).json()["servers"] == [{"url": "/api"}]


def test_application_may_set_the_root_path() -> None:
    """The older way, on the application itself, gives the same addresses."""
    app = documented()
    app.root_path = "/v1"
    page = TestClient(app).get("/redoc").text
    assert 'data-openapi-url="/v1/openapi.json"' in page


def test_host_header_is_ignored() -> None:
    """A forged host reaches no address on the page."""
    headers = {"Host": "evil.example", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Host": "evil"}
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect", "/openapi.json"):
        assert "evil" not in CLIENT.get(path, headers=headers).text


def test_mounted_application_has_its_own_pages() -> None:
    """The pages of a mounted application lead to its own description and assets."""
    app, sub = documented(), documented()
    app.mount("/sub", sub)
    client = TestClient(app)
    page = client.get("/sub/docs").text
    assert 'data-openapi-url="/sub/openapi.json"' in page
    assert asset("stockade/swagger-init.js", "/sub") in page
    assert client.get(asset("stockade/swagger-init.js", "/sub")).status_code == 200
    assert client.get("/sub/openapi.json").json()["servers"] == [{"url": "/sub"}]


def test_mount_under_a_parameter_can_not_name_a_host() -> None:
    """A mount path that the client chooses does not become a foreign server."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.append(Mount("/{tenant:path}/t", app=documented()))
    client = TestClient(app)
    servers = client.get("http://testserver//evil.example/t/openapi.json").json()["servers"]
    assert servers == [{"url": "/evil.example/t"}]
    page = client.get("http://testserver//evil.example/t/docs").text
    assert 'data-openapi-url="/evil.example/t/openapi.json"' in page
    assert '"//evil' not in page


def test_description_is_the_one_of_fastapi() -> None:
    """The description is what FastAPI would have served, its own servers first included."""
    servers = [{"url": "https://api.example.com"}]
    app = documented(servers=servers)
    response = TestClient(app, root_path="/x").get("/openapi.json")
    assert response.json() == {**app.openapi(), "servers": [{"url": "/x"}, *servers]}
    assert list(app.openapi()["paths"]) == ["/things"]


def test_swagger_settings_of_the_application_are_kept() -> None:
    """Parameters and OAuth arguments given to FastAPI reach the page, enums included."""

    class Expansion(Enum):
        NONE = "none"

    app = documented(
        swagger_ui_parameters={"docExpansion": Expansion.NONE},
        swagger_ui_init_oauth={"clientId": "web", "usePkceWithAuthorizationCodeGrant": True},
    )
    page = unescape(TestClient(app).get("/docs").text)
    assert '"docExpansion": "none"' in page
    assert '"clientId": "web"' in page


def test_title_is_read_when_the_page_is_asked_for() -> None:
    """An application that renames itself shows its new name, escaped."""
    app = documented()
    app.title = "<b>Shop</b>"
    client = TestClient(app)
    assert "<title>&lt;b&gt;Shop&lt;/b&gt; - Swagger UI</title>" in client.get("/docs").text
    assert "<title>&lt;b&gt;Shop&lt;/b&gt; - ReDoc</title>" in client.get("/redoc").text


def test_sign_in_window_is_not_parted_from_the_page() -> None:
    """A provider's window can hand its answer back; the other pages stay on their own."""
    opener = "cross-origin-opener-policy"
    assert CLIENT.get("/docs").headers[opener] == "same-origin-allow-popups"
    assert CLIENT.get("/docs/oauth2-redirect").headers[opener] == "unsafe-none"
    assert CLIENT.get("/redoc").headers[opener] == "same-origin"
