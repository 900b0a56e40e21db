"""Hold stores of limits whose clock is set by hand: in memory, in Redis and in PostgreSQL."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import psycopg
import pytest

from stockade.rate_limiting import LimitRequest, LimitState, LimitStore
from stockade.rate_limiting.bans import BanStore
from stockade.rate_limiting.interfaces import LeaseStore, RefundStore
from stockade.rate_limiting.models import Refund, UnitRefund
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.memory.bans import MemoryBanStore
from stockade.storage.redis import RedisLimitStore
from stockade.storage.redis import limits as redis_limits
from stockade.storage.sql import make_engine, upgrade_schema
from stockade.storage.sql.limits import SQLLimitStore
from tests.unit.rate_limiting.helpers import ManualClock
from tests.unit.rate_limiting.reference import SECOND

KINDS = [
    "memory",
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("postgres", marks=pytest.mark.postgres),
]


Answer = TypeVar("Answer")


class Store(LimitStore, RefundStore, LeaseStore, Protocol):
    """A store with every power."""


class Bench:
    """A store whose clock is set by hand."""

    def __init__(
        self, store: Store, bans: BanStore, set_clock: Callable[[int], Awaitable[None]]
    ) -> None:
        self.runner = asyncio.Runner()
        self.store = store
        self.bans = bans
        self._set_clock = set_clock

    def at(self, now: int, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what a call answers at a moment."""

        async def ask() -> Answer:
            await self._set_clock(now)
            return await call()

        return self.runner.run(ask())

    def ask(self, now: int, requests: Sequence[LimitRequest]) -> list[LimitState]:
        """Ask at a moment."""
        return list(self.at(now, lambda: self.store.acquire(requests)))

    def acquire(self, now: int, requests: Sequence[LimitRequest]) -> list[tuple[bool, int, int]]:
        """Ask at a moment; return for each limit whether it passed, what remains and the wait."""
        return [
            (state.allowed, state.remaining, round(state.retry_after * SECOND))
            for state in self.ask(now, requests)
        ]

    def give_back(self, now: int, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Give back at a moment."""
        self.at(now, lambda: self.store.give_back(refunds))

    def reset(self) -> None:
        """Forget everything."""
        self.runner.run(self.store.reset(""))

    def close(self) -> None:
        """End it."""
        self.runner.run(self.store.close())
        self.runner.close()


def make_bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Make the store that the parameter of a fixture names."""
    match request.param:
        case "memory":
            return _in_memory()
        case "redis":
            return _in_redis(request.getfixturevalue("redis_url"), monkeypatch)
        case _:
            return _in_postgres(request.getfixturevalue("postgres_url"))


def _in_memory() -> Bench:
    clock = ManualClock()

    async def set_clock(now: int) -> None:
        clock.advance(now / SECOND - clock.monotonic())

    store = MemoryLimitStore(clock=clock)
    return Bench(store, MemoryBanStore(clock=clock), set_clock)


def _in_redis(url: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name in ("TAKE", "TAKE_WINDOWS", "GIVE_BACK", "HOLD", "RENEW", "ADD_BAN", "LIST_BANS"):
        monkeypatch.setattr(redis_limits, name, _on_our_clock(getattr(redis_limits, name)))
    for name in ("TAKE_SHA", "TAKE_WINDOWS_SHA"):
        # No script has this name, so that each call brings the script along.
        monkeypatch.setattr(redis_limits, name, "0" * 40)
    store = RedisLimitStore.from_url(url, timeout=5.0)

    async def set_clock(now: int) -> None:
        seconds, rest = divmod(now, SECOND)
        await store._client.mset({"test:s": seconds, "test:us": rest})

    return Bench(store, store, set_clock)


def _on_our_clock(script: str) -> str:
    """Let a script read its time from a key, and let nothing expire on the server's clock."""
    changed = script.replace("redis.call('TIME')", "redis.call('MGET', 'test:s', 'test:us')")
    assert changed != script
    changed = re.sub(r"redis\.call\('PEXPIRE', .*\)", "", changed)
    return re.sub(r", 'PX', .*\)", ")", changed)


# Names that come first in the path are found before PostgreSQL's own.
_CLOCK = """
CREATE SCHEMA test_time;
CREATE TABLE test_time.clock (at timestamptz);
INSERT INTO test_time.clock VALUES (now());
CREATE FUNCTION test_time.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT at FROM test_time.clock';
CREATE FUNCTION test_time.statement_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT at FROM test_time.clock';
"""


def _in_postgres(url: str) -> Bench:
    async def make_tables() -> None:
        engine = make_engine(url)
        await upgrade_schema(engine)
        await engine.dispose()

    asyncio.run(make_tables())
    clock = psycopg.connect(url, autocommit=True)
    clock.execute(_CLOCK)
    clock.execute(
        f'ALTER DATABASE "{clock.info.dbname}"'
        " SET search_path = test_time, pg_catalog, public".encode()
    )
    store = SQLLimitStore.from_url(url, timeout=10.0)

    async def set_clock(now: int) -> None:
        await asyncio.to_thread(
            clock.execute,
            "UPDATE test_time.clock SET at = timestamptz 'epoch' + %s * interval '1 microsecond'",
            [now],
        )

    class PostgresBench(Bench):
        def close(self) -> None:
            super().close()
            clock.close()

    return PostgresBench(store, store, set_clock)
