"""The page of the events knows every level and every reason code of the sources."""

import logging
import re
from pathlib import Path

import pytest

from stockade.events import EVENTS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
_REASON = re.compile(r'reason="([a-z_]+\.[a-z_]+)"')
_GRANTS = frozenset({"api_docs.granted", "authorization.granted", "gate.middleware", "gate.public"})
"""Reasons of decisions that let a request pass, which are no events."""


def reasons() -> set[str]:
    """Return every reason code that the sources write down."""
    files = (ROOT / "src" / "stockade").rglob("*.py")
    found = {reason for file in files for reason in _REASON.findall(file.read_text("utf-8"))}
    return found - _GRANTS


@pytest.mark.parametrize("name", EVENTS)
def test_the_level_is_that_of_the_catalogue(name: str) -> None:
    """Each row says at which level its event is logged."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))

    assert row.split("|")[2].strip() == logging.getLevelName(EVENTS[name].level)


def test_every_reason_code_is_on_the_page() -> None:
    """A reason code that somebody finds in a log can be looked up."""
    assert {reason for reason in reasons() if f"`{reason}`" not in PAGE} == set()
