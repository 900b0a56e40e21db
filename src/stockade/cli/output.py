"""Write to the terminal, or to whatever reads in its place."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

PROGRAM = "stockade"
# Wider than any table.
_PIPE_WIDTH = 10_000


class Form(StrEnum):
    """How an answer is written."""

    TEXT = "text"
    JSON = "json"


FormOption = Annotated[Form, typer.Option("--format", help="How it is written: text or json.")]


def make_console() -> Console:
    """Make the console of standard output; lines are never broken, so that they can be copied."""
    return Console(soft_wrap=True, highlight=False, emoji=False, markup=False)


def make_wide_console() -> Console:
    """Make the console of standard output for a table; in a pipe each row stays on one line."""
    console = make_console()
    if console.is_terminal:
        return console
    return Console(width=_PIPE_WIDTH, highlight=False, emoji=False, markup=False)


def print_error(message: str) -> None:
    """Write each problem of a message as one line on standard error."""
    for line in message.splitlines() or [""]:
        print(f"{PROGRAM}: {line}", file=sys.stderr)  # noqa: T201 - the command line's own output
