"""Hold stores of limits whose clock is set by hand: in memory, in Redis and in PostgreSQL."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import psycopg
import pytest

from stockade.rate_limiting import LimitRequest, LimitState, LimitStore
from stockade.rate_limiting.interfaces import RefundStore
from stockade.rate_limiting.models import Refund, UnitRefund
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.redis import RedisLimitStore
from stockade.storage.redis import limits as redis_limits
from stockade.storage.redis.leases import GIVE_BACK
from stockade.storage.redis.scripts import TAKE
from stockade.storage.redis.windows import TAKE_WINDOWS
from stockade.storage.sql import make_engine, upgrade_schema
from stockade.storage.sql.limits import SQLLimitStore
from tests.unit.rate_limiting.helpers import ManualClock
from tests.unit.rate_limiting.reference import SECOND

KINDS = [
    "memory",
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("postgres", marks=pytest.mark.postgres),
]


class Store(LimitStore, RefundStore, Protocol):
    """A store that takes back what should not have been counted."""


class Bench:
    """A store whose clock is set by hand."""

    def __init__(self, store: Store, set_clock: Callable[[int], Awaitable[None]]) -> None:
        self.runner = asyncio.Runner()
        self.store = store
        self._set_clock = set_clock

    def ask(self, now: int, requests: Sequence[LimitRequest]) -> list[LimitState]:
        """Ask at a moment."""

        async def ask() -> list[LimitState]:
            await self._set_clock(now)
            return list(await self.store.acquire(requests))

        return self.runner.run(ask())

    def acquire(self, now: int, requests: Sequence[LimitRequest]) -> list[tuple[bool, int, int]]:
        """Ask at a moment; return for each limit whether it passed, what remains and the wait."""
        return [
            (state.allowed, state.remaining, round(state.retry_after * SECOND))
            for state in self.ask(now, requests)
        ]

    def give_back(self, now: int, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Give back at a moment."""

        async def give_back() -> None:
            await self._set_clock(now)
            await self.store.give_back(refunds)

        self.runner.run(give_back())

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

    return Bench(MemoryLimitStore(clock=clock), set_clock)


def _in_redis(url: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name, script in (("TAKE", TAKE), ("TAKE_WINDOWS", TAKE_WINDOWS)):
        monkeypatch.setattr(redis_limits, name, _on_our_clock(script))
        # No script has this name, so that each call brings the script along.
        monkeypatch.setattr(redis_limits, f"{name}_SHA", "0" * 40)
    monkeypatch.setattr(redis_limits, "GIVE_BACK", _on_our_clock(GIVE_BACK))
    store = RedisLimitStore.from_url(url, timeout=5.0)

    async def set_clock(now: int) -> None:
        seconds, rest = divmod(now, SECOND)
        await store._client.mset({"test:s": seconds, "test:us": rest})

    return Bench(store, set_clock)


def _on_our_clock(script: str) -> str:
    """Let a script read its time from a key, and let nothing expire on the server's clock."""
    changed = script.replace("redis.call('TIME')", "redis.call('MGET', 'test:s', 'test:us')")
    assert changed != script
    changed = re.sub(r"redis\.call\('PEXPIRE', .*\)", "", changed)
    return re.sub(r", 'PX', .*\)", ")", changed)


def _in_postgres(url: str) -> Bench:
    async def make_tables() -> None:
        engine = make_engine(url)
        await upgrade_schema(engine)
        await engine.dispose()

    asyncio.run(make_tables())
    clock = psycopg.connect(url, autocommit=True)
    clock.execute("CREATE TABLE test_clock (at timestamptz)")
    clock.execute("INSERT INTO test_clock VALUES (now())")
    for name in ("stockade_take_limits", "stockade_take_windows"):
        row = clock.execute(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = %s", [name]
        ).fetchone()
        assert row is not None
        changed = row[0].replace("clock_timestamp()", "(SELECT at FROM test_clock)")
        assert changed != row[0]
        clock.execute(changed.encode())
    store = SQLLimitStore.from_url(url, timeout=10.0)

    async def set_clock(now: int) -> None:
        await asyncio.to_thread(
            clock.execute,
            "UPDATE test_clock SET at = timestamptz 'epoch' + %s * interval '1 microsecond'",
            [now],
        )

    class PostgresBench(Bench):
        def close(self) -> None:
            super().close()
            clock.close()

    return PostgresBench(store, set_clock)
