"""Measure what one request pays for its limits, beside slowapi, limits and fastapi-limiter.

Run it from the repository: ``PYTHONPATH=src:. python benchmarks/rate_limiting.py [--rounds N]``;
``--markdown`` writes the table of ``docs/explanation/rate-limiting.md``. Peers that nothing else
needs come with ``uv pip install --group benchmarks``.

One request at a time, the figures are the least of several rounds that take turns, in microseconds
of wall time and of processor time of this process, since in Redis the rest is waiting. With 64
clients in one process it is requests in a second, the best of the rounds: whatever else runs on the
machine makes a figure worse, never better. Redis runs on the same machine. Every limit is so high
that nothing is refused, and each run checks that a low one does refuse. Round trips are counted by
a proxy in between. At last the proxy spoils what passes, and an endpoint without limits is timed
beside 16 clients of one with them.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr

from benchmarks.limit_peers import (
    ONE,
    THREE,
    Case,
    fastapi_limiter_case,
    in_a_thread,
    limits_case,
    make_exchange,
    make_limiter,
    slowapi_case,
    stockade_case,
)
from stockade import Settings, Stockade, public, rate_limit, unlimited
from stockade.errors import RateLimitedError
from stockade.rate_limiting import RateLimitingSettings, parse_rules
from stockade.settings import Environment
from stockade.storage.sql import make_engine, upgrade_schema
from tests.servers import run_postgres, run_redis, run_redis_cluster
from tests.servers.proxy import Fault, Proxy

CLIENTS = 64


@dataclass
class Figures:
    """What was measured of a case: microseconds, requests in a second, trips of a request."""

    wall: float = float("inf")
    processor: float = float("inf")
    rate: float = 0.0
    trips: float | None = None
    trips_together: float | None = None

    def row(self, name: str, *, markdown: bool) -> str:
        """Write them as a line."""
        trips = [
            "-" if each is None else f"{each:.2f}" for each in (self.trips, self.trips_together)
        ]
        cells = [f"{self.wall:.1f}", f"{self.processor:.1f}", f"{self.rate:,.0f}", *trips]
        if markdown:
            return f"| {name} | " + " | ".join(cells) + " |"
        return f"{name:<38}" + "".join(f"{cell:>14}" for cell in cells)


async def measure(cases: Sequence[Case], *, requests: int, rounds: int) -> list[Figures]:
    """Let the cases take turns, alone and with many clients."""
    found = [Figures() for _ in cases]
    for _ in range(rounds):
        for case, figures in zip(cases, found, strict=True):
            await case.work()
            started, used = time.perf_counter(), time.process_time()
            for _ in range(requests):
                await case.work()
            wall, used = time.perf_counter() - started, time.process_time() - used
            figures.wall = min(figures.wall, wall / requests * 1e6)
            figures.processor = min(figures.processor, used / requests * 1e6)
        for case, figures in zip(cases, found, strict=True):
            figures.rate = max(figures.rate, await measure_together(case, requests=requests))
    return found


async def measure_together(case: Case, *, requests: int) -> float:
    """Return how many requests pass in a second with many under way."""
    each = max(1, requests // CLIENTS)

    async def client() -> None:
        for _ in range(each):
            await case.work()

    await asyncio.gather(*(case.work() for _ in range(CLIENTS)))
    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return each * CLIENTS / (time.perf_counter() - started)


async def count_trips(cases: Sequence[Case], figures: Sequence[Figures], proxy: Proxy) -> None:
    """Count the round trips of a request, alone and with many clients."""
    for case, found in zip(cases, figures, strict=True):
        await (in_a_thread(case) if case.blocks else case.work())
        before = proxy.trips
        for _ in range(50):
            await (in_a_thread(case) if case.blocks else case.work())
        found.trips = (proxy.trips - before) / 50
        if not case.blocks:
            before = proxy.trips
            for _ in range(10):
                await asyncio.gather(*(case.work() for _ in range(CLIENTS)))
            found.trips_together = (proxy.trips - before) / 10 / CLIENTS


async def close(cases: Sequence[Case]) -> None:
    """End cases."""
    for case in cases:
        if case.close is not None:
            await case.close()


async def redis_cases(url: str) -> list[Case]:
    """Make a case of each package with each number of limits."""
    made: list[Case | None] = []
    for name, text in (("Redis, 1 limit", ONE), ("Redis, 3 limits", THREE)):
        made += [
            stockade_case(name, url, text),
            limits_case(name, url, text),
            slowapi_case(name, url, text),
            await fastapi_limiter_case(name, url, text),
        ]
    return [case for case in made if case is not None]


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


async def run(
    url: str, cluster: str, database: str, *, rounds: int, markdown: bool, faults: bool
) -> None:
    """Measure everything and print it."""
    await make_tables(database)
    for store in ("memory://", url, cluster, database):
        await check_it_bites(store)
    memory = [
        make(name, "memory://", text)
        for name, text in (("memory, 1 limit", ONE), ("memory, 3 limits", THREE))
        for make in (stockade_case, limits_case, slowapi_case)
    ]
    remote = await redis_cases(url)
    others = [
        stockade_case("Redis Cluster, 1 limit", cluster, ONE),
        stockade_case("Redis Cluster, 3 limits", cluster, THREE),
        stockade_case("PostgreSQL, 1 limit", database, ONE),
        stockade_case("PostgreSQL, 3 limits", database, THREE),
    ]
    figures = await measure(memory, requests=4096, rounds=rounds)
    of_redis = await measure(remote, requests=4096, rounds=rounds)
    figures += of_redis
    figures += await measure(others, requests=1024, rounds=rounds)
    async with Proxy(url) as proxy:
        counted = await redis_cases(proxy.url)
        await count_trips(counted, of_redis, proxy)
        await close(counted)
    if not any("fastapi-limiter" in case.name for case in remote):
        print("fastapi-limiter below 0.2 is not installed: it is left out")
    head = ("alone, us", "processor, us", "64 clients, /s", "trips alone", "trips of 64")
    if markdown:
        print("| | " + " | ".join(head) + " |\n|" + " --- |" * 6)
    else:
        print(f"{'':<38}" + "".join(f"{name:>14}" for name in head))
    for case, found in zip((*memory, *remote, *others), figures, strict=True):
        print(found.row(case.name, markdown=markdown))
    await close((*memory, *remote, *others))
    if faults:
        await measure_faults(url, kind="redis")
        await measure_faults(database, kind="database")


def main() -> None:
    """Read the options and start the servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each figure")
    parser.add_argument("--markdown", action="store_true", help="write the table of the docs")
    parser.add_argument("--no-faults", action="store_true", help="leave the spoiled stores out")
    options = parser.parse_args()
    with (
        run_redis() as url,
        run_redis_cluster() as cluster,
        run_postgres() as server,
        server.database() as database,
    ):
        asyncio.run(
            run(
                url,
                cluster,
                database.dsn,
                rounds=options.rounds,
                markdown=options.markdown,
                faults=not options.no_faults,
            )
        )


if __name__ == "__main__":
    main()
