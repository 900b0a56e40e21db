"""Use the dashboard in a real Chromium without scripts, and attack it from other pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from stockade.events import MemorySink
from stockade.rate_limiting.refusals import Outcome
from tests.browser.test_cookies import ARGUMENTS, FORM, HOST, NAME
from tests.servers.process import free_port
from tests.unit.authentication.issuers import serve
from tests.unit.authentication.test_discovery import write_certificate
from tests.unit.dashboard.helpers import HOSTILE, PASSWORD, ROOT, Site, make_site

pytestmark = pytest.mark.browser

PAGES = ("", "/limits", "/bans", "/explain")
SIBLING = "https://blog.acme.example"
EVIL = "https://evil.example"

# What a page shows, as axe's rules ask for it: names of fields, buttons and links, headings, one
# main part, tables with headers, no duplicate ids, and text that stands out from what is behind it.
CHECK = """() => {
  const faults = [];
  const rgb = text => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  for (const field of document.querySelectorAll("input:not([type=hidden]), select")) {
    if (!field.labels.length) faults.push("no label: " + field.name);
  }
  for (const each of document.querySelectorAll("button, a")) {
    if (!each.textContent.trim()) faults.push("no name: " + each.outerHTML);
  }
  for (const each of document.querySelectorAll("[aria-describedby]")) {
    const by = document.getElementById(each.getAttribute("aria-describedby"));
    if (!by) faults.push("described by nothing: " + each.outerHTML);
  }
  for (const table of document.querySelectorAll("table")) {
    if ([...table.querySelectorAll("th")].some(th => !th.scope)) faults.push("a header of nothing");
    if (!table.querySelector("thead th")) faults.push("a table without headers");
  }
  const ids = [...document.querySelectorAll("[id]")].map(each => each.id);
  if (new Set(ids).size !== ids.length) faults.push("an id twice");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  if (!document.documentElement.lang || !document.title) faults.push("no language or title");
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const of = node.parentElement;
    if (!node.data.trim() || of.closest(".hidden, .skip, option")) continue;
    const [a, b] = [rgb(getComputedStyle(of).color), behind(of)].map(light);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(contrast.toFixed(1) + ": " + node.data.trim());
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the window");
  return faults;
}"""


@dataclass
class Served:
    """A running application with a dashboard."""

    origin: str
    site: Site

    def url(self, path: str) -> str:
        """Return the address of a page."""
        return f"{self.origin}/ops{path}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running application over TLS."""
    port = free_port()
    # Each test signs in, from one address and within a minute.
    limits = {"enabled": True, "ban_after": 50, "login": "1000/minute"}
    site = make_site(web={"allowed_hosts": [HOST]}, rate_limiting=limits)
    certificate = write_certificate(tmp_path_factory.mktemp("tls"))
    with serve(site.app, port, lifespan="on", certificate=certificate):
        yield Served(f"https://{HOST}:{port}", site)


@pytest.fixture(scope="module")
def browser(chromium_path: str, served: Served) -> Iterator[Browser]:
    """One Chromium for all the tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Which colours the reader prefers."""
    found: str = request.param
    return found


def open_context(browser: Browser, **options: object) -> BrowserContext:
    """Open a fresh profile in which other hosts have a blank page."""
    context = browser.new_context(ignore_https_errors=True, **options)  # type: ignore[arg-type]  # Playwright's options
    context.set_default_timeout(20_000)
    for other in (SIBLING, EVIL):
        context.route(other + "/**", show_blank_page)
    return context


def show_blank_page(route: Route) -> None:
    """Answer in the place of another host."""
    route.fulfill(body="<!doctype html><title>Other</title>", content_type="text/html")


def sign_in(page: Page, served: Served) -> None:
    """Sign in as a person does: go to the dashboard, and fill in what it shows."""
    page.goto(served.url(""))
    page.get_by_label("E-mail address").fill(ROOT.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def watch(page: Page) -> list[str]:
    """Note what goes wrong on a page: violations of its policy, errors, requests elsewhere."""
    mishaps: list[str] = []
    page.on(
        "console",
        lambda said: (
            mishaps.append(said.text)
            if said.type in {"error", "warning"} and "status of 4" not in said.text
            else None
        ),
    )
    page.on("pageerror", lambda error: mishaps.append(str(error)))
    # Nothing handles a dialog, so that the browser is stuck with it, should there ever be one.
    page.on("dialog", lambda dialog: mishaps.append(dialog.message))
    return mishaps


def test_a_ban_is_made_and_lifted_without_scripts(browser: Browser, served: Served) -> None:
    """Every page works where scripts are off, and each action says that it was done."""
    context = open_context(browser, java_script_enabled=False)
    page = context.new_page()
    mishaps = watch(page)
    sign_in(page, served)
    page.get_by_role("link", name="Bans").click()
    page.get_by_label("Who, such as").fill("ip:203.0.113.9")
    page.get_by_label("Why").fill("scans us")
    page.get_by_role("button", name="Ban").click()
    expect(page.get_by_role("status")).to_contain_text("The ban holds")
    row = page.get_by_role("row", name="ip:203.0.113.9")
    row.get_by_role("button", name="Lift the ban of ip:203.0.113.9").click()
    expect(page.get_by_role("status")).to_contain_text("The ban is lifted")
    expect(page.get_by_text("Nobody is banned.")).to_be_visible()
    page.get_by_role("link", name="Explain").click()
    page.get_by_label("E-mail address of the account").fill("member@acme.example")
    page.get_by_label("Route").select_option("GET /notes")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("It may not")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert mishaps == []
    assert not [each for each in context.cookies() if each.get("name") == NAME]
    context.close()


@pytest.mark.parametrize("width", [1200, 390, 320])
def test_pages_are_sound(browser: Browser, served: Served, scheme: str, width: int) -> None:
    """Names, headings and contrast hold in both schemes, and nothing is wider than a phone."""
    context = open_context(
        browser, color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=False
    )
    page = context.new_page()
    mishaps = watch(page)
    served.site.stockade._limits.refusals.note(
        [f"{{user:{HOSTILE}}}route:GET /{'long' * 30}"], Outcome.REFUSED
    )
    page.goto(served.url(""))
    assert page.evaluate(CHECK) == []
    sign_in(page, served)
    for path in PAGES:
        page.goto(served.url(path))
        assert page.evaluate(CHECK) == []
        # The first key press leads past the navigation, and the focus is seen.
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) != "none"
    assert mishaps == []
    context.close()


def test_what_looks_like_html_is_text(browser: Browser, served: Served) -> None:
    """Nothing of what callers, routes or reasons are called becomes part of a page."""
    served.site.stockade._limits.refusals.note(
        [f"{{user:{HOSTILE}<img src=x onerror=alert(1)>}}", "{user:'><form action=x>}"],
        Outcome.REFUSED,
    )
    context = open_context(browser)
    page = context.new_page()
    mishaps = watch(page)
    sign_in(page, served)
    for path in PAGES:
        page.goto(served.url(path))
        assert page.locator("script, img, iframe, svg, object, [onerror], [style]").count() == 0
    page.goto(served.url("/limits"))
    expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
    page.goto(served.url("/bans"))
    for typed in (HOSTILE, "' autofocus onfocus=alert(1) x='"):
        page.get_by_label("Who, such as").fill(typed)
        page.get_by_label("Why").fill(typed)
        page.get_by_role("button", name="Ban").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.get_by_label("Who, such as").input_value() == typed
        assert page.locator("[onfocus], main script").count() == 0
    page.goto(served.url(f"/bans?done={HOSTILE[:10]}"))
    assert page.get_by_role("status").count() == 0
    assert mishaps == []
    context.close()


@pytest.mark.parametrize("other", [EVIL, SIBLING], ids=["other site", "same site"])
def test_another_page_does_nothing(browser: Browser, served: Served, other: str) -> None:
    """Neither bans, nor signs in, nor out: not from another site, not from a neighbour."""
    context = open_context(browser)
    sign_in(context.new_page(), served)
    sink = served.site.sink
    assert isinstance(sink, MemorySink)
    before = len([event for event in sink if event.name.startswith("rate_limiting.ban")])
    cookie = [each for each in context.cookies() if each.get("name") == NAME]
    for path, fields in (
        ("/bans", {"subject": "ip:203.0.113.9", "minutes": "5", "why": "evil"}),
        ("/bans/lift", {"subject": "ip:203.0.113.9"}),
        ("/sign-in", {"email": ROOT.email, "password": PASSWORD}),
        ("/sign-out", {}),
    ):
        page = context.new_page()
        page.goto(other + "/")
        with page.expect_response(served.url(path)) as answer:
            page.evaluate(FORM, [served.url(path), "application/x-www-form-urlencoded", fields])
        assert answer.value.status in {401, 403}
    after = len([event for event in sink if event.name.startswith("rate_limiting.ban")])
    assert after == before
    assert [each for each in context.cookies() if each.get("name") == NAME] == cookie
    context.close()


def test_nobody_frames_it(browser: Browser, served: Served) -> None:
    """A page that lies over it would get clicks that are meant for something else."""
    context = open_context(browser)
    sign_in(context.new_page(), served)
    page = context.new_page()
    page.goto(SIBLING + "/")
    page.evaluate(
        "url => { document.body.innerHTML = `<iframe src=${url}></iframe>` }", served.url("/bans")
    )
    page.wait_for_load_state("networkidle")
    shown = [frame for frame in page.frames if frame != page.main_frame]
    assert all("Bans" not in frame.content() for frame in shown)
    context.close()
