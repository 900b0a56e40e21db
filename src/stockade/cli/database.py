"""Keep Stockade's own tables up to date, and write policies for others: ``stockade db``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stockade.cli.check import find_stockade
from stockade.cli.loops import run
from stockade.cli.output import make_console
from stockade.cli.targets import load_target
from stockade.errors import ConfigurationError

app = typer.Typer(
    name="db",
    help="Keep Stockade's own tables up to date, and write policies for yours.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keep Stockade's own tables up to date, and write policies for yours."""


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
    run(_upgrade(database_url or _url_of_settings()))
    make_console().print("Stockade's tables are up to date.")


@app.command()
def rls(
    target: Annotated[
        str, typer.Argument(help="module:app, module:factory() or the path of a file.")
    ],
    migrations: Annotated[
        Path | None,
        typer.Option(
            help="Alembic's folder, with env.py: the migration is written into its versions, behind"
            " its newest. Printed unless given.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            help="Role of the tenants' transactions, made unless it is there; that of the settings"
            " unless given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the Alembic migration that puts row-level security of PostgreSQL in force."""
    from stockade.storage.sql.row_security import find_head, write_file
    from stockade.tenancy.migration import write_migration

    stockade = find_stockade(load_target(target), target)
    plan = stockade.isolation_plan()
    chosen = role or stockade.settings.tenancy.role
    if migrations is None:
        typer.echo(write_migration(plan.tables, role=chosen), nl=False)
        return
    written = write_file(
        migrations, write_migration(plan.tables, parent=find_head(migrations), role=chosen)
    )
    make_console().print(f"Written: {written}")


def _url_of_settings() -> str:
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
