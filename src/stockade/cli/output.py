"""Write to the terminal, or to whatever reads in its place."""

from __future__ import annotations

import sys

from rich.console import Console

PROGRAM = "stockade"


def make_console() -> Console:
    """Make the console of standard output; lines are never broken, so that they can be copied."""
    return Console(soft_wrap=True, highlight=False, emoji=False, markup=False)


def print_error(message: str) -> None:
    """Write each problem of a message as one line on standard error."""
    for line in message.splitlines() or [""]:
        print(f"{PROGRAM}: {line}", file=sys.stderr)  # noqa: T201 - the command line's own output
