"""A session, and only it, decides whose rows its statements see."""

# SQLAlchemy's listeners and types have no common type.
# ruff: noqa: ANN401
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session, make_transient_to_detached

from stockade.core import TenantId
from stockade.tenancy import (
    CrossTenantError,
    OpaqueSQLError,
    TenantRequiredError,
    TenantSession,
    TenantSessionFactory,
)
from stockade.tenancy.guard import BINDING_OPTION
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import FOREIGN, OWN, Base, Country, Note, Tag, isolate, seed

TENANTS = (OWN, FOREIGN)


@pytest.fixture
async def factory(tmp_path: Path) -> AsyncIterator[TenantSessionFactory]:
    """Sessions on a SQLite file, through aiosqlite."""
    system = create_engine(f"sqlite:///{tmp_path / 'db'}")
    Base.metadata.create_all(system)
    with Session(system) as session:
        seed(session)
    system.dispose()
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'db'}")
    isolation = isolate()
    isolation.install(engine)
    yield isolation.session_factory(engine)
    await engine.dispose()


@pytest.mark.parametrize("tenant", [None, ""])
def test_no_tenant(database: Database, tenant: TenantId | None) -> None:
    """A session without a tenant is refused, with an event."""
    with pytest.raises(TenantRequiredError) as caught:
        database.factory(tenant)
    assert caught.value.code == "tenant_required"
    assert [e.reason for e in database.sink.named("tenancy.refused")] == ["tenancy.no_tenant"]


def test_connection_without_session(database: Database) -> None:
    """The isolated engine serves nothing to a connection that no session has bound."""
    with database.engine.connect() as connection:
        for attempt in (select(Note), insert(Tag).values(name="x"), text("SELECT 1")):
            with pytest.raises(TenantRequiredError):
                connection.execute(attempt)
        with pytest.raises(TenantRequiredError):
            connection.exec_driver_sql("SELECT 1")


def test_plain_session(database: Database) -> None:
    """SQLAlchemy's own session on the isolated engine is refused as well."""
    with Session(database.engine) as session, pytest.raises(TenantRequiredError):
        session.scalars(select(Note)).all()


@pytest.mark.parametrize("value", [OWN, {"tenant_id": OWN}, object()])
def test_forged_option(database: Database, value: Any) -> None:
    """Only what the session itself puts on a connection is taken for a tenant."""
    with database.engine.connect() as connection, pytest.raises(TenantRequiredError):
        connection.execution_options(**{BINDING_OPTION: value}).execute(select(Note))


def test_option_of_a_statement(database: Database) -> None:
    """The tenant of another session, given as an option of the statement, changes nothing."""
    options = {BINDING_OPTION: database.isolation.bind(FOREIGN)}
    with database.factory(OWN) as session:
        assert set(session.scalars(select(Note.tenant_id), execution_options=options)) == {OWN}
        assert set(session.scalars(select(Note.tenant_id).execution_options(**options))) == {OWN}


def test_pooled_connection_forgets(database: Database) -> None:
    """The tenant goes with the transaction; the pooled connection carries nothing on."""
    with database.factory(OWN) as session:
        session.scalars(select(Note)).all()
    with database.engine.connect() as connection, pytest.raises(TenantRequiredError):
        connection.execute(select(Note))


def test_session_lives_on_after_commit(database: Database) -> None:
    """Each transaction of a session is bound, also after commit, rollback and close."""
    with database.factory(OWN) as session:
        for end in (session.commit, session.rollback, session.close):
            assert set(session.scalars(select(Note.tenant_id))) == {OWN}
            end()
        assert session.tenant_id == OWN


def test_two_sessions_in_turn(database: Database) -> None:
    """Sessions of two tenants in one function see their own rows, statement by statement."""
    with database.factory(OWN) as left, database.factory(FOREIGN) as right:
        streams = [iter(each.scalars(select(Note.tenant_id))) for each in (left, right)]
        for _ in range(2):
            assert [next(stream) for stream in streams] == [OWN, FOREIGN]


def test_statement_cache_is_shared(database: Database) -> None:
    """One compiled statement serves all tenants, each with its own value."""
    compiled = []

    def note(_c: object, _cursor: object, _s: str, _p: object, context: Any, _m: bool) -> None:
        compiled.append(context.compiled)

    event.listen(database.engine, "before_cursor_execute", note)
    for tenant in TENANTS * 2:
        with database.factory(tenant) as session:
            assert set(session.scalars(select(Note.tenant_id))) == {tenant}
    assert len({id(each) for each in compiled}) == 1


def test_other_engine(database: Database) -> None:
    """A tenant's session can't be talked into another engine."""
    with database.factory(OWN) as session:
        with pytest.raises(OpaqueSQLError):
            session.execute(select(Note), bind_arguments={"bind": database.system})
        for _ in range(2):
            with pytest.raises(OpaqueSQLError):
                session.connection(bind_arguments={"bind": database.system})
        assert set(session.scalars(select(Note.tenant_id))) == {OWN}
        session.bind = database.system
        with pytest.raises(OpaqueSQLError):
            session.scalars(select(Note)).all()
    with pytest.raises(OpaqueSQLError):
        _with_binds(database).scalars(select(Note)).all()


def _with_binds(database: Database) -> TenantSession:
    isolation = database.isolation
    return TenantSession(
        database.engine,
        objects=isolation._objects,
        binding=isolation.bind(OWN),
        binds={Note: database.system},
    )


def test_object_of_another_session(database: Database) -> None:
    """An object that another tenant's session loaded can't be added or merged."""
    with database.factory(FOREIGN) as session:
        note = session.scalars(select(Note)).first()
        assert note is not None
        session.expunge(note)
    with database.factory(OWN) as session:
        for attempt in (session.add, session.merge, lambda each: session.merge_all([each])):
            with pytest.raises(CrossTenantError) as caught:
                attempt(note)
            assert caught.value.reason == "tenancy.foreign_object"
        assert session.get(Note, note.id) is None


def test_merge_of_own_object(database: Database) -> None:
    """Own objects are merged, alone and together; without loading they are refused."""
    with database.factory(OWN) as session:
        own = Note(id=database.ids["own_note"], name="merged")
        assert session.merge(own).name == "merged"
        assert len(session.merge_all([own, Country(name="Norway")])) == 2
        make_transient_to_detached(detached := Note(id=database.ids["own_child"]))
        with pytest.raises(OpaqueSQLError):
            session.merge(detached, load=False)


def test_threads(tmp_path: Path) -> None:
    """Threads with sessions of different tenants do not mix."""
    system = create_engine(f"sqlite:///{tmp_path / 'db'}")
    Base.metadata.create_all(system)
    with Session(system) as session:
        seed(session)
    engine = create_engine(system.url)
    isolation = isolate()
    isolation.install(engine)
    factory = isolation.session_factory(engine)

    def look(number: int) -> bool:
        tenant = TENANTS[number % 2]
        seen = set()
        for _ in range(10):
            with factory(tenant) as session:
                seen |= {note.tenant_id for note in session.scalars(select(Note))}
        return seen == {tenant}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(40)))
    for each in (engine, system):
        each.dispose()


async def test_interleaved_tasks(factory: TenantSessionFactory) -> None:
    """Sixty tasks that give way between their statements see their own rows only."""

    async def look(number: int) -> bool:
        tenant = TENANTS[number % 2]
        seen = set()
        async with factory(tenant) as session:
            for _ in range(3):
                seen |= set(await session.scalars(select(Note.tenant_id)))
                await asyncio.sleep(0)
                async for note in await session.stream_scalars(select(Note)):
                    seen.add(note.tenant_id)
                    await asyncio.sleep(0)
                await session.rollback()
        return seen == {tenant}

    assert all(await asyncio.gather(*(look(number) for number in range(60))))


async def test_sessions_shared_by_tasks(factory: TenantSessionFactory) -> None:
    """The tenant comes from the session, whichever task or context uses it."""
    sessions = {tenant: factory(tenant) for tenant in TENANTS}

    async def look(tenant: TenantId) -> set[str]:
        return set(await sessions[tenant].scalars(select(Note.tenant_id)))

    for tenant in TENANTS * 2:
        task = asyncio.get_running_loop().create_task(look(tenant), context=copy_context())
        assert await task == {tenant}
    for session in sessions.values():
        await session.close()


async def test_run_sync_and_lazy_loads(factory: TenantSessionFactory) -> None:
    """Code that runs inside run_sync(), and its lazy loads, are the session's too."""
    async with factory(OWN) as session:
        loaded = await session.run_sync(
            lambda s: [tag.name for note in s.scalars(select(Note)) for tag in note.tags]
        )
        assert loaded == ["own tag"]


async def test_async_connection(factory: TenantSessionFactory) -> None:
    """The asynchronous connection of a session is bound; raw SQL on it is refused."""
    async with factory(OWN) as session:
        connection = await session.connection()
        assert set((await connection.execute(select(Note.tenant_id))).scalars()) == {OWN}
        for attempt in (
            connection.execute(text("SELECT 1")),
            connection.exec_driver_sql("SELECT 1"),
        ):
            with pytest.raises(OpaqueSQLError):
                await attempt


async def test_async_engine_without_session(tmp_path: Path) -> None:
    """An asynchronous engine refuses a connection without a tenant."""
    engine: AsyncEngine = create_async_engine("sqlite+aiosqlite://")
    isolate().install(engine)
    async with engine.connect() as connection:
        with pytest.raises(TenantRequiredError):
            await connection.execute(select(Note))
    await engine.dispose()
