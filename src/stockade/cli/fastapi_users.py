"""Take over the accounts of fastapi-users: ``stockade db import-fastapi-users``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stockade.cli.database import url_of_settings
from stockade.cli.loops import run
from stockade.cli.output import make_console
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.settings import Settings
    from stockade.storage.sql.fastapi_users import AccountImport


def import_fastapi_users(  # noqa: PLR0917 - a command's options
    source: Annotated[
        str | None,
        typer.Argument(
            help="Database of fastapi-users; the one of the settings unless given.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[str, typer.Option(help="Table that fastapi-users keeps its users in.")] = (
        "user"
    ),
    tenant: Annotated[
        str | None,
        typer.Option(
            help="Name of a tenant that all of them join; made if it is not there.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[str, typer.Option(help="Their role in it.")] = "member",
    super_admins: Annotated[
        bool, typer.Option("--super-admins", help="Make super admins of superusers.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
) -> None:
    """Make an account of each user of fastapi-users; passwords go on."""
    from stockade.settings import Settings

    settings = Settings()
    if tenant is not None and role not in settings.authorization.roles:
        known = ", ".join(sorted(settings.authorization.roles))
        message = f"no role is called so: --role takes one of {known}"
        raise ConfigurationError(message)
    done = run(
        _take_over(
            source,
            settings,
            users=table,
            tenant=tenant,
            role=role,
            super_admins=super_admins,
            keep=not dry_run,
        )
    )
    _tell(done, kept=not dry_run)


async def _take_over(source: str | None, settings: Settings, **options: Any) -> AccountImport:  # noqa: ANN401 - those of the function below
    from stockade.authentication.hashers import choose_hasher
    from stockade.storage.sql import check_schema, make_engine
    from stockade.storage.sql.fastapi_users import import_fastapi_users as take_over

    target = make_engine(url_of_settings())
    origin = make_engine(source) if source else target
    try:
        await check_schema(target)
        reads = choose_hasher(settings.authentication).reads
        return await take_over(origin, target, reads=reads, **options)
    finally:
        await origin.dispose()
        await target.dispose()


def _tell(done: AccountImport, *, kept: bool) -> None:
    console = make_console()
    one = done.imported == 1
    verb = ("was" if one else "were") if kept else "would be"
    noun = "account" if one else "accounts"
    console.print(f"{done.imported} {noun} {verb} made, {done.present} are there already.")
    if done.superusers:
        console.print(f"{done.superusers} of them are superusers.")
    if done.without_password:
        console.print(
            f"{done.without_password} have a password hash that can't be read: they choose a new"
            " password by mail."
        )
    for refused in done.refused:
        console.print(f"{refused.user_id}: {refused.problem}")
    if done.refused:
        raise typer.Exit(1)
