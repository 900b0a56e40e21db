"""Show and lift bans: ``stockade bans``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.limits import open_limit_store
from stockade.cli.loops import run
from stockade.cli.output import make_console
from stockade.core.printing import printable
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.rate_limiting.bans import Ban, BanStore

app = typer.Typer(name="bans", help="Show who is banned, and lift bans.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Show who is banned, and lift bans."""


@app.command(name="list")
def list_bans() -> None:
    """Show the bans that have not ended: who, the seconds that are left, and how often in a row."""
    console = make_console()
    found = run(_list())
    for ban in sorted(found, key=lambda each: each.subject):
        console.print(f"{printable(ban.subject)}\t{ceil(ban.seconds)}\t{ban.times}")
    if not found:
        console.print("Nobody is banned.")


@app.command()
def lift(
    subject: Annotated[
        str, typer.Argument(help="Who, as `stockade bans list` shows it, such as ip:192.0.2.7.")
    ],
) -> None:
    """End a ban, and forget the earlier ones; processes that serve notice within seconds."""
    if not run(_lift(subject)):
        # What was typed is not repeated: it may be an e-mail address.
        message = "nobody of that name is banned: see `stockade bans list`"
        raise ConfigurationError(message)
    make_console().print("The ban is lifted.")


async def _list() -> list[Ban]:
    async with _opened() as store:
        return await store.list_bans()


async def _lift(subject: str) -> bool:
    async with _opened() as store:
        return await store.lift_ban(subject)


@asynccontextmanager
async def _opened() -> AsyncIterator[BanStore]:
    from stockade.rate_limiting.bans import BanStore

    async with open_limit_store() as store:
        if not isinstance(store, BanStore):
            message = (
                "limits are counted in memory, and so are bans: each process has its own, and a"
                " restart lifts them"
            )
            raise ConfigurationError(message)
        yield store
