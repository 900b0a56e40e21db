"""Keep Stockade's own tables up to date: ``stockade db``."""

from __future__ import annotations

from typing import Annotated

import typer

from stockade.cli.loops import run
from stockade.cli.output import make_console
from stockade.errors import ConfigurationError

app = typer.Typer(name="db", help="Keep Stockade's own tables up to date.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep Stockade's own tables up to date."""


@app.command()
def upgrade(
    database_url: Annotated[
        str | None,
        typer.Argument(
            help="Database, such as sqlite:///notes.sqlite3; the one of the settings unless given."
            " A password is better kept in STOCKADE_DATABASE_URL than on the command line.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Create Stockade's tables, or bring them to the version of this release."""
    run(_upgrade(database_url or url_of_settings()))
    make_console().print("Stockade's tables are up to date.")


def url_of_settings() -> str:
    """Return the address of the database that the settings name.

    Raises:
        ConfigurationError: They name none.
    """
    from stockade.settings import Settings

    url = Settings().database_url
    if url is None:
        message = "no database: give its URL, or set STOCKADE_DATABASE_URL"
        raise ConfigurationError(message)
    return url.get_secret_value()


async def _upgrade(url: str) -> None:
    from stockade.storage.sql import check_schema, make_engine, upgrade_schema

    engine = make_engine(url)
    try:
        await upgrade_schema(engine)
        await check_schema(engine)
    finally:
        await engine.dispose()
