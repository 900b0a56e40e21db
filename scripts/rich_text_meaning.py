"""Measure what each policy leaves of harmless text and markup: does it still say what it said?

    PYTHONPATH=src:. python scripts/rich_text_meaning.py [--show 5]

A real Chromium reads every value before and after it is sanitized, in a document that runs nothing.
The text has to be the same, but for what stands in elements that the policy drops. Of the elements
that the policy names, each has to be there still, with those of its attributes that the policy
names and whose links it allows. Losses are counted by their likely cause; ``--show`` prints some.

The strings come from the folder that ``STOCKADE_CORPORA`` names, or from ``../shared/corpora``.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

from scripts.browser import find_browser
from stockade.sanitization import HTMLPolicy, SanitizationError, sanitize_html
from stockade.sanitization.links import is_allowed_image, is_allowed_link
from tests.unit.sanitization.corpora import CORPORA, FILES, POLICIES, read_rows

# Everything is taken from prototypes: markup can shadow properties of an element by name.
READ: Final = """([values, dropped]) => {
  const getter = (name) => Object.getOwnPropertyDescriptor(Element.prototype, name).get;
  const [attributes, name, space] = ["attributes", "localName", "namespaceURI"].map(getter);
  const inert = document.implementation.createHTMLDocument("");
  return values.map((value) => {
    const root = inert.createElement("div");
    root.innerHTML = value;
    for (const each of root.querySelectorAll(dropped)) Element.prototype.remove.call(each);
    const all = [...root.querySelectorAll("*")];
    const own = all.filter((each) => space.call(each) === "http://www.w3.org/1999/xhtml");
    return {
      text: root.textContent,
      elements: own.map((each) => [
        name.call(each),
        [...attributes.call(each)].map((attribute) => [attribute.name, attribute.value]),
      ]),
      causes: [
        own.length < all.length && "inside of SVG or MathML",
        own.some((each) => each instanceof HTMLUnknownElement) && "inside of an unknown element",
        ...["noscript", "select"].map((tag) => root.querySelector(tag) && `inside of ${tag}`),
      ].filter(Boolean),
    };
  });
}"""

Element = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Tally:
    """What is counted for one kind of strings and one policy."""

    rows: int = 0
    refused: int = 0
    unchanged: int = 0
    same_text: int = 0
    same_elements: int = 0
    elements: int = 0
    kept: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, pair: tuple[str, str], before: Any, after: Any, policy: HTMLPolicy) -> None:  # noqa: ANN401 - what a page returns
        """Compare a value with what is left of it."""
        value, cleaned = pair
        self.unchanged += value == cleaned
        named, left = (Counter(_named(each["elements"], policy)) for each in (before, after))
        lost = named - left
        self.elements += named.total()
        self.kept += named.total() - lost.total()
        has_text = before["text"] == after["text"]
        self.same_text += has_text
        self.same_elements += not lost
        if lost or not has_text:
            cause = before["causes"][0] if before["causes"] else _attribute_cause(lost, left)
            self.causes[cause] += 1
            self.lost.append((cause, value, cleaned))


def _named(elements: Sequence[Any], policy: HTMLPolicy) -> Iterator[Element]:
    """Yield the elements that a policy names, with the attributes that it keeps."""
    for name, attributes in elements:
        if name not in policy.tags:
            continue
        kept = [(each, value) for each, value in attributes if _is_kept(name, each, value, policy)]
        # An image without a source is nothing.
        if name != "img" or any(each == "src" for each, _ in kept):
            yield name, tuple(sorted(kept))


def _is_kept(name: str, attribute: str, value: str, policy: HTMLPolicy) -> bool:
    if (name, attribute) not in policy.attributes:
        return False
    if attribute == "src":
        return is_allowed_image(value, policy)
    return attribute not in {"cite", "href"} or is_allowed_link(value, policy)


def _attribute_cause(lost: Counter[Element], left: Counter[Element]) -> str:
    names = Counter(name for name, _ in lost.elements())
    there = Counter(name for name, _ in left.elements())
    return "attribute that is not valid" if lost and names <= there else "other"


def read_kinds() -> dict[str, list[str]]:
    """Return the strings by kind, each once."""
    stored = read_rows("detection/public.jsonl")
    expected = [name for name in FILES if name.startswith("html/expect_")]
    kinds = {
        "ordinary text": [
            row["text"] for row in stored if row["label"] in {"negative", "benign_live"}
        ],
        "markup of parser suites": [
            *(row["text"] for row in stored if row["label"] == "fragment_neg"),
            *(row["text"] for row in read_rows("html/payloads.jsonl") if row["kind"] == "fragment"),
        ],
        "suites of other sanitizers": [
            row["input"] for name in expected for row in read_rows(name)
        ],
    }
    return {kind: list(dict.fromkeys(values)) for kind, values in kinds.items()}


def measure(page: Page, values: Sequence[str], policy: HTMLPolicy) -> Tally:
    """Sanitize values and compare what a browser reads."""
    tally = Tally(rows=len(values))
    pairs = []
    for value in values:
        try:
            pairs.append((value, sanitize_html(value, policy)))
        except SanitizationError:
            tally.refused += 1
    dropped = ",".join(sorted(policy.dropped))
    before, after = (
        page.evaluate(READ, [[pair[side] for pair in pairs], dropped]) for side in (0, 1)
    )
    for pair, first, second in zip(pairs, before, after, strict=True):
        tally.add(pair, first, second, policy)
    return tally


def show(kind: str, tallies: dict[str, Tally], samples: int) -> None:
    """Print a table for a kind of strings, as it stands in the documentation."""
    rows = next(iter(tallies.values())).rows
    print(f"\n{kind}: {rows:,} strings\n")
    print("| policy | refused | unchanged | text kept | elements kept | losses by cause |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, tally in tallies.items():
        taken = tally.rows - tally.refused
        causes = ", ".join(f"{count} {cause}" for cause, count in tally.causes.most_common())
        print(
            f"| `{name}` | {tally.refused} | {tally.unchanged / taken:.1%}"
            f" | {tally.same_text / taken:.2%}"
            f" | {tally.kept / tally.elements:.2%} of {tally.elements:,} | {causes or 'none'} |"
        )
    for name, tally in tallies.items():
        for cause, value, cleaned in tally.lost[:samples]:
            print(f"{name}, {cause}:\n    {value[:200]!r}\n    {cleaned[:200]!r}")


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", type=int, default=0, help="losses to print for each policy")
    options = parser.parse_args()
    path = find_browser()
    if path is None or not CORPORA.exists():
        print("needs a Chromium (scripts/browser.py) and the corpora (STOCKADE_CORPORA)")
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        for kind, values in read_kinds().items():
            tallies = {name: measure(page, values, policy) for name, policy in POLICIES.items()}
            show(kind, tallies, options.show)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
