"""Write the migration for row-level security: ``stockade db rls``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stockade.cli.check import find_stockade
from stockade.cli.output import make_console
from stockade.cli.targets import load_target


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
