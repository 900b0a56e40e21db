"""Measure what sanitizing costs: ours beside nh3, which it is built on.

Two values: 1 KB of rich text as an editor writes it, and 20 characters of plain text. All
candidates take turns in one run, so that a busy machine slows all of them; read the ratios.

    python benchmarks/sanitization.py
"""

from __future__ import annotations

import argparse
import statistics
import timeit
from collections.abc import Callable

import nh3

from stockade.sanitization import find_policy, sanitize_html

RICH = (
    "<h2>Release notes</h2><p>The new <strong>editor</strong> keeps what you paste from other"
    " programs, and <em>only</em> what it can show safely. Read more in the"
    ' <a href="https://docs.example.com/editor" title="Editor">documentation</a>.</p>\n'
    "<ul><li>Headings, lists &amp; links</li><li>No scripts, no styles</li></ul>\n"
    '<p>Questions? Write to <a href="mailto:help@example.com">the team</a>. It answers within a'
    " day, or on the next working day where a weekend comes between.</p>\n"
    "<h3>What has changed since the last version</h3><p>Tables can be wider than the page. Images"
    " are no longer loaded from other hosts, because these would learn who reads a page and when."
    " Old pages are cleaned up in the background, and every change can be undone for thirty days."
    "</p>\n<ol><li>Open the settings.</li><li>Choose <u>Clean up</u>.</li><li>Read the report.</li>"
    "</ol>\n<p>Thank you for <strong>all</strong> reports of the last weeks; keep them"
    ' coming, and see <a href="https://docs.example.com/reports">how to write one</a>.</p>\n'
)
PLAIN = "Meet Tom at 10, OK?!"


def build_candidates() -> dict[str, Callable[[str], object]]:
    """Return the candidates by name, all with the same allow-list."""
    policy = find_policy("default")
    attributes = {"*": set[str](), "a": {"href", "title"}}
    cleaner = nh3.Cleaner(
        tags=policy.tags,
        clean_content_tags=policy.dropped,
        attributes=attributes,
        link_rel=policy.rel,
        url_schemes=policy.schemes,
    )

    def clean(value: str) -> str:
        return nh3.clean(
            value,
            tags=policy.tags,
            clean_content_tags=policy.dropped,
            attributes=attributes,
            link_rel=policy.rel,
            url_schemes=policy.schemes,
        )

    return {"nh3.Cleaner, reused": cleaner.clean, "nh3.clean": clean, "stockade": sanitize_html}


def measure(
    candidates: dict[str, Callable[[str], object]], value: str, rounds: int
) -> dict[str, float]:
    """Return the median of each candidate's rounds, in microseconds a call."""
    calls = 20_000 if value is PLAIN else 1_000
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            timer = timeit.Timer(lambda candidate=candidate: candidate(value))
            seconds[name].append(timer.timeit(calls) / calls)
    return {name: statistics.median(each) * 1e6 for name, each in seconds.items()}


def main() -> None:
    """Print a table for each value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each candidate")
    rounds = parser.parse_args().rounds
    for title, value in (("rich text", RICH), ("plain text", PLAIN)):
        print(f"{title}, {len(value)} characters")
        medians = measure(build_candidates(), value, rounds)
        baseline = medians["nh3.Cleaner, reused"]
        for name, median in medians.items():
            print(f"  {name:20} {median:8.2f} us  {median / baseline:5.2f}x")


if __name__ == "__main__":
    main()
