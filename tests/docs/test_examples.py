"""Every Python example of the documentation runs as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.examples import BLOCK, examples

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TIMEOUT = 60
"""Seconds for one page, on a busy machine."""


def with_examples() -> list[Path]:
    """Return the pages that have an example to run."""
    return [page for page in PAGES if next(examples(page), None) is not None]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", with_examples(), ids=_name)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    """The examples of a page run one after the other, in the environment ``test``."""
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.examples", str(page)],
        cwd=tmp_path,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
            "STOCKADE_ENVIRONMENT": "test",
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_an_example_that_is_not_run_says_why(page: Path) -> None:
    """A mark that keeps an example from being run carries a reason and stands right before it."""
    text = page.read_text(encoding="utf-8")
    reasons = [found["reason"] for found in BLOCK.finditer(text) if found["mark"] is not None]

    assert text.count("<!-- not run") == len(reasons)
    assert all(len(reason.split()) > 1 for reason in reasons)


def test_the_first_page_has_an_example() -> None:
    """The search finds examples, also on the page that everybody reads first."""
    assert PAGES[0] in with_examples()
