"""Sign in at a provider in a real Chromium, with accounts in a real database.

The provider is another site than the application, so that the cookies go where browsers let them.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, sync_playwright
from starlette.responses import HTMLResponse

from stockade import Settings, Stockade, public
from stockade.events import MemorySink
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
    upgrade_schema,
)
from tests.browser.test_demo import ARGUMENTS
from tests.clock import FrozenClock
from tests.servers.process import free_port
from tests.unit.authentication.issuers import serve
from tests.unit.authentication.providers import (
    CLIENT,
    HASHER,
    PASSWORD,
    SECRET,
    LocalProvider,
    Newcomers,
    run_provider,
)

pytestmark = pytest.mark.browser

ASK = """([method, path, body]) => fetch(path, {
    method,
    headers: body === null ? {} : {"Content-Type": "application/json"},
    body: body === null ? undefined : JSON.stringify(body),
}).then(async answer => [answer.status, await answer.text().then(t => t && JSON.parse(t))])"""


@dataclass
class Place:
    """A running application with a running provider."""

    origin: str
    provider: LocalProvider
    sink: MemorySink


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An application with one account in a database; its time stands still."""
    url = f"sqlite:///{tmp_path}/app.db"
    asyncio.run(fill(url))
    clock, sink = FrozenClock(), MemorySink()
    with run_provider(clock) as provider:
        port = free_port()
        origin = f"http://localhost:{port}"
        own = {
            "issuer": provider.name,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "algorithms": ["Ed25519"],
            "registration": True,
            "trusted_domains": ["example.com"],
        }
        settings = Settings(
            environment="test",
            database_url=url,
            authentication={
                "bcrypt_cost": 4,
                "cookies": True,
                "public_url": origin,
                "providers": {"local": own},
            },
        )
        stockade = Stockade(settings, newcomers=Newcomers(), sinks=[sink], clock=clock)
        app = FastAPI()
        stockade.install(app)
        app.include_router(stockade.auth_router)
        app.include_router(stockade.oidc_router)

        @app.get("/home")
        @public("a page")
        async def home() -> HTMLResponse:
            policy = {"Content-Security-Policy": "connect-src 'self'"}
            return HTMLResponse("<!doctype html><title>home</title>", headers=policy)

        with serve(app, port, lifespan="on"):
            yield Place(origin, provider, sink)


async def fill(url: str) -> None:
    """Make the tables, a tenant and an account with a password."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        tenant = await create_tenant(connection, "Acme", tenant_id="acme")
        account = NewAccount(email="ana@example.com", password_hash=HASHER.hash(PASSWORD))
        user = await create_account(connection, account)
        await join_tenant(connection, user, tenant, role="owner", is_default=True)
    await engine.dispose()


@pytest.fixture
def page(chromium_path: str) -> Iterator[Page]:
    """A page of a browser that knows nothing."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(20_000)
        yield page
        browser.close()


def ask(page: Page, method: str, path: str, body: object = None) -> tuple[int, object]:
    """Send a request as a page of the application does."""
    status, found = page.evaluate(ASK, [method, path, body])
    return status, found


def cookies_of(page: Page) -> set[str]:
    """Return the names of all cookies."""
    return {str(cookie.get("name")) for cookie in page.context.cookies()}


def test_somebody_new_signs_in(place: Place, page: Page) -> None:
    """From a link, over another site, to a session in the database."""
    place.provider.user = {
        "sub": "carla",
        "email": "carla@example.com",
        "email_verified": True,
    }
    page.goto(f"{place.origin}/home")
    page.evaluate("location.href = '/auth/oidc/local/start?next=/home'")
    page.wait_for_function("document.cookie === '' && document.title === 'home'")
    page.wait_for_url(f"{place.origin}/home")
    page.wait_for_load_state()
    status, me = ask(page, "GET", "/auth/me")
    assert status == 200
    assert isinstance(me, dict)
    assert (me["email"], me["active_tenant_id"]) == ("carla@example.com", "acme")
    assert cookies_of(page) == {"__Host-stockade"}


def test_somebody_links_and_signs_in_from_elsewhere(place: Place, page: Page) -> None:
    """First with the password, and then by the provider alone."""
    page.goto(f"{place.origin}/home")
    login = {"email": "ana@example.com", "password": PASSWORD}
    assert ask(page, "POST", "/auth/login", login)[0] == 204
    status, answer = ask(page, "POST", "/auth/oidc/local/link", {"next": "/home"})
    assert status == 200
    assert isinstance(answer, dict)
    page.goto(answer["authorization_url"])
    assert page.url == f"{place.origin}/home"
    page.context.clear_cookies()
    page.goto(f"{place.origin}/auth/oidc/local/start?next=/home")
    assert page.url == f"{place.origin}/home"
    status, me = ask(page, "GET", "/auth/me")
    assert isinstance(me, dict)
    assert (me["email"], me["roles"]) == ("ana@example.com", ["owner"])


def test_a_page_of_another_site_begins_nothing_unseen(place: Place, page: Page) -> None:
    """What it fetches leaves no cookie behind, and does not even reach the provider."""
    page.goto(f"{place.provider.name}/keys")
    page.evaluate(
        "address => fetch(address, {mode: 'no-cors', credentials: 'include'}).catch(() => null)",
        f"{place.origin}/auth/oidc/local/start",
    )
    asked = [path for path, _ in place.provider.asked]
    assert "/.well-known/openid-configuration" in asked
    assert "/authorize" not in asked
    assert cookies_of(page) == set()
