"""Take from limits as each package does it, without what an endpoint costs beside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import limits
import limits.aio.storage
import limits.aio.strategies
import limits.storage
import slowapi
import slowapi.util
from fastapi import FastAPI, Request, Response
from redis.asyncio import Redis

from stockade.core import Exchange, SystemClock
from stockade.events import EventLog
from stockade.rate_limiting import RateLimiter, RateLimitingSettings, parse_rules
from stockade.storage import guarded_limit_store

ONE = "1000000/minute"
THREE = "1000000/minute; 2000000/hour; 3000000/day"
CLIENT = "192.0.2.7"

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """Something that takes from one or more limits.

    Args:
        name: Who does it, where, and from how many.
        work: Does it once.
        close: Ends it.
        blocks: Whether it waits for its store without letting the event loop go on.
    """

    name: str
    work: Work
    close: Callable[[], Awaitable[object]] | None = None
    blocks: bool = False


def make_exchange() -> Exchange:
    """Make what the gate hands to the limiter."""
    return Exchange(guard=None, request_id="r", client=CLIENT, scheme="http", body_limit=1)


def make_limiter(url: str) -> RateLimiter:
    """Make a limiter as an application has it, behind its failure policy."""
    log = EventLog([], clock=SystemClock())
    settings = RateLimitingSettings(timeout=5.0)
    store = guarded_limit_store(url, settings=settings, events=log)
    return RateLimiter(store, settings=settings, events=log)


def stockade_case(name: str, url: str, text: str) -> Case:
    """Ours: keys, limits and header fields of one request."""
    limiter = make_limiter(url)
    compiled = limiter.compile(parse_rules(text), route="GET /x")
    assert compiled is not None  # noqa: S101 - a rule was given
    scope = {"type": "http"}
    exchange = make_exchange()  # A request has one anyway.

    async def work() -> None:
        exchange.headers.clear()
        await limiter.check(compiled, exchange, scope)

    return Case(f"{name}: Stockade", work, limiter.close)


def limits_case(name: str, url: str, text: str) -> Case:
    """The limits package with asyncio: limits alone, no header fields."""
    options: dict[str, Any] = {} if url == "memory://" else {"implementation": "redispy"}
    storage = limits.storage.storage_from_string(f"async+{url}", **options)
    strategy = limits.aio.strategies.FixedWindowRateLimiter(storage)
    items = limits.parse_many(text)

    async def work() -> None:
        for item in items:
            await strategy.hit(item, "GET /x", CLIENT)

    return Case(f"{name}: limits.aio", work)


def make_request(app: FastAPI) -> Request:
    """Make a request of an application."""
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/x",
            "headers": [],
            "client": (CLIENT, 1),
            "app": app,
        }
    )


def slowapi_case(name: str, url: str, text: str) -> Case:
    """Slowapi's decorator around a function that does nothing; it blocks the event loop."""
    app = FastAPI()
    limiter = slowapi.Limiter(key_func=slowapi.util.get_remote_address, storage_uri=url)
    app.state.limiter = limiter

    async def endpoint(request: Request) -> Request:
        return request

    limited = limiter.limit(text)(endpoint)

    async def work() -> None:
        await limited(request=make_request(app))

    return Case(f"{name}: slowapi", work, blocks=True)


async def fastapi_limiter_case(name: str, url: str, text: str) -> Case | None:
    """The dependency of fastapi-limiter, once for each limit; None where it is not installed.

    Its versions from 0.2 on have no store in Redis, the earlier ones no other.
    """
    try:
        from fastapi_limiter import FastAPILimiter
        from fastapi_limiter.depends import RateLimiter as Dependency
    except ImportError:
        return None
    if not hasattr(FastAPILimiter, "init"):
        return None
    client = Redis.from_url(url)
    await FastAPILimiter.init(client)
    app = FastAPI()
    checks = [Dependency(times=each.amount, hours=1) for each in limits.parse_many(text)]

    async def work() -> None:
        request, response = make_request(app), Response()
        for check in checks:
            await check(request, response)

    return Case(f"{name}: fastapi-limiter", work, client.aclose)


async def in_a_thread(case: Case) -> None:
    """Do a blocking work elsewhere, so that a proxy in this event loop can go on."""
    await asyncio.to_thread(asyncio.run, _once(case))


async def _once(case: Case) -> None:
    await case.work()
