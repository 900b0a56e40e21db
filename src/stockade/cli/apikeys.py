"""Make, show, rotate and end the keys of programs: ``stockade apikeys``."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from stockade.cli.loops import run
from stockade.cli.output import Form, FormOption, make_console, make_wide_console
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authentication.api_clients import IssuedKey, NewClient
    from stockade.authentication.models import APIClient
    from stockade.authentication.operators import Operator
    from stockade.settings import Settings
    from stockade.storage.sql.api_clients import SQLAPIClientStore

app = typer.Typer(
    name="apikeys", help="Make, show, rotate and end the keys of programs.", no_args_is_help=True
)

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_CLIENT: Final = re.compile(r"stkc_[0-9a-f]{24}", re.ASCII)
_COLUMNS: Final = (
    "CLIENT",
    "NAME",
    "TENANT",
    "ACCOUNT",
    "ROLES",
    "SCOPES",
    "LIMIT",
    "STATE",
    "EXPIRES",
    "LAST USED",
)


_Client = Annotated[str, typer.Argument(help="The program, such as stkc_8f0c...")]
_Tenant = Annotated[str | None, typer.Option(help="Identifier of the tenant.", show_default=False)]


@dataclass(frozen=True)
class _Opened:
    """The database of the settings."""

    settings: Settings
    store: SQLAPIClientStore
    operator: Operator


@app.callback()
def _group() -> None:
    """Make, show, rotate and end the keys of programs."""


@app.command()
def create(  # noqa: PLR0917 - Typer passes every parameter by its name
    name: Annotated[str, typer.Argument(help="What people call the program.")],
    tenant: _Tenant = None,
    owner: Annotated[
        str | None,
        typer.Option(
            help="E-mail address of the account that it acts for; without one it is a service of"
            " the tenant.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role; once for each.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A permission; once for each.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=6_000_000,
            help="Requests in a minute, over all routes together, in the place of the default"
            " limits.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days that it holds.")] = 90,
    form: FormOption = Form.TEXT,
) -> None:
    """Make a program with a key, which is shown this once."""
    from stockade.authentication.api_clients import NewClient

    if not _NAME.fullmatch(name):
        raise ConfigurationError("a name has 1 to 100 characters and no control characters")
    wanted = NewClient(
        name=name,
        scopes=frozenset(scope or ()),
        roles=frozenset(role or ()),
        lifetime=timedelta(days=days),
        of_tenant=owner is None,
        requests_per_minute=limit,
    )
    _show_key(run(_create(wanted, tenant, owner)), form)


@app.command(name="list")
def list_clients(tenant: _Tenant = None, form: FormOption = Form.TEXT) -> None:
    """Show the programs of a tenant, or all of them; never a key."""
    clients = run(_list(tenant))
    if form is Form.JSON:
        described = [describe(client) for client in clients]
        make_console().out(json.dumps(described, indent=2), highlight=False)
        return
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for client in clients:
        table.add_row(*(Text(cell) for cell in _cells(client)))
    make_wide_console().print(table)


@app.command()
def rotate(client_id: _Client, form: FormOption = Form.TEXT) -> None:
    """Make a new key; the one before goes on for the overlap of the settings."""
    _show_key(run(_rotate(_check(client_id))), form)


@app.command()
def revoke(client_id: _Client) -> None:
    """End a program, and all of its keys."""
    ended = run(_revoke(_check(client_id)))
    make_console().print("The program has ended." if ended else "The program had ended already.")


def _check(client_id: str) -> str:
    if not _CLIENT.fullmatch(client_id):
        raise ConfigurationError("a program is named by stkc_ and 24 hexadecimal digits")
    return client_id


@asynccontextmanager
async def _open() -> AsyncIterator[_Opened]:
    from stockade.authentication.api_keys import APIKeys
    from stockade.authentication.operators import Operator
    from stockade.core.clock import SystemClock
    from stockade.crypto import KeyRing
    from stockade.settings import Settings
    from stockade.storage.sql import SQLAccountStore, check_schema, make_engine
    from stockade.storage.sql.api_clients import SQLAPIClientStore

    settings = Settings()
    if settings.database_url is None:
        raise ConfigurationError("no database: set STOCKADE_DATABASE_URL")
    if not settings.secret_keys:
        # A key by other secrets would be made, and never hold.
        message = "no secret keys: set STOCKADE_SECRET_KEYS as the application has them"
        raise ConfigurationError(message)
    engine = make_engine(settings.database_url.get_secret_value())
    try:
        await check_schema(engine)
        store = SQLAPIClientStore(engine)
        secrets = [secret.get_secret_value() for secret in settings.secret_keys]
        operator = Operator(
            store,
            SQLAccountStore(engine),
            keys=APIKeys(KeyRing(secrets)),
            clock=SystemClock(),
            roles=settings.authorization.roles,
        )
        yield _Opened(settings, store, operator)
    finally:
        await engine.dispose()


async def _create(wanted: NewClient, tenant: str | None, owner: str | None) -> IssuedKey:
    from stockade.core.identity import TenantId

    async with _open() as opened:
        tenant_id = None if tenant is None else TenantId(tenant)
        if tenant_id is not None and not await opened.store.has_tenant(tenant_id):
            raise ConfigurationError("there is no such tenant")
        return await opened.operator.create(wanted, tenant_id=tenant_id, owner=owner)


async def _list(tenant: str | None) -> list[APIClient]:
    from stockade.core.identity import TenantId

    async with _open() as opened:
        return await opened.store.list_all(None if tenant is None else TenantId(tenant))


async def _rotate(client_id: str) -> IssuedKey:
    async with _open() as opened:
        overlap = opened.settings.authentication.api_key_overlap
        return await opened.operator.rotate(client_id, overlap=overlap)


async def _revoke(client_id: str) -> bool:
    async with _open() as opened:
        return await opened.operator.revoke(client_id)


def _show_key(issued: IssuedKey, form: Form) -> None:
    console = make_console()
    if form is Form.JSON:
        shown = {**describe(issued.client), "api_key": issued.key}
        console.out(json.dumps(shown, indent=2), highlight=False)
        return
    console.out(f"X-CLIENT-ID: {issued.client.client_id}", highlight=False)
    console.out(f"X-API-KEY: {issued.key}", highlight=False)


def describe(client: APIClient) -> dict[str, Any]:
    """Return what is shown of a program, for JSON."""
    return {
        "client_id": client.client_id,
        "name": client.name,
        "tenant_id": client.tenant_id,
        "user_id": client.user_id,
        "roles": sorted(client.roles),
        "scopes": sorted(client.scopes),
        "created_at": client.created_at.isoformat(),
        "created_by": client.created_by,
        "expires_at": _moment(client.expires_at),
        "revoked_at": _moment(client.revoked_at),
        "last_used_at": _moment(client.last_used_at),
        "requests_per_minute": client.requests_per_minute,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _cells(client: APIClient) -> tuple[str, ...]:
    # A name may hold characters that turn the direction of a line on a terminal.
    name = "".join(each if each.isprintable() else "?" for each in client.name)
    return (
        client.client_id,
        name,
        client.tenant_id or "-",
        client.user_id or "-",
        " ".join(sorted(client.roles)) or "-",
        " ".join(sorted(client.scopes)) or "-",
        "-" if client.requests_per_minute is None else f"{client.requests_per_minute}/minute",
        _state(client),
        _day(client.expires_at),
        _day(client.last_used_at),
    )


def _state(client: APIClient) -> str:
    from stockade.core.clock import SystemClock

    if client.revoked_at is not None:
        return "revoked"
    over = client.expires_at is not None and SystemClock().now() >= client.expires_at
    return "expired" if over else "holds"


def _day(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d}"
