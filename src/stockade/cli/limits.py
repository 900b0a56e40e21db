"""Show how full the buckets of the limits are: ``stockade limits``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.loops import run
from stockade.cli.output import Form, FormOption, make_console
from stockade.core.printing import printable
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.rate_limiting import LimitStore
    from stockade.rate_limiting.observation import Bucket
    from stockade.rate_limiting.refusals import Outcome, Refused, Span

# Nobody waits for the answer of a command as a request does.
_TIMEOUT = 5.0


def limits(
    top: Annotated[
        int, typer.Option("--top", min=1, max=10_000, help="Buckets to show at most.")
    ] = 20,
    form: FormOption = Form.TEXT,
) -> None:
    """Show the buckets that are used up most, and whose were used up most often."""
    found = run(_look(top))
    if form is Form.JSON:
        make_console().out(json.dumps(_describe(found), indent=2), highlight=False)
    else:
        _print(found)


@dataclass(frozen=True, slots=True)
class _Found:
    buckets: list[Bucket]
    refused: dict[tuple[Outcome, Span], Refused]


async def _look(most: int) -> _Found:
    from stockade.rate_limiting.observation import ObservableStore
    from stockade.rate_limiting.refusals import SPANS, Outcome, RefusalKeeper

    async with open_limit_store() as store:
        if not isinstance(store, ObservableStore) or not isinstance(store, RefusalKeeper):
            message = "limits are counted in memory: each process has its own, which can't be seen"
            raise ConfigurationError(message)
        return _Found(
            await store.list_buckets(most=most),
            {
                (outcome, span): await store.refusals.read_refusals(outcome, span, most=most)
                for outcome in Outcome
                for span in SPANS
            },
        )


def _describe(found: _Found) -> dict[str, object]:
    described: dict[str, object] = {
        "buckets": [
            {"key": each.key, "used": round(each.used, 4), "seconds": ceil(each.seconds)}
            for each in found.buckets
        ]
    }
    for (outcome, span), refused in found.refused.items():
        described[f"{outcome}_last_{span.name}"] = {
            "requests": refused.requests,
            "keys": [{"key": key, "times": times} for key, times in refused.keys],
        }
    return described


def _print(found: _Found) -> None:
    console = make_console()
    for bucket in found.buckets:
        console.print(f"{bucket.used:.0%}\t{ceil(bucket.seconds)}\t{printable(bucket.key)}")
    if not found.buckets:
        console.print("All buckets are full.")
    for (outcome, span), refused in found.refused.items():
        if not refused.requests:
            continue
        verb = "refused" if outcome == "refused" else "that would have been refused"
        console.print(f"\nRequests {verb} in the last {span.name}: {refused.requests}")
        for key, times in refused.keys:
            console.print(f"{times}\t{printable(key)}")


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
