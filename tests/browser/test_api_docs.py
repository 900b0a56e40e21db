"""Drive the documentation pages in a real Chromium, under their real policy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import uvicorn
from fastapi import Depends, FastAPI, Form
from fastapi.security import (
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
)
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright
from pydantic import BaseModel, Field, SecretStr
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stockade.api_docs import APIDocsSettings, install_docs, verify_basic
from stockade.errors import UnauthenticatedError

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
SETTINGS = APIDocsSettings(username="reader", password=SecretStr(PASSWORD))
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

MARKDOWN = (
    '# Chapter\n\nSome **bold** text, [a link](/things) and `code`.\n\n```json\n{"a": 1}\n```\n'
)
HOSTILE = (
    '<img src=x onerror="window.pwned=1">\n\n</script><script>window.pwned=1</script>\n\n'
    '<svg onload="window.pwned=1"></svg>\n\n'
    '<a href="javascript:window.pwned=1">hostile link</a>\n\n'
    "[hostile markdown](javascript:window.pwned=1)\n\n"
    '<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>\n\n<form action="https://evil.example"><button>send</button></form>\n\n'
    '<div style="position:fixed;inset:0">cover</div>\n\n<style>body{display:none}</style>\n'
)


class Basic:
    """Ask for the credentials of the documentation before one of its handlers is called."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            verify_basic(dict(scope["headers"]).get(b"authorization"), SETTINGS)
        except UnauthenticatedError as error:
            headers = {"WWW-Authenticate": error.challenge}
            await JSONResponse({}, 401, headers=headers)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def protect(app: FastAPI, connect_origins: tuple[str, ...] = ()) -> FastAPI:
    """Install the documentation behind the check."""
    for docs_route in install_docs(app, connect_origins=connect_origins):
        docs_route.route.app = Basic(docs_route.route.app)
    return app


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"


class Thing(BaseModel):
    name: str = Field(max_length=20, description=MARKDOWN)
    parts: list[Thing] = Field(default=[], max_length=3)


def shop() -> FastAPI:
    """Return an ordinary application: a password sign-in and two routes."""
    app = FastAPI(title="Shop", description=MARKDOWN)
    password = OAuth2PasswordBearer("token")

    @app.post("/token", tags=["sign-in"])
    async def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
        return Token(access_token=f"T-{form.username}")

    @app.get("/me", tags=["people"])
    async def me(token: str = Depends(password)) -> dict[str, str]:
        return {"token": token}

    @app.post("/things", tags=["things"], description=MARKDOWN)
    async def things(thing: Thing) -> Thing:
        return thing

    return app


def hostile() -> FastAPI:
    """Return an application whose description attacks its reader wherever it can."""
    app = FastAPI(
        title=HOSTILE,
        description=HOSTILE,
        version="</script><script>window.pwned=1</script>",
        contact={"name": HOSTILE, "url": "javascript:window.pwned=1"},
        license_info={"name": HOSTILE, "url": "javascript:window.pwned=1"},
        openapi_tags=[
            {"name": "hostile", "description": HOSTILE},
            {"name": HOSTILE, "externalDocs": {"url": "javascript:window.pwned=1"}},
        ],
    )

    @app.post("/things", tags=["hostile"], summary=HOSTILE, description=HOSTILE)
    async def things(
        q: Annotated[str, Form(description=HOSTILE, title=HOSTILE)] = HOSTILE,
    ) -> Thing:
        raise NotImplementedError(q)

    return app


def with_provider(provider: str) -> FastAPI:
    """Return an application whose users sign in at a provider on another origin."""
    app = FastAPI(
        title="With provider",
        swagger_ui_init_oauth={"clientId": "docs", "usePkceWithAuthorizationCodeGrant": True},
    )
    code = OAuth2AuthorizationCodeBearer(f"{provider}/authorize", tokenUrl="code")

    @app.post("/code")
    async def exchange(
        code: Annotated[str, Form()], code_verifier: Annotated[str, Form()]
    ) -> Token:
        return Token(access_token=f"{code}-{bool(code_verifier)}")

    @app.get("/me")
    async def me(token: str = Depends(code)) -> dict[str, str]:
        return {"token": token}

    return app


def site(port: int) -> FastAPI:
    """Return all the applications as one, with the provider's page."""
    provider = f"http://localhost:{port}"
    root = protect(shop())
    root.mount("/sub", protect(shop()))
    root.mount("/hostile", protect(hostile()))
    root.mount("/provider", protect(with_provider(provider)))
    root.mount("/open", protect(shop(), connect_origins=(provider,)))

    @root.get("/authorize", include_in_schema=False)
    async def authorize(redirect_uri: str, state: str) -> RedirectResponse:
        return RedirectResponse(f"{redirect_uri}?code=C0DE&state={state}")

    @root.get("/foreign", include_in_schema=False)
    async def foreign() -> JSONResponse:
        return JSONResponse({}, headers={"Access-Control-Allow-Origin": "*"})

    return root


@dataclass
class Visit:
    """One page, and everything about it that must not happen."""

    page: Page
    origin: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(
            "window.violations = []; document.addEventListener('securitypolicyviolation',"
            " event => window.violations.push(event.effectiveDirective + ' ' + event.blockedURI))"
        )
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._request)

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.errors.append(text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.origin + "/", "data:")):
            self.foreign.append(request.url)

    def go(self, path: str) -> Page:
        """Open a path of the site and wait for the page to be quiet."""
        self.page.goto(self.origin + path, wait_until="networkidle")
        return self.page

    def assert_clean(self) -> None:
        """Fail on any console error, violation of the policy, or foreign request."""
        assert self.errors == []
        assert self.page.evaluate("window.violations") == []
        assert self.foreign == []


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve the site on a free port and return its origin."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(site(port), log_level="error", ws="none", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Start one Chromium for all the tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Give a fresh profile that knows the credentials."""
    context = browser.new_context(
        viewport={"width": 1300, "height": 1000},
        http_credentials={"username": "reader", "password": PASSWORD},
    )
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext, origin: str) -> Visit:
    """Give a watched page."""
    return Visit(context.new_page(), origin)


def try_me(page: Page) -> str:
    """Call GET /me from the page and return what the page shows of the answer."""
    operation = page.locator(".opblock-get", has_text="/me")
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    live = operation.locator(".live-responses-table .response").first
    expect(live).to_be_visible()
    return live.inner_text()


@pytest.mark.parametrize("prefix", ["", "/sub"], ids=["root", "mounted"])
def test_swagger_renders_cleanly(visit: Visit, prefix: str) -> None:
    """Swagger UI shows every operation, with no error, violation or foreign request."""
    page = visit.go(f"{prefix}/docs")
    expect(page.locator(".opblock")).to_have_count(3)
    expect(page.locator(".info .title")).to_contain_text("Shop")
    expect(page.locator(".info h1", has_text="Chapter")).to_be_visible()
    page.locator(".opblock-post", has_text="/things").locator(".opblock-summary-control").click()
    expect(page.locator("button.execute")).to_be_visible()
    visit.assert_clean()


@pytest.mark.parametrize("prefix", ["", "/sub"], ids=["root", "mounted"])
def test_password_sign_in_and_try_it_out(visit: Visit, prefix: str) -> None:
    """A reader signs in with a password and calls a protected route from the page."""
    page = visit.go(f"{prefix}/docs")
    page.locator("button.authorize").first.click()
    page.locator(".auth-container input[type=text]").first.fill("bob")
    page.locator(".auth-container input[type=password]").first.fill("secret")
    page.locator(".auth-btn-wrapper button.authorize").click()
    expect(page.locator(".auth-container", has_text="Logout")).to_be_visible()
    page.locator(".btn-done").click()
    answer = try_me(page)
    assert "200" in answer
    assert "T-bob" in answer
    visit.assert_clean()


def test_sign_in_at_a_provider(visit: Visit) -> None:
    """A provider on another origin sends its code back to the page that opened its window."""
    page = visit.go("/provider/docs")
    page.locator("button.authorize").first.click()
    page.locator(".auth-btn-wrapper button.authorize").click()
    expect(page.locator(".auth-container", has_text="Logout")).to_be_visible()
    page.locator(".btn-done").click()
    assert "C0DE-True" in try_me(page)
    visit.assert_clean()


@pytest.mark.parametrize("prefix", ["", "/sub"], ids=["root", "mounted"])
def test_redoc_renders_cleanly(visit: Visit, prefix: str) -> None:
    """ReDoc shows headings and its own styles, with no error, violation or foreign request."""
    page = visit.go(f"{prefix}/redoc")
    expect(page.locator("#redoc h1", has_text="Shop")).to_be_visible()
    expect(page.locator("#redoc h1, #redoc h2", has_text="Chapter").first).to_be_visible()
    expect(page.locator("#redoc h2", has_text="Things").first).to_be_attached()
    # The grid of menu and content comes from styled-components: without its rules there is none.
    menu = page.locator(".menu-content").bounding_box()
    content = page.locator(".api-content").bounding_box()
    assert menu is not None
    assert content is not None
    assert menu["x"] + menu["width"] <= content["x"] + 1
    expect(page.get_by_alt_text("redocly logo")).to_be_hidden()
    visit.assert_clean()


# Clicks all elements of a kind; resolves with what the policy then refused.
CLICK = """([selector, directive]) => new Promise(resolve => {
  document.addEventListener("securitypolicyviolation", event => {
    if (event.effectiveDirective === directive) resolve(event.blockedURI);
  });
  document.querySelectorAll(selector).forEach(element => element.click());
})"""


def test_hostile_description_runs_nothing_in_swagger(visit: Visit) -> None:
    """Markup in any text of the description executes nothing and frames nothing."""
    page = visit.go("/hostile/docs")
    page.locator(".opblock-summary-control").first.click()
    expect(page.locator("button.execute").first).to_be_visible()
    for link in page.locator("a", has_text="hostile").all():
        link.click(force=True, no_wait_after=True)
    assert page.evaluate("window.pwned") is None
    assert page.locator("iframe, form[action], #swagger-ui style").count() == 0
    assert page.locator("a[href^='javascript:']").count() == 0
    assert visit.foreign == []


def test_hostile_description_runs_nothing_in_redoc(visit: Visit) -> None:
    """ReDoc shows the same description, executes nothing of it, and keeps its own look."""
    page = visit.go("/hostile/redoc")
    expect(page.locator(".api-content")).to_be_visible()
    # ReDoc keeps addresses, forms and styles of a description; the policy gives them no effect.
    expect(page.locator("body")).to_have_css("display", "block")
    expect(page.locator("#redoc div", has_text="cover").last).to_have_css("position", "static")
    assert page.locator("iframe").count() == 0
    assert page.evaluate(CLICK, ["a[href^='javascript:']", "script-src-elem"]) == "inline"
    assert page.evaluate(CLICK, ["form button", "form-action"]).startswith("https://evil.example")
    assert page.evaluate("window.pwned") is None
    assert visit.foreign == []


@pytest.mark.parametrize(
    "query",
    ["url={0}/foreign", "configUrl={0}/foreign", "urls.primaryName=x&url={0}/foreign"],
)
def test_link_can_not_choose_the_description(visit: Visit, query: str) -> None:
    """What stands in the address does not change what the page loads."""
    page = visit.go("/docs?" + query.format(visit.origin.replace("127.0.0.1", "localhost")))
    expect(page.locator(".info .title")).to_contain_text("Shop")
    visit.assert_clean()


FETCH = "url => fetch(url).then(answer => answer.status, () => 'refused')"


def test_page_may_not_call_another_origin(visit: Visit) -> None:
    """The policy is in force: even script on the page can't send anything elsewhere."""
    page = visit.go("/docs")
    foreign = visit.origin.replace("127.0.0.1", "localhost") + "/foreign"
    assert page.evaluate(FETCH, foreign) == "refused"
    assert page.evaluate("window.violations") == [f"connect-src {foreign}"]


def test_page_may_call_an_origin_that_was_given(visit: Visit) -> None:
    """An origin from the settings can be called."""
    page = visit.go("/open/docs")
    foreign = visit.origin.replace("127.0.0.1", "localhost") + "/foreign"
    assert page.evaluate(FETCH, foreign) == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/sub/docs"])
def test_nothing_is_shown_without_credentials(browser: Browser, origin: str, path: str) -> None:
    """A browser without credentials gets 401 and a challenge."""
    context = browser.new_context()
    response = context.request.get(origin + path)
    assert response.status == 401
    assert response.headers["www-authenticate"].startswith("Basic realm=")
    context.close()


def test_page_can_not_be_framed(context: BrowserContext, origin: str) -> None:
    """No page, not even one of the same origin, can show the documentation in a frame."""
    page = context.new_page()
    page.goto(origin + "/foreign")
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.evaluate(
            "url => document.body.append(Object.assign(document.createElement('iframe'), "
            "{src: url}))",
            origin + "/docs",
        )
    assert page.frame_locator("iframe").locator("#swagger-ui").count() == 0
