"""Expect a real PostgreSQL to count exactly, to be asked once, and to stay small."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import event

from stockade.core.limits import LimitRule, Strategy
from stockade.errors import ConfigurationError, StoreError
from stockade.rate_limiting import LimitRequest
from stockade.rate_limiting.bans import BanTerms
from stockade.rate_limiting.models import Refund, UnitRefund
from stockade.storage import limit_store
from stockade.storage.sql import make_engine, upgrade_schema
from stockade.storage.sql.limits import SQLLimitStore
from tests.servers import PostgresDatabase
from tests.unit.rate_limiting.reference import SECOND

pytestmark = pytest.mark.postgres

RULE = LimitRule(amount=5, window=3600)
WIDE = LimitRule(amount=1000, window=3600)
EVERY = pytest.mark.parametrize("strategy", list(Strategy))
MOVING = LimitRule(amount=5, window=3600, strategy=Strategy.MOVING_WINDOW)


async def make_tables(url: str) -> None:
    """Make Stockade's tables in an empty database."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()


@pytest.fixture
async def url(postgres_database: PostgresDatabase) -> str:
    """Address of a database with Stockade's tables."""
    await make_tables(postgres_database.dsn)
    return postgres_database.dsn


@pytest.fixture
async def store(url: str) -> AsyncIterator[SQLLimitStore]:
    """A store over it."""
    opened = SQLLimitStore.from_url(url, timeout=10.0)
    yield opened
    await opened.close()


def ask(key: str = "{a}x", rule: LimitRule = RULE) -> LimitRequest:
    """Ask for one unit."""
    return LimitRequest(key, rule)


async def passes(store: SQLLimitStore, *requests: LimitRequest) -> bool:
    """Tell whether a request passes."""
    return all(state.allowed for state in await store.acquire(requests))


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement beside the store."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def test_a_request_is_one_statement(store: SQLLimitStore) -> None:
    """However many limits a request has, the server is asked once, without a transaction."""
    await store.acquire([ask()])
    seen: list[str] = []
    event.listen(
        store._loops.get().engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: seen.append(statement),
    )
    event.listen(store._loops.get().engine.sync_engine, "begin", lambda _: seen.append("BEGIN"))
    await store.acquire([ask(f"{{a}}{number}") for number in range(5)])
    await store.acquire([ask(f"{{a}}{each}", replace(RULE, strategy=each)) for each in Strategy])
    assert [statement.partition("(")[0] for statement in seen if statement != "BEGIN"] == [
        "SELECT stockade_take_limits",
        "SELECT stockade_take_windows",
    ]


async def test_requests_share_a_trip(url: str) -> None:
    """What comes while an answer is under way goes together, and each gets its own answer."""
    store = SQLLimitStore.from_url(url, timeout=10.0, trips=1)
    trips = 0

    def count(*_: object) -> None:
        nonlocal trips
        trips += 1

    event.listen(store._loops.get().engine.sync_engine, "before_cursor_execute", count)
    answers = await asyncio.gather(
        *(passes(store, ask(f"{{{number % 10}}}x")) for number in range(64))
    )
    await store.close()
    assert sum(answers) == 50
    assert trips <= 3


async def test_overlapping_requests_of_many_connections_do_not_lock_each_other(url: str) -> None:
    """Whoever names the same buckets in another order waits its turn, and nobody for ever.

    Some of them count by windows and some do not, which is decided by two functions.
    """
    stores = [SQLLimitStore.from_url(url, timeout=20.0, trips=4) for _ in range(4)]
    rules = {
        f"{{{name}}}x": LimitRule(amount=30, window=3600, strategy=strategy)
        for name, strategy in zip("afbecd", [*Strategy, Strategy.GCRA, Strategy.GCRA], strict=True)
    }
    names = sorted(rules)
    plain = [name for name in names if rules[name].strategy is Strategy.GCRA]
    orders = [names[turn:] + names[:turn] for turn in range(6)]

    async def ask_often(number: int) -> int:
        store, passed = stores[number % 4], 0
        for turn in range(10):
            order = orders[(number + turn) % 6][:: 1 if number % 2 else -1]
            turned = plain[:: 1 if turn % 2 else -1]
            await store.acquire([ask(name, replace(rules[name], cost=0)) for name in turned])
            passed += await passes(store, *(ask(name, rules[name]) for name in order))
        return passed

    outcomes = await asyncio.gather(*(ask_often(number) for number in range(16)))
    for store in stores:
        await store.close()
    assert sum(outcomes) == 30


async def test_tables_are_unlogged(url: str) -> None:
    """Buckets and places are written to no log."""
    found = query(
        url,
        "SELECT relpersistence::text FROM pg_class"
        " WHERE relname IN ('stockade_limits', 'stockade_limit_places', 'stockade_limit_units',"
        " 'stockade_limit_refusals')",
    )
    assert found == [("u",)] * 4


async def test_old_buckets_are_cleared_away(store: SQLLimitStore, url: str) -> None:
    """Sweeps drop what is over, keep what is not, and come to every row."""
    await store.acquire([ask("{kept}x")])
    query(
        url,
        "INSERT INTO stockade_limits SELECT '{' || n || '}x', 1 FROM generate_series(1, 2500) n",
    )
    query(url, "INSERT INTO stockade_limit_places VALUES ('{old}', 't', 1)")
    for _ in range(4):
        await store.sweep()
    assert query(url, "SELECT key FROM stockade_limits") == [("{kept}x",)]
    assert query(url, "SELECT * FROM stockade_limit_places") == []


async def test_units_are_cleared_away_with_their_bucket(store: SQLLimitStore, url: str) -> None:
    """Sweeps drop the units of a moving window that is over, and then it; others keep theirs."""
    await store.acquire([ask("{kept}x", MOVING)])
    query(url, "INSERT INTO stockade_limits VALUES ('{old}x', 2, 6000, 0)")
    query(
        url,
        "INSERT INTO stockade_limit_units SELECT '{old}x', n, 1 FROM generate_series(1, 6000) n",
    )
    await store.sweep()
    assert query(url, "SELECT count(*) FROM stockade_limit_units") == [(1001,)]
    assert query(url, "SELECT count(*) FROM stockade_limits") == [(2,)]
    for _ in range(2):
        await store.sweep()
    assert query(url, "SELECT key FROM stockade_limits") == [("{kept}x",)]
    assert query(url, "SELECT key, units FROM stockade_limit_units") == [("{kept}x", 1)]


async def test_units_of_a_busy_window_do_not_pile_up(store: SQLLimitStore, url: str) -> None:
    """A moving window holds rows for what is young, and a reset leaves none behind."""
    rule = LimitRule(amount=1000, window=1, strategy=Strategy.MOVING_WINDOW)
    for _ in range(20):
        await store.acquire([ask("{a}x", rule)])
    query(url, "UPDATE stockade_limit_units SET at = at - 2000000")
    query(url, "UPDATE stockade_limits SET full_at = full_at - 2000000")
    await store.acquire([ask("{a}x", rule)])
    assert query(url, "SELECT count(*) FROM stockade_limit_units") == [(1,)]
    assert query(url, "SELECT used FROM stockade_limits") == [(1,)]
    await store.reset("{a}")
    assert query(url, "SELECT count(*) FROM stockade_limit_units") == [(0,)]
    assert await passes(store, ask("{a}x", rule))


@EVERY
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_stricter_default_isolation(
    postgres_database: PostgresDatabase, driver: str, level: str, strategy: Strategy
) -> None:
    """Whatever the database's transactions are by default, a limit lets through what it says."""
    await make_tables(postgres_database.dsn)
    setting = f"default_transaction_isolation = '{level}'"
    with psycopg.connect(postgres_database.dsn, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET {setting}'.encode())
    url = getattr(postgres_database, f"{driver}_url")
    stores = [SQLLimitStore.from_url(url, timeout=20.0, trips=4) for _ in range(3)]
    rule = LimitRule(amount=25, window=3600, strategy=strategy)

    async def ask_often(store: SQLLimitStore) -> int:
        asked = [ask("{a}x", rule), ask("{b}x", WIDE)]
        return sum([await passes(store, *asked) for _ in range(6)])

    outcomes = await asyncio.gather(*(ask_often(stores[n % 3]) for n in range(12)))
    bans = await asyncio.gather(
        *(store.add_ban("ip:a", BanTerms(first=60, longest=60)) for store in stores * 4)
    )
    for store in stores:
        await store.close()
    assert sum(outcomes) == 25
    assert {ban.times for ban in bans} == {1}


async def test_a_sweep_is_bounded_and_waits_for_nobody(store: SQLLimitStore, url: str) -> None:
    """A sweep looks at a thousand rows and passes over those that somebody holds."""
    query(
        url,
        "INSERT INTO stockade_limits"
        " SELECT lpad(n::text, 5, '0'), 1 FROM generate_series(1, 2500) n",
    )
    with psycopg.connect(url) as holder:
        holder.execute("SELECT * FROM stockade_limits WHERE key = '00001' FOR UPDATE")
        await store.sweep()
    assert query(url, "SELECT count(*) FROM stockade_limits") == [(1501,)]


async def test_traffic_clears_what_it_leaves(store: SQLLimitStore, url: str) -> None:
    """A flood of callers who come once each does not make the table grow without end."""
    rule = LimitRule(amount=100_000, window=1)

    async def flood() -> None:
        await asyncio.gather(
            *(store.acquire([ask(secrets.token_hex(8), rule)]) for _ in range(500))
        )

    for _ in range(8):
        await flood()
        while (sweeping := store._loops.get().sweeping) is not None:
            await asyncio.gather(sweeping)
    ((rows,),) = query(url, "SELECT count(*) FROM stockade_limits")
    assert isinstance(rows, int)
    assert rows <= 1500


async def test_a_row_that_somebody_holds_is_an_error_in_time(url: str) -> None:
    """Whoever holds a bucket's row stops nobody for ever; other buckets go on."""
    store = SQLLimitStore.from_url(url, timeout=0.3)
    assert await passes(store, ask())
    with psycopg.connect(url) as holder:
        holder.execute("SELECT * FROM stockade_limits FOR UPDATE")
        with pytest.raises(StoreError):
            await store.acquire([ask()])
        assert await passes(store, ask("{b}x"))
    await store.close()


async def test_connections_that_were_cut_are_replaced(store: SQLLimitStore, url: str) -> None:
    """After the server has cut all connections, the request that finds out fails, and no more."""
    for _ in range(2):
        await asyncio.gather(*(store.acquire([ask(f"{{{n}}}y")]) for n in range(30)))
    query(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    with pytest.raises(StoreError):
        await store.acquire([ask()])
    assert await passes(store, ask())


async def test_a_database_without_tables_is_named_at_the_start(
    postgres_database: PostgresDatabase,
) -> None:
    """Tables that are missing stop the start with what to run, and are no store that is away."""
    store = SQLLimitStore.from_url(postgres_database.dsn, timeout=10.0)
    with pytest.raises(ConfigurationError) as caught:
        await store.ping()
    await store.close()
    assert "stockade db upgrade" in str(caught.value)


async def test_places_are_held_and_given_back(store: SQLLimitStore, url: str) -> None:
    """There are as many places as there are, and one that is over or given back is free."""
    assert await store.hold("{a}p", "one", limit=2, seconds=60)
    assert await store.hold("{a}p", "two", limit=2, seconds=60)
    assert not await store.hold("{a}p", "three", limit=2, seconds=60)
    assert await store.hold("{b}p", "three", limit=2, seconds=60)
    await store.release("{a}p", "one")
    assert await store.hold("{a}p", "four", limit=2, seconds=60)
    query(url, "UPDATE stockade_limit_places SET ends_at = 1 WHERE token = 'two'")
    await store.renew([("{a}p", "two"), ("{a}p", "four")], seconds=60)
    assert await store.hold("{a}p", "five", limit=2, seconds=60)
    assert not await store.hold("{a}p", "six", limit=2, seconds=60)


async def test_concurrent_holders_get_no_more_than_there_are(store: SQLLimitStore) -> None:
    """Of many who ask for a place at once exactly as many get one as there are."""
    held = await asyncio.gather(
        *(store.hold("{a}p", f"t{n}", limit=7, seconds=60) for n in range(40))
    )
    assert sum(held) == 7


async def test_a_debt_is_given_back(store: SQLLimitStore) -> None:
    """What is given back can be taken again, and a bucket never gets fuller than full."""
    for _ in range(5):
        await store.acquire([ask()])
    await store.give_back([Refund("{a}x", 2 * 720 * SECOND), Refund("{b}x", SECOND)])
    assert [await passes(store, ask()) for _ in range(3)] == [True, True, False]
    await store.give_back([Refund("{a}x", 10**15)])
    assert [await passes(store, ask()) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize("strategy", [each for each in Strategy if each is not Strategy.GCRA])
async def test_many_at_once_take_and_give_back(store: SQLLimitStore, strategy: Strategy) -> None:
    """While some give back what others take, no bucket ever gives more than it holds."""
    rule = LimitRule(amount=10, window=3600, strategy=strategy)
    counted = 0

    async def ask_often(counts: bool) -> None:
        nonlocal counted
        for _ in range(15):
            (state,) = await store.acquire([ask("{a}x", rule)])
            if state.allowed and counts:
                counted += 1
            elif state.allowed:
                assert state.at is not None
                await store.give_back([UnitRefund("{a}x", rule, state.at)])

    await asyncio.gather(*(ask_often(number % 4 == 0) for number in range(12)))
    # What others held for a moment may have kept some of those out that count.
    assert 0 < counted <= 10
    left = [await passes(store, ask("{a}x", rule)) for _ in range(11 - counted)]
    assert left == [True] * (10 - counted) + [False]


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///x.db", "mysql://:s3cret@h/x", "postgresql://u:s3cret@h:p/x"]
)
def test_another_database_is_refused(address: str) -> None:
    """Only PostgreSQL counts limits, and no address is repeated."""
    with pytest.raises(ConfigurationError) as caught:
        SQLLimitStore.from_url(address)
    assert "s3cret" not in str(caught.value)


async def test_a_server_that_is_not_there(postgres_database: PostgresDatabase) -> None:
    """Nobody who listens is an error of the store."""
    store = limit_store("postgresql://u:s3cret@127.0.0.1:1/x", timeout=10.0)
    with pytest.raises(StoreError) as caught:
        await store.acquire([ask()])
    await store.close()
    assert "s3cret" not in str(caught.value)
