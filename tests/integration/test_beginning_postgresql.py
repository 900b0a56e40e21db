"""A tenant's transaction begins with its tenant, through each driver, and nothing outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from stockade.core import SystemClock, TenantId
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, OpaqueSQLError, TenancySettings
from stockade.tenancy.beginning import _Begun, begin_with
from stockade.tenancy.session import TenantSession
from stockade.tenancy.transactions import TENANT_VARIABLE, TenantTransaction, run_below
from tests.servers import PostgresDatabase
from tests.servers.proxy import Fault, Proxy
from tests.unit.tenancy.models import FOREIGN, OWN, Base

pytestmark = pytest.mark.postgres

T = TypeVar("T")
SETTING = f"SELECT current_setting('{TENANT_VARIABLE}', true), current_user"
DRIVERS = ("psycopg", "psycopg_async", "asyncpg")


@dataclass(frozen=True)
class Door:
    """One connection pool of one, and how work is done on it."""

    engine: Engine | AsyncEngine

    @property
    def core(self) -> Engine:
        """The engine that listeners and sessions take."""
        return self.engine.sync_engine if isinstance(self.engine, AsyncEngine) else self.engine

    async def __call__(self, work: Callable[[Connection], T]) -> T:
        """Run work on a connection from the pool, and give that back."""
        if isinstance(self.engine, AsyncEngine):
            async with self.engine.connect() as connection:
                return await connection.run_sync(work)

        def run() -> T:
            with self.core.connect() as plain:
                return work(plain)

        return await asyncio.to_thread(run)


@asynccontextmanager
async def opened(driver: str, dsn: str) -> AsyncIterator[Door]:
    """Open the door of a driver."""
    name = driver.removesuffix("_async")
    url = dsn.replace("postgresql://", f"postgresql+{name}://", 1)
    options: Any = {"pool_size": 1, "max_overflow": 0}
    if driver == "psycopg":
        engine = create_engine(url, **options)
        yield Door(engine)
        engine.dispose()
    else:
        asynchronous = create_async_engine(url, **options)
        yield Door(asynchronous)
        await asynchronous.dispose()


@pytest.fixture(params=DRIVERS)
async def door(
    request: pytest.FixtureRequest, postgres_database: PostgresDatabase
) -> AsyncIterator[Door]:
    """Each driver in turn."""
    async with opened(request.param, postgres_database.dsn) as door:
        yield door


def shown(connection: Connection) -> tuple[str, str]:
    """Return the tenant and the role that the database sees."""
    tenant, role = run_below(connection, SETTING)[0]
    return tenant or "", role


def begun(connection: Connection) -> bool:
    """Set a tenant the quick way."""
    return begin_with(connection, f"SELECT set_config('{TENANT_VARIABLE}', '{OWN}', true)")


async def test_each_driver_has_a_way(door: Door) -> None:
    """The tenant is set with BEGIN, in a transaction that the driver knows, once."""

    def work(connection: Connection) -> None:
        with connection.begin():
            assert begun(connection)
            run_below(connection, "SAVEPOINT within")
            assert not begun(connection)
            assert shown(connection)[0] == OWN

    await door(work)


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
async def test_nothing_outlives_the_transaction(
    door: Door, postgres_database: PostgresDatabase, end: str
) -> None:
    """After its end the very same connection is nobody's, and what was written is kept or not."""

    def work(connection: Connection) -> int:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS mark (number int)")
        connection.commit()
        process: int = run_below(connection, "SELECT pg_backend_pid()")[0][0]
        connection.connection.rollback()
        connection.begin()
        TenantTransaction(postgres_database.role).enter(connection, OWN)
        assert shown(connection) == (OWN, postgres_database.role)
        run_below(connection, "INSERT INTO mark VALUES (1)")
        getattr(connection, end)()
        return process

    process = await door(work)

    def later(connection: Connection) -> None:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() == process
        assert shown(connection)[0] == ""
        kept = connection.exec_driver_sql("SELECT count(*) FROM mark").scalar()
        assert kept == (1 if end == "commit" else 0)

    await door(later)


@pytest.mark.parametrize(
    "tenant",
    [
        "o'brien",
        "\\'); DROP TABLE x; --",
        "100%s {} $1",
        "Ünïcødé",
        "a" * 300,
        "x\ny",
        "'||'",
        "a;b",
    ],
)
async def test_hostile_names(door: Door, tenant: str) -> None:
    """Whatever a tenant is called arrives as it is, and nothing else happens."""

    def work(connection: Connection) -> None:
        with connection.begin():
            TenantTransaction().enter(connection, TenantId(tenant))
            assert shown(connection)[0] == tenant
        assert shown(connection)[0] == ""

    await door(work)


@pytest.mark.parametrize(
    "options",
    [
        {"isolation_level": "SERIALIZABLE"},
        {"isolation_level": "REPEATABLE READ"},
        {"postgresql_readonly": True},
        {"postgresql_deferrable": True, "postgresql_readonly": True},
    ],
    ids=["serializable", "repeatable", "readonly", "deferrable"],
)
async def test_other_transactions_stay_what_they_are(door: Door, options: dict[str, Any]) -> None:
    """A transaction that is more than a plain one is begun by the driver, as it was asked for."""

    def work(connection: Connection) -> None:
        connection = connection.execution_options(**options)
        with connection.begin():
            assert not begun(connection)
            TenantTransaction().enter(connection, OWN)
            assert shown(connection)[0] == OWN
            level = run_below(connection, "SHOW transaction_isolation")[0][0]
            assert level == options.get("isolation_level", "read committed").lower()
            only = run_below(connection, "SHOW transaction_read_only")[0][0]
            assert only == ("on" if "postgresql_readonly" in options else "off")
        assert shown(connection)[0] == ""

    await door(work)


async def test_autocommit_begins_nothing(door: Door) -> None:
    """Where there are no transactions none is begun, and a tenant's session is refused."""

    def work(connection: Connection) -> None:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        with connection.begin():
            assert not begun(connection)
            assert shown(connection)[0] == ""

    await door(work)


async def test_two_phases(postgres_database: PostgresDatabase) -> None:
    """A transaction of two phases is begun by the driver, with its name."""
    async with opened("psycopg", postgres_database.dsn) as door:

        def work(connection: Connection) -> None:
            with connection.begin_twophase():
                TenantTransaction().enter(connection, OWN)
                assert shown(connection)[0] == OWN
                connection.rollback()
            assert shown(connection)[0] == ""

        await door(work)


async def test_refused_role(door: Door) -> None:
    """A role that is not granted is an error of SQLAlchemy's; the connection goes on after it."""

    def work(connection: Connection) -> None:
        for _ in range(2):
            with pytest.raises(DBAPIError), connection.begin():
                TenantTransaction("nobody_knows").enter(connection, OWN)
        with connection.begin():
            TenantTransaction().enter(connection, OWN)
            assert shown(connection)[0] == OWN

    await door(work)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_one_round_trip(driver: str, postgres_database: PostgresDatabase) -> None:
    """To begin with a tenant takes one round trip, and so does the end."""
    async with (
        Proxy(postgres_database.dsn) as proxy,
        opened(driver, proxy.url) as door,
    ):

        def work(connection: Connection) -> list[int]:
            trips = []
            for _ in range(2):
                before = proxy.trips
                with connection.begin():
                    TenantTransaction().enter(connection, OWN)
                    trips.append(proxy.trips - before)
                trips.append(proxy.trips - before)
            return trips

        assert await door(work) == [1, 2, 1, 2]


@pytest.mark.parametrize("driver", ["psycopg_async", "asyncpg"])
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.DEAF], ids=["unsent", "unanswered"])
async def test_cancelled_meanwhile(
    driver: str, fault: Fault, postgres_database: PostgresDatabase
) -> None:
    """A connection whose BEGIN was cut off is thrown away: nobody can say whose it is."""
    async with (
        Proxy(postgres_database.dsn) as proxy,
        opened(driver, proxy.url) as door,
    ):
        first = await door(lambda c: c.exec_driver_sql("SELECT pg_backend_pid()").scalar())

        def work(connection: Connection) -> None:
            connection.begin()
            TenantTransaction().enter(connection, OWN)

        await proxy.set(fault)
        task = asyncio.create_task(door(work))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await proxy.set(Fault.NONE)

        def later(connection: Connection) -> object:
            assert shown(connection)[0] == ""
            return run_below(connection, "SELECT pg_backend_pid()")[0][0]

        assert await door(later) != first


@pytest.mark.parametrize("driver", DRIVERS)
async def test_connection_that_is_gone(driver: str, postgres_database: PostgresDatabase) -> None:
    """A lost connection is an error of SQLAlchemy's, and the pool opens another."""
    async with (
        Proxy(postgres_database.dsn) as proxy,
        opened(driver, proxy.url) as door,
    ):

        def work(connection: Connection) -> str:
            with connection.begin():
                TenantTransaction().enter(connection, OWN)
                return shown(connection)[0]

        assert await door(work) == OWN
        await proxy.cut()
        with pytest.raises(DBAPIError) as caught:
            await door(work)
        assert caught.value.connection_invalidated or driver != "psycopg"
        assert await door(work) == OWN


def isolated(engine: Engine) -> Callable[[TenantId], TenantSession]:
    """Return sessions of tenants, with row-level security told and SQL text let in."""
    log = EventLog([MemorySink()], clock=SystemClock())
    settings = TenancySettings(row_level_security="raw_sql")
    isolation = Isolation(Base, settings=settings, events=log)
    isolation.install(engine)
    return isolation.session_factory(engine)


def seen(session: TenantSession) -> str:
    """Return the tenant that the database sees in a session."""
    return str(run_below(session.connection(), SETTING)[0][0])


async def test_savepoints(postgres_database: PostgresDatabase) -> None:
    """The tenant holds in savepoints, whose begin costs nothing more, and after their rollback."""
    async with Proxy(postgres_database.dsn) as proxy, opened("psycopg", proxy.url) as door:
        factory = isolated(door.core)

        def work() -> None:
            with factory(OWN) as session:
                assert seen(session) == OWN
                before = proxy.trips
                with session.begin_nested() as outer, session.begin_nested():
                    session.connection()
                    assert proxy.trips - before == 2
                    assert seen(session) == OWN
                    outer.rollback()
                assert seen(session) == OWN
                # The first that a session does may be a savepoint.
                session.rollback()
                with session.begin_nested() as nested:
                    assert seen(session) == OWN
                    nested.rollback()
                assert seen(session) == OWN

        await asyncio.to_thread(work)


@pytest.mark.parametrize("broken", ["commit", "rollback"])
async def test_start_finds_a_way_that_does_not_hold(
    postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A release of SQLAlchemy that ends what it began otherwise stops the start."""

    async def ignore(_: object) -> None:
        pass

    async with opened("asyncpg", postgres_database.dsn) as door:
        isolation = Isolation(
            Base,
            settings=TenancySettings(row_level_security="on"),
            events=EventLog([MemorySink()], clock=SystemClock()),
        )
        isolation.install(door.engine)
        monkeypatch.setattr(_Begun, broken, ignore)
        with pytest.raises(ConfigurationError, match="isolation is not in force"):
            await isolation.canary(door.engine)


def test_connection_of_another_tenant(postgres_database: PostgresDatabase) -> None:
    """A session does not take over the connection of another tenant's, which would change sides."""
    engine = create_engine(postgres_database.psycopg_url)
    factory = isolated(engine)
    with factory(FOREIGN) as foreign, factory(OWN) as own:
        lent = foreign.connection()
        with pytest.raises(OpaqueSQLError) as caught:
            own.connection(bind_arguments={"bind": lent})
        assert caught.value.reason == "tenancy.foreign_connection"
        assert seen(foreign) == FOREIGN
    engine.dispose()
