"""The canary sings where isolation bites, and stops the start where it doesn't."""

# SQLAlchemy's listeners and types have no common type.
# ruff: noqa: ANN401
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.sql.compiler import SQLCompiler

from stockade.core.clock import SystemClock
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenantRequiredError
from stockade.tenancy.compiler import IsolatedCompiler
from stockade.tenancy.guard import StatementGuard
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import Base, isolate


async def test_proof_leaves_no_trace(database: Database) -> None:
    """After the proof neither the table nor its plan is there, and it can be repeated."""
    known = len(database.isolation.plan.tables)
    for _ in range(2):
        await database.isolation.canary(database.engine)
    with database.system.connect() as connection:
        assert connection.execute(text("SELECT name FROM sqlite_temp_master")).all() == []
    assert len(database.isolation.plan.tables) == known


async def test_proof_records_no_event() -> None:
    """What the proof provokes is no event; what comes after it is one."""
    sink = MemorySink()
    engine = create_engine("sqlite://")
    isolation = Isolation(Base, events=EventLog([sink], clock=SystemClock()))
    isolation.install(engine)

    await isolation.canary(engine)
    during = len(list(sink))
    with pytest.raises(TenantRequiredError):
        isolation.bind(None)
    engine.dispose()

    assert (during, len(list(sink))) == (0, 1)


async def test_asynchronous_engine() -> None:
    """The proof runs through aiosqlite."""
    engine = create_async_engine("sqlite+aiosqlite://")
    isolation = isolate()
    isolation.install(engine)
    await isolation.canary(engine)
    await engine.dispose()


async def test_engine_without_isolation(database: Database) -> None:
    """An engine on which nothing was installed does not pass."""
    with pytest.raises(ConfigurationError, match="not in force"):
        await database.isolation.canary(database.system)


def _drop_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IsolatedCompiler, "visit_table", SQLCompiler.visit_table)


def _drop_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IsolatedCompiler, "visit_update", SQLCompiler.visit_update)


def _drop_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    def pass_on(_guard: object, _c: object, clause: Any, many: Any, one: Any, _o: object) -> Any:
        return clause, many, one

    monkeypatch.setattr(StatementGuard, "before_execute", pass_on)


def _drop_last_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StatementGuard, "before_cursor_execute", lambda *_: None)


def _drop_write_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StatementGuard, "_review", lambda _self, _c, _w, rows, _b: rows)


@pytest.mark.parametrize(
    "damage", [_drop_filter, _drop_update, _drop_guard, _drop_last_gate, _drop_write_check]
)
async def test_each_part_is_proven(
    damage: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any one part out of force the start stops."""
    damage(monkeypatch)
    engine = create_engine("sqlite://")
    isolation: Isolation = isolate()
    isolation.install(engine)
    with pytest.raises(ConfigurationError, match="not in force"):
        await isolation.canary(engine)
    engine.dispose()


async def test_no_temporary_table(database: Database) -> None:
    """Where the table can't be made the error says so."""
    engine: Engine = database.engine
    event.listen(engine, "engine_connect", _forbid_temporary_tables)
    with pytest.raises(ConfigurationError, match="TEMPORARY"):
        await database.isolation.canary(engine)


def _forbid_temporary_tables(connection: Any) -> None:
    raw = connection.connection.driver_connection
    # 2 stands for SQLITE_CREATE_TABLE, 4 for its temporary kind; 1 denies and 0 allows.
    raw.set_authorizer(lambda action, *_: 1 if action == 4 else 0)
