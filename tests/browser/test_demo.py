"""Use the demo's documentation in a real Chromium, as its reader does."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.integration.demo_server import Demo, run_demo

pytestmark = pytest.mark.browser

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
NOTE_VIOLATIONS = (
    "window.violations = []; document.addEventListener('securitypolicyviolation',"
    " event => window.violations.push(event.effectiveDirective + ' ' + event.blockedURI))"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A running demo."""
    with run_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def page(chromium_path: str, demo: Demo) -> Iterator[Page]:
    """A page whose browser knows the credentials; nothing on it may go wrong or go elsewhere."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        context = browser.new_context(
            viewport={"width": 1300, "height": 1000},
            http_credentials={"username": "docs", "password": "docs-of-the-demo"},
        )
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.add_init_script(NOTE_VIOLATIONS)
        mishaps: list[str] = []
        foreign: list[str] = []
        page.on(
            "console",
            lambda said: mishaps.append(said.text) if said.type in {"error", "warning"} else None,
        )
        page.on("pageerror", lambda error: mishaps.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((demo.origin, "data:")) else foreign.append(asked.url)
            ),
        )
        yield page
        assert mishaps == []
        assert foreign == []
        assert page.evaluate("window.violations") == []
        browser.close()


def sign_in(page: Page, email: str, password: str) -> None:
    """Fill in Swagger UI's form of the OAuth2 password flow."""
    page.locator("button.authorize").first.click()
    page.locator(".auth-container input[type=text]").first.fill(email)
    page.locator(".auth-container input[type=password]").first.fill(password)
    page.locator(".auth-btn-wrapper button.authorize").click()
    expect(page.locator(".auth-container", has_text="Logout")).to_be_visible()
    page.locator(".btn-done").click()


def call(page: Page, operation: Locator) -> str:
    """Execute an operation and return what the page shows of the answer."""
    operation.locator(".opblock-summary-control").click()
    operation.locator("button.execute").click()
    live = operation.locator(".live-responses-table .response").first
    expect(live).to_be_visible()
    return live.inner_text()


def operation(page: Page, method: str, path: str) -> Locator:
    """Find an operation by its method and its exact path."""
    return page.locator(f".opblock-{method}").filter(
        has=page.locator(f'.opblock-summary-path[data-path="{path}"]')
    )


def test_reader_signs_in_and_calls_an_endpoint(page: Page, demo: Demo) -> None:
    """A reader of /docs signs in with a login of the demo and reads its company's notes."""
    page.goto(demo.origin + "/docs", wait_until="networkidle")
    expect(page.locator(".info .title")).to_contain_text("Notes")
    sign_in(page, "member@acme.example", "acme-member-password")
    answer = call(page, operation(page, "get", "/notes"))
    assert answer.startswith("200")
    assert "acme-welcome" in answer
    assert "globex" not in answer


def test_reader_writes_a_note(page: Page, demo: Demo) -> None:
    """The example of a body that the page offers is sent as JSON and stored."""
    page.goto(demo.origin + "/docs", wait_until="networkidle")
    sign_in(page, "owner@globex.example", "globex-owner-password")
    assert call(page, operation(page, "post", "/notes")).startswith("201")


def test_redoc_shows_the_endpoints(page: Page, demo: Demo) -> None:
    """ReDoc renders the demo's description under its own policy."""
    page.goto(demo.origin + "/redoc", wait_until="networkidle")
    expect(page.locator("#redoc h1", has_text="Notes")).to_be_visible()
    expect(page.locator(".api-content")).to_contain_text("/companies/departments")
