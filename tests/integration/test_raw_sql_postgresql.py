"""Blocks of unsafe_raw() on a real PostgreSQL, through both drivers, with and without policies."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable, DropTable

from stockade.core import SystemClock
from stockade.events import EventLog, MemorySink
from stockade.tenancy import (
    CrossTenantError,
    Isolation,
    OpaqueSQLError,
    TenancySettings,
    unsafe_raw,
)
from tests.integration.test_row_security_postgresql import Walled, asynchronous, walled
from tests.unit.tenancy.models import FOREIGN, OWN, Base, Note

__all__ = ["asynchronous", "walled"]
pytestmark = pytest.mark.postgres

TRIED = unsafe_raw("tried by the tests of this module")
TENANTS = text("SELECT DISTINCT tenant_id FROM note ORDER BY 1")
# What takes the tenant or the role from a transaction, or is no reading or writing of rows.
CHANGES_WHO_ASKS = (
    "RESET ROLE",
    "SELECT set_config('stockade.tenant_id', 'tenant-foreign', true)",
    "COMMIT",
    "ALTER TABLE note DISABLE ROW LEVEL SECURITY",
)


def isolate(walled: Walled, mode: str, sink: MemorySink) -> Isolation:
    """Isolate the tables, and keep the events."""
    role = None if mode == "off" else walled.role
    settings = TenancySettings.model_validate({"row_level_security": mode, "role": role})
    return Isolation(Base, settings=settings, events=EventLog([sink], clock=SystemClock()))


def policies(walled: Walled, state: str) -> None:
    """Enable the policies of all tables, or disable them."""
    tables = [table.name for table in Base.metadata.sorted_tables]
    walled.execute(*(f'ALTER TABLE "{name}" {state} ROW LEVEL SECURITY' for name in tables))


def try_without_policies(session: Session) -> None:
    """Let text in that nothing holds, and see that it ends."""
    with TRIED(session):
        assert set(session.scalars(TENANTS)) == {OWN, FOREIGN}
        assert set(session.connection().exec_driver_sql(str(TENANTS)).scalars()) == {OWN, FOREIGN}
        assert set(session.scalars(select(Note.tenant_id).where(text("1=1 OR 1=1")))) == {OWN}
        changed: Any = session.execute(
            update(Note)
            .where(text("1=1 OR 1=1"))
            .values(name=Note.name)
            .execution_options(synchronize_session=False)
        )
        assert changed.rowcount == 2
        foreign = select(Note).from_statement(text("SELECT * FROM note"))
        with pytest.raises(CrossTenantError):
            session.scalars(foreign).all()
        assert {note.tenant_id for note in session if isinstance(note, Note)} <= {OWN}
        session.execute(text("LOCK TABLE note IN SHARE MODE"))
        table = Base.metadata.tables["country"].to_metadata(Base.metadata.__class__(), name="made")
        session.execute(CreateTable(table))
        session.execute(DropTable(table))
        late = session.execute(
            text("SELECT name FROM note ORDER BY id"), execution_options={"yield_per": 1}
        )
        next(late)
    assert len(late.all()) == 4
    refused: list[Any] = [TENANTS, select(Note).where(text("1=1 OR 1=1")), CreateTable(table)]
    for statement in refused:
        with pytest.raises(OpaqueSQLError):
            session.execute(statement)
    with pytest.raises(OpaqueSQLError):
        session.connection().exec_driver_sql(str(TENANTS))


def try_with_policies(session: Session, mode: str) -> None:
    """Let text in that the policies hold, and nothing that would take them away."""
    with TRIED(session):
        assert session.scalars(TENANTS).all() == [OWN]
        assert session.connection().exec_driver_sql(str(TENANTS)).scalars().all() == [OWN]
        query = select(Note).from_statement(text("SELECT * FROM note"))
        assert {note.tenant_id for note in session.scalars(query)} == {OWN}
        for statement in CHANGES_WHO_ASKS:
            escaped = text(statement.replace(":", r"\:"))
            for made in (escaped, select(Note).from_statement(escaped)):
                with pytest.raises(OpaqueSQLError):
                    session.execute(made)
            with pytest.raises(OpaqueSQLError):
                session.connection().exec_driver_sql(statement)
        with pytest.raises(OpaqueSQLError):
            session.execute(CreateTable(Base.metadata.tables["country"]))
        assert session.scalars(TENANTS).all() == [OWN]
    if mode == "raw_sql":
        assert session.scalars(TENANTS).all() == [OWN]
        return
    for made in (TENANTS, select(Note).where(text("1=1 OR 1=1")), query):
        with pytest.raises(OpaqueSQLError):
            session.execute(made)
    with pytest.raises(OpaqueSQLError):
        session.connection().exec_driver_sql(str(TENANTS))


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_nothing_holds_it(walled: Walled, asynchronous: AsyncEngine, driver: str) -> None:
    """Without policies a block reads everybody's rows, says so, and ends."""
    walled.refill()
    policies(walled, "DISABLE")
    sink = MemorySink()
    isolation = isolate(walled, "off", sink)
    if driver == "asyncpg":
        isolation.install(asynchronous)
        async with isolation.session_factory(asynchronous)(OWN) as session:
            await session.run_sync(try_without_policies)
            await try_stream(session)
    else:
        engine = create_engine(walled.database.psycopg_url)
        isolation.install(engine)
        with isolation.session_factory(engine)(OWN) as plain:
            try_without_policies(plain)
        engine.dispose()
    assert {e.details["held_by"] for e in sink.named("tenancy.raw_sql")} == {"nothing"}


async def try_stream(session: AsyncSession) -> None:
    """Stream rows whose statement ran in a block, past its end."""
    with TRIED(session):
        stream = await session.stream_scalars(text("SELECT name FROM note ORDER BY id"))
        await anext(stream)
    assert len(await stream.all()) == 4
    with pytest.raises(OpaqueSQLError):
        await session.stream_scalars(text("SELECT name FROM note"))


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("mode", ["on", "raw_sql"])
async def test_policies_hold_it(
    walled: Walled, asynchronous: AsyncEngine, driver: str, mode: str
) -> None:
    """With policies a block reads the tenant's rows, and can't say that somebody else asks."""
    walled.refill()
    sink = MemorySink()
    isolation = isolate(walled, mode, sink)
    if driver == "asyncpg":
        isolation.install(asynchronous)
        await isolation.canary(asynchronous)
        async with isolation.session_factory(asynchronous)(OWN) as session:
            await session.run_sync(try_with_policies, mode)
    else:
        engine = create_engine(walled.database.psycopg_url)
        isolation.install(engine)
        await isolation.canary(engine)
        with isolation.session_factory(engine)(OWN) as plain:
            try_with_policies(plain, mode)
        engine.dispose()
    assert {e.details["held_by"] for e in sink.named("tenancy.raw_sql")} == {"row-level security"}


async def test_what_policies_do_not_hold_is_named(
    walled: Walled, asynchronous: AsyncEngine
) -> None:
    """A table within reach that isolation does not know is no part of what is held."""
    walled.execute(f"CREATE TABLE ledger (id int); GRANT SELECT ON ledger TO {walled.role}")
    isolation = isolate(walled, "on", MemorySink())
    assert isolation.raw_sql_held_by == "unverified"
    isolation.install(asynchronous)
    await isolation.canary(asynchronous)
    assert isolation.raw_sql_held_by == "row-level security, but for public.ledger"
