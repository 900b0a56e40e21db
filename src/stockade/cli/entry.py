"""Put the commands together, and end each failure in one line instead of a traceback."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import stockade
from stockade.cli import (
    apikeys,
    bans,
    check,
    database,
    demo,
    explain,
    fastapi_users,
    keys,
    limits,
    reseal,
    row_security,
    users,
)
from stockade.cli.output import PROGRAM, make_console, print_error
from stockade.errors import ConfigurationError, StoreError

EXIT_COULD_NOT_RUN = 2

app = typer.Typer(
    name=PROGRAM,
    help="Defence in depth for FastAPI backends.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(name="check")(check.check)
app.command(name="demo")(demo.demo)
app.command(name="limits")(limits.limits)
app.add_typer(bans.app, name="bans")
app.command(name="explain")(explain.explain)
app.add_typer(apikeys.app, name="apikeys")
app.add_typer(database.app, name="db")
keys.app.command(name="reseal")(reseal.reseal)
database.app.command(name="import-fastapi-users")(fastapi_users.import_fastapi_users)
database.app.command(name="rls")(row_security.rls)
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")


def _print_version(wanted: bool) -> None:
    if wanted:
        make_console().print(f"{PROGRAM} {stockade.__version__}")
        raise typer.Exit


@app.callback()
def _read_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Defence in depth for FastAPI backends."""


def main() -> None:
    """Run the command line.

    The exit status is 0, or 2 with one line for each problem where a command could not run.
    """
    try:
        app(prog_name=PROGRAM)
    except (ConfigurationError, StoreError) as error:
        print_error(str(error))
        sys.exit(EXIT_COULD_NOT_RUN)
