"""Show many values in a real Chromium, and say what ran or was more than a policy names."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, Route, sync_playwright

from stockade.sanitization import HTMLPolicy

SITE: Final = "https://site.example"
ARGUMENTS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
]
PIXEL: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
IMAGES: Final = (".gif", ".jpeg", ".jpg", ".png")
FOLDER: Final = Path(__file__).parent

CONTEXTS: Final = ("page", "written", "fragment", "quirks", "cell")
"""A document, one made by ``document.write``, and ``innerHTML``, with its result read back twice:
in a standard document, in one read as browsers of old did, and in a cell of a table."""

_FRAMES: Final = 24
_VALUES: Final = 50


@dataclass(frozen=True)
class Group:
    """Values that share one frame, each in an element of its own."""

    context: str
    values: tuple[str, ...]


@dataclass
class Viewer:
    """A page that shows values in frames.

    Attributes:
        requests: Kind and address of each request that markup made.
    """

    page: Page
    requests: list[tuple[str, str]] = field(default_factory=list)

    def look(
        self,
        values: Sequence[str],
        policy: HTMLPolicy,
        *,
        contexts: Sequence[str] = CONTEXTS,
        alone: bool = False,
        wait: int = 250,
    ) -> dict[tuple[str, str], set[str]]:
        """Show values in each context and return what should not be, by context and value.

        Values share frames, which is quick. Where something is seen in one, its values are shown
        again in smaller groups, until one of them is alone with it.

        Args:
            values: Distinct texts.
            policy: What may be there.
            contexts: Some of `CONTEXTS`.
            alone: Show each value in a frame of its own at once.
            wait: Milliseconds for events that follow markup, and again for those of a reader.
        """
        size = 1 if alone else _VALUES
        suspects = self._show(
            [part for name in contexts for part in _part(name, values, size)], policy, wait
        )
        found: dict[tuple[str, str], set[str]] = {}
        while suspects:
            parts = {
                part: group
                for group in suspects
                if len(group.values) > 1
                for part in _part(group.context, group.values, -(-len(group.values) // 4))
            }
            narrower = self._show(list(parts), policy, wait)
            explained = {parts[part] for part in narrower}
            for group, signals in suspects.items():
                # What is seen of several values together, and of none of its parts, counts for all.
                if group not in explained:
                    found |= {(group.context, value): signals for value in group.values}
            suspects = narrower
        return found

    def _show(
        self, groups: Sequence[Group], policy: HTMLPolicy, wait: int
    ) -> dict[Group, set[str]]:
        """Return the groups of which something was seen."""
        rules = _rules_of(policy)
        found: dict[Group, set[str]] = {}
        for at in range(0, len(groups), _FRAMES):
            some = groups[at : at + _FRAMES]
            asked = [[vars(group) for group in some], rules, wait]
            seen = self.page.evaluate("([groups, rules, wait]) => show(groups, rules, wait)", asked)
            found |= {
                group: set(signals) for group, signals in zip(some, seen, strict=True) if signals
            }
        return found


def _part(context: str, values: Sequence[str], size: int) -> list[Group]:
    return [Group(context, tuple(values[at : at + size])) for at in range(0, len(values), size)]


def _rules_of(policy: HTMLPolicy) -> dict[str, list[str]]:
    own = {"a rel"} if policy.rel and "a" in policy.tags else set()
    if "img" in policy.tags:
        own |= {"img loading", "img referrerpolicy"}
    named = {f"{tag} {attribute}" for tag, attribute in policy.attributes}
    return {
        "elements": sorted(policy.tags),
        "attributes": sorted(own | named),
        "schemes": sorted(policy.schemes),
    }


@contextmanager
def open_viewer(chromium_path: str) -> Iterator[Viewer]:
    """Start a Chromium whose every request is answered here."""
    nonce = secrets.token_urlsafe(16)
    script = (FOLDER / "rich_text_pages.js").read_text(encoding="utf-8")
    start = f'<!doctype html><title>t</title><body><script nonce="{nonce}">{script}</script>'
    # The policy lets everything run and reports what it would have stopped; frames inherit it.
    reports = {"Content-Security-Policy-Report-Only": f"script-src 'nonce-{nonce}'"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = browser.new_page()
        viewer = Viewer(page)

        def answer(route: Route) -> None:
            kind, url = route.request.resource_type, route.request.url
            if url == f"{SITE}/":
                route.fulfill(body=start, headers={**reports, "Content-Type": "text/html"})
                return
            viewer.requests.append((kind, url))
            options: dict[str, Any] = {"status": 404, "body": ""}
            if kind == "script":
                options = {"body": "ranRemoteScript()", "content_type": "text/javascript"}
            elif url.lower().endswith(IMAGES):
                options = {"body": PIXEL, "content_type": "image/gif"}
            route.fulfill(headers={"Access-Control-Allow-Origin": "*"}, **options)

        page.context.route("**/*", answer)
        page.add_init_script(path=FOLDER / "rich_text_hooks.js")
        page.goto(f"{SITE}/", wait_until="load")
        yield viewer
        browser.close()
