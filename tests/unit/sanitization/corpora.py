"""Read the strings that others made; they are no part of this repository.

The rows come from sanitizer and parser suites, from lists of attacks, and from ordinary text.
``STOCKADE_CORPORA`` names their folder, or they lie in ``../shared/corpora``.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from stockade.sanitization import HTMLPolicy, policies

REPOSITORY: Final = Path(__file__).resolve().parents[3]
CORPORA: Final = Path(os.environ.get("STOCKADE_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
# Each file with the key of its strings.
FILES: Final = {
    "html/payloads.jsonl": "text",
    "html/expect_ammonia_default.jsonl": "input",
    "html/expect_closure.jsonl": "input",
    "html/expect_dompurify.jsonl": "input",
    "detection/public.jsonl": "text",
}

POLICIES: Final = {
    each.name: each for each in vars(policies).values() if isinstance(each, HTMLPolicy)
}
"""The policies that come with the package, by name."""

needs_corpora = pytest.mark.skipif(
    not all((CORPORA / name).exists() for name in FILES),
    reason="the corpora are not here: set STOCKADE_CORPORA",
)


@cache
def read_rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    # Not splitlines(): the texts hold line separators of their own.
    with (CORPORA / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def read_strings() -> tuple[str, ...]:
    """Return every string that concerns HTML, each once."""
    found = (row[key] for name, key in FILES.items() for row in read_rows(name))
    return tuple(dict.fromkeys(found))
