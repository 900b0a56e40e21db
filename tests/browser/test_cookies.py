"""Sign in with a cookie in a real Chromium, over TLS, and attack the session from other pages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Form
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from stockade import Principal, Settings, Stockade, current_principal, public
from stockade.authentication import BcryptHasher
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.servers.process import free_port
from tests.unit.authentication.helpers import ANA, random_password
from tests.unit.authentication.issuers import serve
from tests.unit.authentication.test_discovery import write_certificate

pytestmark = pytest.mark.browser

PASSWORD = random_password()
ACCOUNT = dataclasses.replace(ANA, password_hash=BcryptHasher(cost=4).hash(PASSWORD))
LOGIN = {"email": ACCOUNT.email, "password": PASSWORD}
HOST = "api.acme.example"
SIBLING = "https://blog.acme.example"
"""Another page of the same site, to which SameSite makes no difference."""

EVIL = "https://evil.example"
NAME = "__Host-stockade"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
]

# Resolves with the status, or with "refused" where the browser or the policy stops it.
FETCH = """([url, options]) => fetch(url, options).then(
    answer => answer.type === "opaque" ? "opaque" : answer.status, () => "refused")"""
FORM = """([url, enctype, fields]) => {
  const form = document.createElement("form");
  Object.assign(form, {action: url, method: "POST", enctype});
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), {name, value}));
  }
  document.body.append(form);
  form.submit();
}"""


@dataclass
class Site:
    """A running application."""

    origin: str
    sink: MemorySink
    changes: list[str]

    def url(self, path: str) -> str:
        """Return the address of a route."""
        return self.origin + path

    def call(self, method: str, path: str, cookie: str, **headers: str) -> httpx2.Response:
        """Call with a cookie, as something that is no browser of today."""
        address, _, port = self.origin.removeprefix("https://").partition(":")
        sent = {"Host": f"{address}:{port}", "Cookie": f"{NAME}={cookie}", **headers}
        url = f"https://127.0.0.1:{port}{path}"
        # The certificate is the test's own, and the name is one that no resolver knows.
        return httpx2.request(method, url, headers=sent, verify=False, timeout=30)

    def reasons(self) -> list[str | None]:
        """Return the reasons of all that was refused."""
        return [event.reason for event in self.sink if event.reason is not None]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running application for browsers, with a page of its own."""
    port = free_port()
    site = Site(f"https://{HOST}:{port}", MemorySink(), [])
    settings = Settings(
        environment="test",
        web={"allowed_hosts": [HOST]},
        authentication={"cookies": True, "bcrypt_cost": 4, "identity_cache_lifetime": 0},
    )
    stockade = Stockade(settings, accounts=MemoryAccountStore([ACCOUNT]), sinks=[site.sink])
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.auth_router)
    add_pages(app, site.changes)
    certificate = write_certificate(tmp_path_factory.mktemp("tls"))
    with serve(app, port, lifespan="on", certificate=certificate):
        yield site


def add_pages(app: FastAPI, changes: list[str]) -> None:
    """Add a page, and something that changes."""

    @app.get("/", response_class=HTMLResponse)
    @public("the page of the application")
    async def page() -> HTMLResponse:
        policy = {"Content-Security-Policy": "default-src 'self'"}
        return HTMLResponse("<!doctype html><title>Acme</title>", headers=policy)

    @app.post("/change")
    async def change(
        caller: Annotated[Principal, Depends(current_principal)],
        to: Annotated[str, Form(max_length=20)] = "",
    ) -> str:
        changes.append(to)
        return caller.user_id


@pytest.fixture
def site(served: Site) -> Site:
    """The running application, in which nothing has happened yet."""
    served.changes.clear()
    return served


@pytest.fixture(scope="module")
def browser(chromium_path: str, served: Site) -> Iterator[Browser]:
    """Start one Chromium for all the tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Give a fresh profile, in which other hosts have a blank page."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(20_000)
    for other in (SIBLING, EVIL):
        context.route(other + "/**", show_blank_page)
    yield context
    context.close()


def show_blank_page(route: Route) -> None:
    """Answer in the place of another host."""
    route.fulfill(body="<!doctype html><title>Other</title>", content_type="text/html")


def post(page: Page, url: str, body: object = None, **options: object) -> object:
    """Let the page send a request that changes something."""
    sent: dict[str, object] = {"method": "POST", **options}
    if body is not None:
        sent |= {"headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}
    return page.evaluate(FETCH, [url, sent])


def sign_in(context: BrowserContext, site: Site) -> Page:
    """Sign in from the page of the application."""
    page = context.new_page()
    page.goto(site.url("/"))
    assert post(page, site.url("/auth/login"), LOGIN) == 204
    return page


def cookie_of(context: BrowserContext) -> Any:  # noqa: ANN401 - a cookie of Playwright
    """Return the session cookie, or None."""
    return next((each for each in context.cookies() if each["name"] == NAME), None)


def submit(page: Page, url: str, fields: dict[str, str], enctype: str = "") -> int:
    """Let the page send a form, as the user's navigation, and return the status."""
    with page.expect_response(url) as answer:
        page.evaluate(FORM, [url, enctype or "application/x-www-form-urlencoded", fields])
    return answer.value.status


def test_a_page_signs_in_and_out(context: BrowserContext, site: Site) -> None:
    """The browser keeps the cookie for this host alone, and no script reads it."""
    page = sign_in(context, site)
    kept = cookie_of(context)
    assert (kept["domain"], kept["path"], kept["sameSite"]) == (HOST, "/", "Lax")
    assert kept["httpOnly"]
    assert kept["secure"]
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("cookieStore.getAll().then(all => all.length)") == 0
    assert page.evaluate(FETCH, [site.url("/auth/me"), {}]) == 200
    assert post(page, site.url("/auth/sign-out")) == 204
    assert cookie_of(context) is None
    assert page.evaluate(FETCH, [site.url("/auth/me"), {}]) == 401
    assert site.call("GET", "/auth/me", kept["value"]).status_code == 401


def test_the_own_page_changes_things(context: BrowserContext, site: Site) -> None:
    """By script and by a plain form, although its policy sends no origin with the form."""
    page = sign_in(context, site)
    assert post(page, site.url("/change")) == 200
    assert submit(page, site.url("/change"), {"to": "form"}) == 200
    assert site.changes == ["", "form"]


@pytest.mark.parametrize("other", [EVIL, SIBLING], ids=["other site", "same site"])
@pytest.mark.parametrize("enctype", ["application/x-www-form-urlencoded", "text/plain"])
def test_a_form_of_another_page_changes_nothing(
    context: BrowserContext, site: Site, other: str, enctype: str
) -> None:
    """From another site no cookie comes along; from the same site it does, and is refused."""
    sign_in(context, site)
    page = context.new_page()
    page.goto(other + "/")
    status = submit(page, site.url("/change"), {"to": "evil"}, enctype)
    assert status == (401 if other == EVIL else 403)
    assert site.changes == []
    expected = "no_credentials" if other == EVIL else "cross_site"
    assert site.reasons()[-1] == f"authentication.{expected}"


@pytest.mark.parametrize("other", [EVIL, SIBLING], ids=["other site", "same site"])
@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_a_script_of_another_page_changes_nothing(
    context: BrowserContext, site: Site, other: str, mode: str
) -> None:
    """Nor does it read anything."""
    sign_in(context, site)
    page = context.new_page()
    page.goto(other + "/")
    options = {"mode": mode, "credentials": "include"}
    sent = post(page, site.url("/change"), **options)
    read = page.evaluate(FETCH, [site.url("/auth/me"), options])
    # The policy of our answers keeps even an opaque one from other sites.
    assert {sent, read} <= {"opaque", "refused"}
    assert site.changes == []


@pytest.mark.parametrize("other", [EVIL, SIBLING], ids=["other site", "same site"])
@pytest.mark.parametrize("path", ["/auth/login", "/auth/sign-out"])
def test_another_page_signs_nobody_in_or_out(
    context: BrowserContext, site: Site, other: str, path: str
) -> None:
    """Neither as somebody else, so that the user works in a foreign account, nor at all."""
    sign_in(context, site)
    before = cookie_of(context)
    page = context.new_page()
    page.goto(other + "/")
    script = {"mode": "no-cors", "credentials": "include", "body": json.dumps(LOGIN)}
    assert post(page, site.url(path), **script) in {"opaque", "refused"}
    # A body that is JSON once the form has written it: {"email": ..., "password": ..., "x": "="}
    smuggled = json.dumps({**LOGIN, "x": ""})[:-2]
    assert submit(page, site.url(path), {smuggled: '"}'}, "text/plain") in {401, 403, 415, 422}
    assert cookie_of(context) == before
    own = context.new_page()
    own.goto(site.url("/"))
    assert own.evaluate(FETCH, [site.url("/auth/me"), {}]) == 200


def test_a_neighbour_plants_no_cookie(context: BrowserContext, site: Site) -> None:
    """The browser takes a cookie of this name from the very host alone, whatever is tried."""
    page = context.new_page()
    page.goto(SIBLING + "/")
    for scope in ("Domain=acme.example; Path=/; Secure", "Domain=acme.example; Path=/auth; Secure"):
        page.evaluate("cookie => { document.cookie = cookie }", f"{NAME}=planted; {scope}")
    assert cookie_of(context) is None
    own = sign_in(context, site)
    assert own.evaluate(FETCH, [site.url("/auth/me"), {}]) == 200


def test_signing_in_again_ends_the_session_before(context: BrowserContext, site: Site) -> None:
    """The browser's old cookie, wherever it was copied to, is over."""
    page = sign_in(context, site)
    before = cookie_of(context)["value"]
    assert post(page, site.url("/auth/login"), LOGIN) == 204
    assert cookie_of(context)["value"] != before
    assert site.call("GET", "/auth/me", before).status_code == 401


def test_a_client_without_fetch_metadata_brings_the_token(
    context: BrowserContext, site: Site
) -> None:
    """What says nothing of where it comes from, such as an old browser, needs the token."""
    sign_in(context, site)
    cookie = cookie_of(context)["value"]
    token = site.call("GET", "/auth/csrf", cookie).json()["csrf_token"]
    statuses = [
        site.call("POST", "/change", cookie, **headers).status_code
        for headers in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": token})
    ]
    assert statuses == [403, 403, 200]
    assert site.changes == [""]


def test_a_link_of_another_site_finds_the_user_signed_in(
    context: BrowserContext, site: Site
) -> None:
    """Reading by a link is what the attribute Lax allows, and changes nothing."""
    sign_in(context, site)
    page = context.new_page()
    page.goto(EVIL + "/")
    with page.expect_response(site.url("/auth/me")) as answer:
        page.evaluate("url => { location.href = url }", site.url("/auth/me"))
    assert answer.value.status == 200
