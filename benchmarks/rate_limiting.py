"""Measure what one request pays for its limits, beside slowapi and limits, in memory and in Redis.

Run it from the repository: ``PYTHONPATH=src:. python benchmarks/rate_limiting.py [--rounds N]``.
Each figure is the median of several rounds that take turns, in microseconds for one request; for
Redis the processor time of this process as well, since the rest is waiting. Every limit is so high
that nothing is refused, and each run checks that a low one does refuse. Round trips are counted by
a proxy in between. At last the proxy spoils what passes, and an endpoint without limits is timed
beside 16 clients of one with them.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import limits
import limits.aio.storage
import limits.aio.strategies
import limits.storage
import slowapi
import slowapi.util
from fastapi import FastAPI, Request
from pydantic import SecretStr

from stockade import Settings, Stockade, public, rate_limit, unlimited
from stockade.core import Exchange, SystemClock
from stockade.errors import RateLimitedError
from stockade.events import EventLog
from stockade.rate_limiting import RateLimiter, RateLimitingSettings, parse_rules
from stockade.settings import Environment
from stockade.storage import limit_store
from stockade.storage.sql import make_engine, upgrade_schema
from tests.servers import run_postgres, run_redis, run_redis_cluster
from tests.servers.proxy import Fault, Proxy

ONE = "1000000/minute"
THREE = "1000000/minute; 2000000/hour; 3000000/day"
CLIENTS = 64

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """Something that takes from one or more limits."""

    name: str
    work: Work
    close: Callable[[], Awaitable[object]] | None = None


def make_exchange() -> Exchange:
    return Exchange(guard=None, request_id="r", client="192.0.2.7", scheme="http", body_limit=1)


def make_limiter(url: str) -> RateLimiter:
    log = EventLog([], clock=SystemClock())
    return RateLimiter(limit_store(url, timeout=5.0), settings=RateLimitingSettings(), events=log)


def stockade_case(name: str, url: str, text: str) -> Case:
    limiter = make_limiter(url)
    compiled = limiter.compile(parse_rules(text), route="GET /x")
    assert compiled is not None  # noqa: S101 - a rule was given
    scope = {"type": "http"}
    exchange = make_exchange()  # A request has one anyway.

    async def work() -> None:
        exchange.headers.clear()
        await limiter.check(compiled, exchange, scope)

    return Case(name, work, limiter.store.close)


def limits_case(name: str, url: str, text: str) -> Case:
    options: dict[str, Any] = {} if url == "memory://" else {"implementation": "redispy"}
    storage = limits.storage.storage_from_string(f"async+{url}", **options)
    strategy = limits.aio.strategies.FixedWindowRateLimiter(storage)
    items = limits.parse_many(text)

    async def work() -> None:
        for item in items:
            await strategy.hit(item, "GET /x", "192.0.2.7")

    return Case(name, work)


def endpoint_case(name: str, url: str, text: str | None) -> Case:
    app = FastAPI()
    limiter = slowapi.Limiter(key_func=slowapi.util.get_remote_address, storage_uri=url)
    app.state.limiter = limiter

    async def endpoint(request: Request) -> dict[str, str]:
        return {"path": request.url.path}

    app.get("/x")(endpoint if text is None else limiter.limit(text)(endpoint))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/x",
        "raw_path": b"/x",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("192.0.2.7", 1),
        "server": ("localhost", 80),
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"status {message['status']}")

    async def work() -> None:
        await app(dict(scope), receive, send)

    return Case(name, work)


async def measure(cases: list[Case], *, requests: int, rounds: int) -> None:
    """Let the cases take turns and print each one's median."""
    wall: dict[str, list[float]] = {case.name: [] for case in cases}
    processor: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            await case.work()
            started, used = time.perf_counter(), time.process_time()
            for _ in range(requests):
                await case.work()
            wall[case.name].append((time.perf_counter() - started) / requests * 1e6)
            processor[case.name].append((time.process_time() - used) / requests * 1e6)
    for case in cases:
        print(
            f"{case.name:<46}{statistics.median(wall[case.name]):>10.1f} us"
            f"{statistics.median(processor[case.name]):>10.1f} us processor"
        )


async def measure_together(cases: list[Case], *, requests: int) -> None:
    """Print how many requests pass in a second with many under way."""
    for case in cases:

        async def client(work: Work = case.work) -> None:
            for _ in range(requests // CLIENTS):
                await work()

        await client()
        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        rate = requests // CLIENTS * CLIENTS / (time.perf_counter() - started)
        print(f"{case.name + f', {CLIENTS} at once':<46}{rate:>10,.0f} requests/s")


async def count_trips(url: str) -> None:
    """Print how many round trips a request makes."""
    async with Proxy(url) as proxy:
        cases = [
            stockade_case("Stockade, 1 limit", proxy.url, ONE),
            stockade_case("Stockade, 3 limits", proxy.url, THREE),
            limits_case("limits.aio, 1 limit", proxy.url, ONE),
            limits_case("limits.aio, 3 limits", proxy.url, THREE),
        ]
        for case in cases:
            await case.work()
            before = proxy.trips
            for _ in range(100):
                await case.work()
            print(f"{case.name:<46}{(proxy.trips - before) / 100:>10.2f} round trips")
            if case.close is not None:
                await case.close()


async def measure_faults(url: str, *, kind: str) -> None:
    """Print how long an endpoint without limits takes while the store of another is away."""
    async with Proxy(url, late=0.2) as proxy:
        app = FastAPI()

        @app.get("/limited")
        @public("benchmark")
        @rate_limit(ONE)
        async def limited() -> None: ...

        @app.get("/free")
        @public("benchmark")
        @unlimited("benchmark")
        async def free() -> None: ...

        secret = SecretStr(proxy.url)
        stockade = Stockade(
            Settings(
                environment=Environment.TEST,
                redis_url=secret if kind == "redis" else None,
                database_url=secret if kind == "database" else None,
                rate_limiting=RateLimitingSettings.model_validate(
                    {"enabled": True, "store": kind, "failure": "local", "failure_public": "local"}
                ),
            ),
            sinks=[],
        )
        stockade.install(app)
        await stockade.start()
        await time_free(app)
        for fault in (each for each in Fault if each is not Fault.NONE):
            # Healthy and spoiled take turns, since the machine's own noise is as large.
            times: dict[Fault, list[float]] = {Fault.NONE: [], fault: []}
            for state in (Fault.NONE, fault) * 3:
                await proxy.set(state)
                times[state].append(await time_free(app))
            healthy, spoiled = map(statistics.median, times.values())
            print(
                f"{f'{kind}, {fault}: p99 of another endpoint':<46}{healthy:>10.1f} us healthy"
                f"{spoiled:>10.1f} us then"
            )
        await proxy.set(Fault.REFUSED)
        await stockade.stop()


async def time_free(app: FastAPI) -> float:
    """Return the 99th percentile of an endpoint without limits, in microseconds."""
    stop = False

    async def hammer() -> None:
        while not stop:
            await call(app, "/limited")
            await asyncio.sleep(0.01)

    clients = [asyncio.create_task(hammer()) for _ in range(16)]
    await asyncio.sleep(0.3)
    times = []
    for _ in range(600):
        started = time.perf_counter()
        await call(app, "/free")
        times.append((time.perf_counter() - started) * 1e6)
        await asyncio.sleep(0.001)
    stop = True
    await asyncio.gather(*clients)
    return statistics.quantiles(times, n=100)[98]


async def call(app: FastAPI, path: str) -> None:
    """Call an endpoint in process."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("192.0.2.7", 1),
        "server": ("localhost", 80),
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(f"status {message['status']}")

    await app(scope, receive, send)


async def make_tables(url: str) -> None:
    """Make Stockade's tables in an empty database."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()


async def check_it_bites(url: str) -> None:
    """Make sure that what is measured does limit."""
    limiter = make_limiter(url)
    compiled = limiter.compile(parse_rules("5/hour", scope="bite"), route="GET /x")
    assert compiled is not None  # noqa: S101 - a rule was given
    await limiter.reset()
    outcomes = []
    for _ in range(7):
        try:
            await limiter.check(compiled, make_exchange(), {"type": "http"})
        except RateLimitedError:
            outcomes.append(429)
        else:
            outcomes.append(200)
    await limiter.store.close()
    if outcomes != [200] * 5 + [429] * 2:
        raise RuntimeError(f"the limit does not bite: {outcomes}")


async def run(url: str, cluster: str, database: str, *, rounds: int) -> None:
    await make_tables(database)
    for store in ("memory://", url, cluster, database):
        await check_it_bites(store)
    memory = [
        stockade_case("memory, 1 limit: Stockade", "memory://", ONE),
        limits_case("memory, 1 limit: limits.aio", "memory://", ONE),
        stockade_case("memory, 3 limits: Stockade", "memory://", THREE),
        limits_case("memory, 3 limits: limits.aio", "memory://", THREE),
    ]
    endpoints = [
        endpoint_case("endpoint without limits", "memory://", None),
        endpoint_case("endpoint, memory, 1 limit: slowapi", "memory://", ONE),
        endpoint_case("endpoint, Redis, 1 limit: slowapi", url, ONE),
        endpoint_case("endpoint, Redis, 3 limits: slowapi", url, THREE),
    ]
    remote = [
        stockade_case("Redis, 1 limit: Stockade", url, ONE),
        limits_case("Redis, 1 limit: limits.aio", url, ONE),
        stockade_case("Redis, 3 limits: Stockade", url, THREE),
        limits_case("Redis, 3 limits: limits.aio", url, THREE),
        stockade_case("Redis Cluster, 1 limit: Stockade", cluster, ONE),
        stockade_case("Redis Cluster, 3 limits: Stockade", cluster, THREE),
        stockade_case("PostgreSQL, 1 limit: Stockade", database, ONE),
        stockade_case("PostgreSQL, 3 limits: Stockade", database, THREE),
    ]
    await measure(memory, requests=5000, rounds=rounds)
    await measure(endpoints, requests=500, rounds=rounds)
    await measure(remote, requests=1000, rounds=rounds)
    await measure_together(remote, requests=6400)
    for case in (*memory, *remote):
        if case.close is not None:
            await case.close()
    await count_trips(url)
    await measure_faults(url, kind="redis")
    await measure_faults(database, kind="database")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each figure")
    options = parser.parse_args()
    with (
        run_redis() as url,
        run_redis_cluster() as cluster,
        run_postgres() as server,
        server.database() as database,
    ):
        asyncio.run(run(url, cluster, database.dsn, rounds=options.rounds))


if __name__ == "__main__":
    main()
