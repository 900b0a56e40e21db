"""Print the newest supported Python on this machine that is newer than the one that runs this.

It looks for ``python3.14`` and its like where commands are, and where pyenv keeps its versions. It
prints nothing where there is none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_NEWEST: Final = (3, 14)
_ASK: Final = "import sys, venv; print(*sys.version_info[:2])"


def find() -> str | None:
    """Return the path or name of the interpreter; None where there is none."""
    for minor in range(_NEWEST[1], sys.version_info.minor, -1):
        for candidate in _candidates(minor):
            if _answers(candidate, minor):
                return candidate
    return None


def _candidates(minor: int) -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = sorted(root.glob(f"versions/3.{minor}.*/bin/python3"), reverse=True)
    return [f"python3.{minor}", *map(str, kept)]


def _answers(candidate: str, minor: int) -> bool:
    # A shim may be there without the interpreter it stands for.
    try:
        asked = subprocess.run(
            [candidate, "-c", _ASK], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return False
    return asked.returncode == 0 and asked.stdout.split() == ["3", str(minor)]


if __name__ == "__main__":
    found = find()
    if found is not None:
        print(found)
