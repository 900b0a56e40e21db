"""Published attacks leave nothing behind that the policy does not allow.

The rows come from sanitizer and parser suites and from lists of attacks. They are not part of this
repository: ``STOCKADE_CORPORA`` names their folder, or they lie in ``../shared/corpora``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stockade.sanitization import SanitizationError, find_policy, sanitize_html
from tests.unit.sanitization.parsing import find_faults

REPOSITORY = Path(__file__).resolve().parents[3]
CORPORA = Path(os.environ.get("STOCKADE_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
PAYLOADS = CORPORA / "html" / "payloads.jsonl"

pytestmark = pytest.mark.skipif(
    not PAYLOADS.exists(), reason="the corpora are not here: set STOCKADE_CORPORA"
)


@pytest.fixture(scope="module")
def payloads() -> list[str]:
    """Return the texts of all rows."""
    # Not splitlines(): the texts hold line separators of their own.
    with PAYLOADS.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


@pytest.mark.parametrize("name", ["default", "comment", "article"])
def test_only_what_the_policy_allows_is_left(name: str, payloads: list[str]) -> None:
    """An independent parser finds only allowed elements, attributes and links, well formed."""
    policy = find_policy(name)
    faults = {}
    refused = 0
    for payload in payloads:
        try:
            cleaned = sanitize_html(payload, name)
        except SanitizationError:
            refused += 1
            continue
        if found := find_faults(cleaned, policy):
            faults[payload] = found
        assert sanitize_html(cleaned, name) == cleaned
    assert faults == {}
    # A sanitizer that refuses everything is safe and useless.
    assert refused <= len(payloads) // 1000
