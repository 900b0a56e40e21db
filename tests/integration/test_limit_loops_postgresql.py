"""A store of limits in PostgreSQL serves several event loops, one after the other and at once."""

import asyncio
import gc
import threading
import warnings

import pytest

from stockade.core.limits import LimitRule
from stockade.rate_limiting import LimitRequest
from stockade.storage.sql.limits import SQLLimitStore
from tests.integration.test_limits_postgresql import make_tables
from tests.servers import PostgresDatabase

pytestmark = pytest.mark.postgres

RULE = LimitRule(amount=5, window=3600)


def test_a_loop_that_ends_in_the_middle(postgres_database: PostgresDatabase) -> None:
    """A loop that is closed with requests in line leaves the store usable in the next one."""
    asyncio.run(make_tables(postgres_database.dsn))
    store = SQLLimitStore.from_url(postgres_database.dsn, timeout=5.0)

    async def begin() -> None:
        await store.ping()
        for number in range(300):
            asyncio.ensure_future(store.acquire([LimitRequest(f"{{{number}}}x", RULE)]))  # noqa: RUF006 - nobody waits
        await asyncio.sleep(0)

    async def go_on() -> list[bool]:
        async with asyncio.timeout(10):
            asked = [LimitRequest("{next}x", RULE)]
            found = [(await store.acquire(asked))[0].allowed for _ in range(6)]
            await store.close()
        return found

    with warnings.catch_warnings():
        # What the first loop has left open is the collector's.
        warnings.simplefilter("ignore")
        asyncio.run(begin())
        assert asyncio.run(go_on()) == [True] * 5 + [False]
        gc.collect()


def test_loops_in_threads_share_a_store(postgres_database: PostgresDatabase) -> None:
    """Several event loops count in one store at once, and together exactly."""
    asyncio.run(make_tables(postgres_database.dsn))
    store = SQLLimitStore.from_url(postgres_database.dsn, timeout=10.0)
    rule = LimitRule(amount=50, window=86_400)
    passed: list[int] = []

    async def one() -> int:
        asked = [LimitRequest("{a}x", rule)]
        return sum([(await store.acquire(asked))[0].allowed for _ in range(10)])

    async def main() -> None:
        async with asyncio.timeout(30):
            passed.append(sum(await asyncio.gather(*(one() for _ in range(4)))))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
    with warnings.catch_warnings():
        # A loop that ends without `close` leaves its connections to the collector.
        warnings.simplefilter("ignore")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(store.close())
        gc.collect()
    assert sum(passed) == 50
    assert len(passed) == 3
