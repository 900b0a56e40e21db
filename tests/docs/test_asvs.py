"""The map of ASVS requirements names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "security" / "asvs.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| v")
]


def test_every_requirement_is_named_once() -> None:
    """Each row has the number of one requirement of version 5.0.0, and no two rows the same."""
    numbers = [row[0] for row in ROWS]

    assert numbers
    assert all(re.fullmatch(r"v5\.0\.0-\d{1,2}\.\d{1,2}\.\d{1,2}", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)


def test_every_row_is_shown_by_tests_that_exist() -> None:
    """Nothing is claimed without a test: the files of the last column are there."""
    named = {path for row in ROWS for path in re.findall(r"`([^`]+)`", row[2])}

    assert all("`tests/" in row[2] for row in ROWS)
    assert {path for path in named if not (ROOT / path).is_file()} == set()
