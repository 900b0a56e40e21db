"""Published strings leave nothing behind that the policy does not allow."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from stockade.sanitization import HTMLPolicy, SanitizationError, find_policy, sanitize_html
from tests.unit.sanitization.corpora import POLICIES, needs_corpora, read_rows, read_strings
from tests.unit.sanitization.parsing import find_faults

policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


class _Names(HTMLParser):
    """Gather the names of elements, and of attributes with their elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(f"{tag} {name}" for name, _ in attrs)}


def names_in(value: str) -> set[str]:
    """Return the elements and attributes of a sanitized value."""
    reader = _Names()
    reader.feed(value)
    reader.close()
    return reader.found


def test_each_policy_of_the_package_is_tried() -> None:
    """The policies under test are those that fields find by name."""
    assert set(POLICIES) >= {"default", "comment", "article", "email"}
    assert all(find_policy(name) is policy for name, policy in POLICIES.items())


@needs_corpora
@policies
def test_only_what_the_policy_allows_is_left(policy: HTMLPolicy) -> None:
    """An independent parser finds only allowed elements, attributes and links, well formed."""
    faults = {}
    refused = 0
    for text in read_strings():
        try:
            cleaned = sanitize_html(text, policy)
        except SanitizationError:
            refused += 1
            continue
        if found := find_faults(cleaned, policy):
            faults[text] = found
        assert sanitize_html(cleaned, policy) == cleaned
    assert faults == {}
    # A sanitizer that refuses everything is safe and useless.
    assert refused <= len(read_strings()) // 1000


@needs_corpora
@pytest.mark.parametrize("project", ["ammonia_default", "closure", "dompurify"])
def test_no_more_is_kept_than_others_keep(project: str) -> None:
    """Every element and attribute that is left is in a result that the project expects, too."""
    rows = read_rows(f"html/expect_{project}.jsonl")
    excess = {}
    for row in rows:
        expected = set[str]().union(*map(names_in, row["acceptable"]))
        kept = names_in(sanitize_html(row["input"])) - expected - {"a rel"}
        if kept:
            excess[row["input"]] = kept
    assert rows
    assert excess == {}
