"""Give tests the command line."""

import sys
from pathlib import Path

import pytest

from tests.unit.cli.helpers import CommandLine


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> CommandLine:
    """The command line, in an empty folder and a local environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("STOCKADE_ENVIRONMENT", "local")
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DOCS_USERNAME", "DOCS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    # A pipe, whatever the terminal of whoever runs the tests is.
    monkeypatch.setenv("TERM", "dumb")
    return CommandLine(monkeypatch, capsys)
