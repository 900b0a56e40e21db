"""Sanitized rich text in a real Chromium: nothing runs, and nothing is there but what is named.

The same pages show raw attacks as well, alone and among thousands of sanitized values: pages that
would see nothing prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from stockade.sanitization import HTMLPolicy, SanitizationError, find_policy, sanitize_html
from tests.browser.rich_text_pages import CONTEXTS, Viewer, open_viewer
from tests.browser.rich_text_strings import ATTACKS, ODDITIES, PAGE_ATTACKS, draw_markup
from tests.unit.sanitization.corpora import POLICIES, needs_corpora, read_rows, read_strings

pytestmark = pytest.mark.browser

OWN = (*ATTACKS.values(), *PAGE_ATTACKS.values(), *ODDITIES)
# They ask for nothing, so that the requests of a run are those of the sanitized values.
PLANTED = [ATTACKS[name] for name in ("details", "link", "sign")]
DOCUMENTS = ("page", "written")

MORE = {
    "element": ("<span>a</span>", "fragment", "element span"),
    "attribute": ("<p id=a>b</p>", "fragment", "attribute p id"),
    "namespace": ("<svg><a>b</a></svg>", "fragment", "element a"),
    "scheme": ('<a href="ftp://a.example">b</a>', "fragment", "link by ftp:"),
    "host": ('<a href="//a.example">b</a>', "fragment", "link by https:"),
    "change": ("<p>a", "fragment", "changed when read back"),
    "end tag": ("<p>a</p></div><p>b</p>", "page", "left its element"),
    "body": ("<body onresize=a>", "page", "left its element"),
    "end of page": ("</main></div><p>a</p>", "written", "left its element"),
    "address": (
        "<meta http-equiv=refresh content='0;url=data:text/plain,a'>",
        "page",
        "left the page",
    ),
}

policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


@pytest.fixture(scope="module")
def viewer(chromium_path: str) -> Iterator[Viewer]:
    """Pages of a real Chromium."""
    with open_viewer(chromium_path) as viewer:
        yield viewer


def has_run(signals: set[str]) -> bool:
    """Tell whether script was seen: by what it called, by its errors, or by the page's policy."""
    return any(signal.startswith(("ran ", "threw", "policy ")) for signal in signals)


def find_quiet(viewer: Viewer, values: Sequence[str], context: str) -> list[str]:
    """Return the raw values of which no script is seen, each in a frame of its own."""
    quiet = list(values)
    # An image that is not there is told late on a busy machine.
    for wait in (250, 2_000):
        found = viewer.look(
            quiet, find_policy("default"), contexts=[context], alone=True, wait=wait
        )
        quiet = [value for value in quiet if not has_run(found.get((context, value), set()))]
    return quiet


def check_inert(viewer: Viewer, texts: Sequence[str], policy: HTMLPolicy) -> None:
    """Show what a policy leaves of texts, with raw attacks in between that have to be seen."""
    cleaned = []
    for text in texts:
        try:
            cleaned.append(sanitize_html(text, policy))
        except SanitizationError:
            continue
    values = list(dict.fromkeys(cleaned))
    for number, attack in enumerate(PLANTED, start=1):
        values.insert(len(values) * number // (len(PLANTED) + 1), attack)
    viewer.requests.clear()
    found = viewer.look(values, policy)
    planted = {(context, attack) for context in CONTEXTS for attack in PLANTED}
    assert {where: seen for where, seen in found.items() if where not in planted} == {}
    assert {where for where, seen in found.items() if has_run(seen)} == planted
    kinds = {kind for kind, _ in viewer.requests}
    assert kinds <= ({"image"} if "img" in policy.tags else set())


@pytest.mark.parametrize("context", CONTEXTS)
def test_our_attacks_run_when_they_are_raw(viewer: Viewer, context: str) -> None:
    """Each attack is seen in each context, where nobody has sanitized it."""
    attacks = ATTACKS | (PAGE_ATTACKS if context in DOCUMENTS else {})
    assert find_quiet(viewer, list(attacks.values()), context) == []


@pytest.mark.parametrize(("value", "context", "signal"), MORE.values(), ids=MORE.keys())
def test_more_than_the_policy_names_is_seen(
    viewer: Viewer, value: str, context: str, signal: str
) -> None:
    """What is there beyond the policy is seen without any script."""
    found = viewer.look([value], find_policy("default"), contexts=[context])
    assert signal in found[context, value]


@policies
def test_nothing_of_our_strings_runs(viewer: Viewer, policy: HTMLPolicy) -> None:
    """Of our own attacks and oddities, nothing is left that runs or that is not named."""
    check_inert(viewer, OWN, policy)


@policies
def test_nothing_of_random_markup_runs(viewer: Viewer, policy: HTMLPolicy) -> None:
    """Of markup that nobody would write, another one in each run, nothing is left that runs."""
    # The seed of the run, which a failed one prints, gives the same again.
    source = random.Random(random.getrandbits(64))
    check_inert(viewer, [draw_markup(source) for _ in range(1_000)], policy)


@needs_corpora
@pytest.mark.parametrize(("level", "least"), [("exec", 0.98), ("interaction", 0.95)])
def test_published_attacks_run_when_they_are_raw(viewer: Viewer, level: str, least: float) -> None:
    """Strings that ran in somebody's Chromium are seen to run here, at once or when touched."""
    rows = read_rows("detection/public.jsonl")
    attacks = [
        row["text"]
        for row in rows
        if (row["label"], row["where"], row["level"]) == ("positive", "html", level)
    ]
    some = attacks[:: len(attacks) // 120]
    assert len(some) >= 120
    assert len(find_quiet(viewer, some, "page")) <= (1 - least) * len(some)


@needs_corpora
@policies
def test_nothing_of_published_strings_runs(viewer: Viewer, policy: HTMLPolicy) -> None:
    """Of more than 15,000 published strings, nothing is left that runs or that is not named."""
    texts = read_strings()
    assert len(texts) >= 15_000
    check_inert(viewer, texts, policy)
