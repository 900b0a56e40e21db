"""Find the vectors of others; they are no part of this repository."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stockade.authentication.algorithms import Algorithm

CORPORA = Path(
    os.environ.get("STOCKADE_CORPORA", Path(__file__).resolve().parents[4] / "shared" / "corpora")
)


ALL_ALGORITHMS = frozenset(Algorithm)


def read_text(name: str) -> str:
    """Read a file of vectors, or skip the test."""
    path = CORPORA / "jose" / name
    if not path.exists():
        pytest.skip(f"the corpora of others' vectors are not here (STOCKADE_CORPORA): {name}")
    return path.read_text(encoding="utf-8")


def read_vectors(name: str) -> dict[str, Any]:
    """Read a file of vectors as JSON, or skip the test."""
    found: dict[str, Any] = json.loads(read_text(name))
    return found
