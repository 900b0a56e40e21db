"""Show how full the buckets of the limits are: ``stockade limits``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.loops import run
from stockade.cli.output import make_console
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.rate_limiting import LimitStore
    from stockade.rate_limiting.observation import Bucket

# Nobody waits for the answer of a command as a request does.
_TIMEOUT = 5.0


def limits(
    top: Annotated[
        int, typer.Option("--top", min=1, max=10_000, help="Buckets to show at most.")
    ] = 20,
) -> None:
    """Show the buckets that are used up most: how much, seconds until full, and whose they are."""
    console = make_console()
    found = run(_list(top))
    for bucket in found:
        console.print(f"{bucket.used:.0%}\t{ceil(bucket.seconds)}\t{bucket.key}")
    if not found:
        console.print("All buckets are full.")


async def _list(most: int) -> list[Bucket]:
    from stockade.rate_limiting.observation import ObservableStore

    async with open_limit_store() as store:
        if not isinstance(store, ObservableStore):
            message = "limits are counted in memory: each process has its own, which can't be seen"
            raise ConfigurationError(message)
        return await store.list_buckets(most=most)


@asynccontextmanager
async def open_limit_store() -> AsyncIterator[LimitStore]:
    """Open the store of the limits that the settings name.

    Raises:
        ConfigurationError: The settings name none, or can't be read.
    """
    from stockade.settings import Settings
    from stockade.storage.limits import limit_store, limit_store_url

    settings = Settings()
    redis, database = (
        None if secret is None else secret.get_secret_value()
        for secret in (settings.redis_url, settings.database_url)
    )
    url = limit_store_url(settings.rate_limiting.store, redis=redis, database=database)
    store = limit_store(url, timeout=_TIMEOUT)
    try:
        yield store
    finally:
        await store.close()
