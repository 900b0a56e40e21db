"""Call the command line as a shell does, within this process."""

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from stockade.cli import main


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str


class CommandLine:
    """The command line, with what it writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        """Run one command."""
        self._monkeypatch.setattr(sys, "argv", ["stockade", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Ran(code or 0, out, err)


def write_module(folder: Path, source: str) -> str:
    """Write a module under a name that no other test has, and return the name."""
    name = f"module_{secrets.token_hex(6)}"
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return name
