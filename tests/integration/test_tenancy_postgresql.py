"""Isolate tenants on a real PostgreSQL server, through both drivers, as an ordinary role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import (
    Engine,
    ForeignKeyConstraint,
    UniqueConstraint,
    Uuid,
    create_engine,
    delete,
    func,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from stockade.core import SystemClock, TenantId
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, SyncTenantSessionFactory, TenancyError
from tests.servers import PostgresDatabase
from tests.unit.tenancy.attacks import ATTACKS, Attack
from tests.unit.tenancy.models import FOREIGN, OWN, Base, Note, foreign_state, isolate, seed

pytestmark = pytest.mark.postgres


@pytest.fixture
def system(postgres_database: PostgresDatabase) -> Iterator[Engine]:
    """An engine below isolation, on a database with all tables."""
    engine = create_engine(postgres_database.psycopg_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def engine(system: Engine, postgres_database: PostgresDatabase) -> AsyncIterator[AsyncEngine]:
    """An asyncpg engine on the same database, not isolated yet."""
    engine = create_async_engine(postgres_database.asyncpg_url)
    yield engine
    await engine.dispose()


def refill(system: Engine) -> dict[str, int]:
    """Put the database back to two tenants with a few rows each."""
    names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
    with system.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
    with Session(system) as session:
        return seed(session)


def attempt(session: Session, attack: Attack, ids: dict[str, int]) -> str:
    """Run an attack, commit what it left, and say how it ended."""
    ending = "filtered"
    try:
        if "foreign" in repr(attack.run(session, ids)):
            ending = "leaked"
    except TenancyError:
        ending = "refused"
    except SQLAlchemyError:
        ending = "error"
        session.rollback()
    if session.is_active:
        session.commit()
    return ending


async def test_attacks_through_asyncpg(system: Engine, engine: AsyncEngine) -> None:
    """Every attack ends as the table says, and the other tenant's rows are as they were."""
    isolation = isolate()
    isolation.install(engine)
    factory = isolation.session_factory(engine)
    endings = {}
    for attack in ATTACKS:
        ids = refill(system)
        with system.connect() as connection:
            before = foreign_state(connection)
        async with factory(OWN) as session:
            endings[attack.name] = await session.run_sync(attempt, attack, ids)
        with system.connect() as connection:
            if foreign_state(connection) != before:
                endings[attack.name] = "changed"
    expected = {attack.name: attack.ending for attack in ATTACKS}
    assert {name: end for name, end in endings.items() if end != expected[name]} == {}


def test_attacks_through_psycopg(system: Engine, postgres_database: PostgresDatabase) -> None:
    """The synchronous driver is no way around it."""
    engine = create_engine(postgres_database.psycopg_url)
    isolation = isolate()
    isolation.install(engine)
    factory = isolation.session_factory(engine)
    endings = {}
    for attack in ATTACKS:
        ids = refill(system)
        with system.connect() as connection:
            before = foreign_state(connection)
        with factory(OWN) as session:
            endings[attack.name] = attempt(session, attack, ids)
        with system.connect() as connection:
            if foreign_state(connection) != before:
                endings[attack.name] = "changed"
    engine.dispose()
    expected = {attack.name: attack.ending for attack in ATTACKS}
    assert {name: end for name, end in endings.items() if end != expected[name]} == {}


async def test_interleaved_tasks(system: Engine, engine: AsyncEngine) -> None:
    """Sixty tasks of two tenants, interleaved on few connections, see their own rows only."""
    refill(system)
    isolation = isolate()
    isolation.install(engine)
    factory = isolation.session_factory(engine)

    async def look(number: int) -> bool:
        tenant = (OWN, FOREIGN)[number % 2]
        seen = set()
        async with factory(tenant) as session:
            for _ in range(5):
                seen |= set(await session.scalars(select(Note.tenant_id)))
                stream = await session.stream_scalars(select(Note).execution_options(yield_per=1))
                async for note in stream:
                    await asyncio.sleep(0)
                    seen.add(note.tenant_id)
                await session.commit()
        return seen == {tenant}

    assert all(await asyncio.gather(*(look(number) for number in range(60))))


async def test_cancelled_task_leaves_nothing(system: Engine, engine: AsyncEngine) -> None:
    """A connection that comes back from a cancelled task carries no tenant to the next one."""
    refill(system)
    isolation = isolate()
    isolation.install(engine)
    factory = isolation.session_factory(engine)

    async def hang() -> None:
        async with factory(OWN) as session:
            await session.execute(select(func.pg_sleep(30)))

    task = asyncio.ensure_future(hang())
    # In a transaction, the server shows the activity of its start for ever.
    with system.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        while watcher.exec_driver_sql(asleep).scalar() == 0:  # noqa: ASYNC110 - the server says when.
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with factory(FOREIGN) as session:
        assert set(await session.scalars(select(Note.tenant_id))) == {FOREIGN}


async def test_canary(system: Engine, engine: AsyncEngine) -> None:
    """The canary proves an isolated engine with an ordinary role, and leaves no table behind."""
    isolation = isolate()
    isolation.install(engine)
    await isolation.canary(engine)
    count = "SELECT count(*) FROM pg_class WHERE starts_with(relname, 'stockade_canary')"
    with system.connect() as connection:
        assert connection.exec_driver_sql(count).scalar() == 0


async def test_canary_on_a_plain_engine(engine: AsyncEngine) -> None:
    """The canary stops the start where isolation was never installed."""
    with pytest.raises(ConfigurationError, match="not in force"):
        await isolate().canary(engine)


async def test_canary_without_temporary_tables(
    postgres_database: PostgresDatabase, engine: AsyncEngine
) -> None:
    """A role that may not create a temporary table gets an error that names the right it lacks."""
    name, role = postgres_database.name, postgres_database.role
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        connection.execute(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC, "{role}"')
        connection.execute(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
    isolation = isolate()
    isolation.install(engine)
    with pytest.raises(ConfigurationError, match="TEMPORARY"):
        await isolation.canary(engine)


class Schema(DeclarativeBase):
    pass


class Device(Schema):
    """A table in a schema of its own, with UUIDs as tenants and a key that carries the tenant."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("tenant_id", "id"), {"schema": "plant"})

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(Uuid(), index=True)
    name: Mapped[str]
    readings: Mapped[list[Reading]] = relationship(back_populates="device")


class Reading(Schema):
    __tablename__ = "reading"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "device_id"], [Device.tenant_id, Device.id]),
        {"schema": "plant"},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    device_id: Mapped[int]
    name: Mapped[str]
    device: Mapped[Device] = relationship(back_populates="readings")


ONE, TWO = (TenantId(str(UUID(int=number))) for number in (1, 2))


@pytest.fixture
def plant(postgres_database: PostgresDatabase) -> Iterator[SyncTenantSessionFactory]:
    """Sessions on the tables of the schema, filled for two tenants."""
    system = create_engine(postgres_database.psycopg_url)
    with system.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA plant")
        Schema.metadata.create_all(connection)
    system.dispose()
    engine = create_engine(postgres_database.psycopg_url)
    log = EventLog([MemorySink()], clock=SystemClock())
    isolation = Isolation(Schema, events=log)
    isolation.install(engine)
    factory = isolation.session_factory(engine)
    for tenant in (ONE, TWO):
        with factory(tenant) as session:
            device = Device(name=f"device {tenant}")
            device.readings = [Reading(name=f"reading {tenant}") for _ in range(2)]
            session.add(device)
            session.commit()
    yield factory
    engine.dispose()


def test_schema_and_uuid(plant: SyncTenantSessionFactory) -> None:
    """Tables of a schema and tenants of type UUID are isolated in reads, changes and deletions."""
    with plant(ONE) as session:
        assert set(session.scalars(select(Device.tenant_id))) == {UUID(ONE)}
        named = select(Device.name, Reading.name).join(Device.readings).order_by(Reading.id)
        assert len(session.execute(named).all()) == 2
        assert session.execute(update(Device).values(name="x")).rowcount == 1  # type: ignore[attr-defined]
        changed = update(Reading).where(Reading.device_id == Device.id).values(name=Device.name)
        assert session.execute(changed).rowcount == 2  # type: ignore[attr-defined]
        removed = delete(Reading).where(Reading.device_id == Device.id)
        assert session.execute(removed).rowcount == 2  # type: ignore[attr-defined]
        session.commit()
    with plant(TWO) as session:
        assert session.scalars(select(Device.name)).all() == [f"device {TWO}"]
        assert len(session.scalars(select(Reading)).all()) == 2


def test_composite_key_keeps_the_line(plant: SyncTenantSessionFactory) -> None:
    """Where the foreign key carries the tenant, the server refuses the other tenant's row."""
    with plant(TWO) as session:
        foreign = session.scalars(select(Device.id)).one()
    with plant(ONE) as session:
        session.add(Reading(device_id=foreign, name="forged"))
        with pytest.raises(IntegrityError):
            session.flush()


def test_postgresql_queries(plant: SyncTenantSessionFactory) -> None:
    """DISTINCT ON, SKIP LOCKED, FOR UPDATE OF, rows as JSON and LATERAL see the tenant's rows."""
    device: Any = Device.__table__
    near = select(Reading.name).where(Reading.device_id == Device.id).lateral("near")
    queries = [
        select(Device.name).ext(distinct_on(Device.tenant_id)),
        select(Device.name).with_for_update(skip_locked=True, of=Device),
        select(func.row_to_json(device.table_valued())),
        select(Device.name, near.c.name).join(near, true()),
        select(func.array_agg(aggregate_order_by(Reading.name, Reading.id.desc()))),
        select(func.count().filter(Device.name != "").over(partition_by=Device.tenant_id)),
    ]
    with plant(ONE) as session:
        for query in queries:
            rows = session.execute(query).all()
            assert rows
            assert TWO not in repr(rows)
