"""Measure what sanitizing costs: ours beside nh3, which it is built on, and what others use.

1 KB of rich text as an editor writes it, 20 characters of plain text, 100 KB of rich text, and
hostile nesting, which ours refuses. All candidates have the same allow-list and take turns in one
run, so that a busy machine slows all of them; read the ratios.

    uv pip install --group benchmarks
    PYTHONPATH=src:. python benchmarks/sanitization.py --with-node

A candidate that is not installed is named and left out. ``--with-node`` installs DOMPurify and
jsdom into a temporary folder with npm.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import nh3

from benchmarks.turns import Turn, print_table, ratio_of, run_turns, turn_of
from stockade.sanitization import SanitizationError, find_policy, sanitize_html

Sanitizer = Callable[[str], object]

POLICY: Final = find_policy("default")
RICH: Final = (
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
HOSTILE: Final = "<div>" * 2_000 + "a"
VALUES: Final = {
    "rich text": RICH,
    "plain text": "Meet Tom at 10, OK?!",
    "large rich text": RICH * (100_000 // len(RICH)),
    "hostile nesting": HOSTILE,
}
ATTACK: Final = (
    "<p onclick=run()>a<script>run()</script><a href='javascript:run()'>b</a>"
    "<img src=x onerror=run()></p>"
)
DANGEROUS: Final = re.compile(r"<script|<img|onclick=|href=.javascript", re.IGNORECASE)

# jsdom 27 and later need a newer Node than distributions have.
NODE_PACKAGES: Final = ("dompurify@3.4.18", "jsdom@26.1.0")
NODE: Final = """
const { JSDOM } = require("jsdom");
const purify = require("dompurify")(new JSDOM("").window);
const { options, values } = JSON.parse(process.argv[2]);
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, calls] = JSON.parse(line);
  let result;
  const started = process.hrtime.bigint();
  for (let call = 0; call < calls; call++) result = purify.sanitize(values[name], options);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(JSON.stringify([seconds, name === "attack" ? result : null]));
});
"""


def build_sanitizers() -> dict[str, Sanitizer]:
    """Return the candidates of Python by name, all with the same allow-list."""
    attributes = {"*": set[str](), "a": {"href", "title"}}
    cleaner = nh3.Cleaner(
        tags=POLICY.tags,
        clean_content_tags=POLICY.dropped,
        attributes=attributes,
        link_rel=POLICY.rel,
        url_schemes=POLICY.schemes,
    )
    clean = partial(
        nh3.clean,
        tags=POLICY.tags,
        clean_content_tags=POLICY.dropped,
        attributes=attributes,
        link_rel=POLICY.rel,
        url_schemes=POLICY.schemes,
    )
    found: dict[str, Sanitizer] = {
        "nh3.Cleaner, reused": cleaner.clean,
        "nh3.clean": clean,
        "stockade": sanitize_html,
    }
    for name, build in (("lxml_html_clean", build_lxml), ("bleach", build_bleach)):
        try:
            found[name] = build()
        except ImportError:
            print(f"{name}: not installed (uv pip install --group benchmarks)")
    return found


def build_bleach() -> Sanitizer:
    import bleach  # type: ignore[import-untyped] # It ships no types.

    cleaner = bleach.Cleaner(
        tags=POLICY.tags,
        attributes={"a": ["href", "title"]},
        protocols=POLICY.schemes,
        strip=True,
    )

    def clean(value: str) -> str:
        return str(cleaner.clean(value))

    return clean


def build_lxml() -> Sanitizer:
    from lxml_html_clean import Cleaner

    cleaner = Cleaner(
        allow_tags=[*POLICY.tags, "div"],  # It wraps what it returns.
        kill_tags=POLICY.dropped,
        safe_attrs_only=True,
        safe_attrs={"href", "title"},
        remove_unknown_tags=False,
        add_nofollow=True,
    )

    def clean(value: str) -> str:
        return str(cleaner.clean_html(value))

    return clean


@contextmanager
def run_node() -> Iterator[Callable[[str, int], tuple[float, str | None]] | None]:
    """Start DOMPurify in Node, and yield what has it make calls, or None where it can't be had."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        print("DOMPurify: needs node and npm")
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        install = [npm, "install", *quiet, "--prefix", folder, *NODE_PACKAGES]
        if subprocess.run(install, check=False, stdout=subprocess.DEVNULL).returncode:
            print("DOMPurify: npm could not install it")
            yield None
            return
        options = {"ALLOWED_TAGS": sorted(POLICY.tags), "ALLOWED_ATTR": ["href", "title"]}
        asked = json.dumps({"options": options, "values": {**VALUES, "attack": ATTACK}})
        script = Path(folder) / "measure.js"
        script.write_text(NODE, encoding="utf-8")
        with subprocess.Popen(
            [node, str(script), asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            sent, answers = process.stdin, process.stdout
            if sent is None or answers is None:
                raise RuntimeError("no pipes to node")

            def call(name: str, calls: int) -> tuple[float, str | None]:
                sent.write(json.dumps([name, calls]) + "\n")
                sent.flush()
                seconds, result = json.loads(answers.readline())
                return seconds, result

            try:
                yield call
            finally:
                sent.close()


def check(name: str, result: object) -> None:
    """Make sure that a candidate does what it is measured for.

    Raises:
        RuntimeError: It lets script through.
    """
    if not isinstance(result, str) or "a" not in result or DANGEROUS.search(result):
        raise RuntimeError(f"{name} does not sanitize: {result!r}")


def try_once(sanitizer: Sanitizer, value: str) -> str:
    """Return how a candidate fails on a value, or nothing where it does not."""
    try:
        sanitizer(value)
    except SanitizationError:
        return "refuses it"
    except RecursionError:
        return "fails, RecursionError"
    return ""


def refusing(sanitizer: Sanitizer, value: str) -> None:
    with suppress(SanitizationError, RecursionError):
        sanitizer(value)


def main() -> None:
    """Print a table for each value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="turns of each candidate")
    parser.add_argument("--with-node", action="store_true", help="measure DOMPurify, too")
    options = parser.parse_args()
    sanitizers = build_sanitizers()
    for name, sanitizer in sanitizers.items():
        check(name, sanitizer(ATTACK))
    if not options.with_node:
        measure(sanitizers, None, options.rounds)
        return
    with run_node() as node:
        if node is not None:
            check("DOMPurify", node("attack", 1)[1])
        measure(sanitizers, node, options.rounds)


def measure(
    sanitizers: dict[str, Sanitizer],
    node: Callable[[str, int], tuple[float, str | None]] | None,
    rounds: int,
) -> None:
    """Let all candidates take turns with each value."""
    for title, value in VALUES.items():
        turns: dict[str, Turn] = {}
        for name, sanitizer in sanitizers.items():
            note = try_once(sanitizer, value)
            # A handler costs a little, so that only what needs one gets one.
            call = partial(refusing, sanitizer, value) if note else partial(sanitizer, value)
            turns[f"{name} ({note})" if note else name] = turn_of(call)
        if node is not None:

            def turn(calls: int, title: str = title) -> float:
                return node(title, calls)[0]

            turns["DOMPurify in jsdom"] = turn
        few = rounds if len(value) < 10_000 else max(3, rounds // 10)
        found = run_turns(turns, rounds=few)
        print_table(f"{title}, {len(value):,} characters", found, width=42)
        ours = next(each for each in found if each.name.startswith("stockade"))
        if value is RICH:
            print(
                f"budget: at most 1.10x of a reused nh3.Cleaner; is {ratio_of(ours, found[0]):.2f}x"
            )
        elif len(value) < 100:
            print(f"budget: at most 0.50 us; is {min(ours.times):.2f} us")


if __name__ == "__main__":
    main()
