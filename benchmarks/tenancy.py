"""Measure what isolation costs per ORM statement, against an explicit tenant `where`.

All contenders take turns in one process, so the ratios hold on a busy machine. Without an argument
on SQLite in memory; with the URL of a database (``postgresql+psycopg://...`` or
``postgresql+asyncpg://...``), which gets tables of its own, there, and with row-level security. The
rows are compared as well: a faster query that returns other rows is no result.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    ForeignKey,
    create_engine,
    event,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    SessionTransaction,
    mapped_column,
    with_loader_criteria,
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.util import greenlet_spawn

from stockade.core import SystemClock, TenantId
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenancySettings, TenantScoped
from stockade.tenancy.row_security import write_policies
from stockade.tenancy.transactions import TenantTransaction

TENANTS = 50
ROWS = 40
ROUNDS = 100
CALLS = 16
OWN = TenantId("tenant-7")


@dataclass(frozen=True)
class Models:
    """One copy of the tables."""

    base: Any
    folder: Any
    note: Any


def make_models(prefix: str) -> Models:
    class Base(DeclarativeBase):
        pass

    class Folder(TenantScoped, Base):
        __tablename__ = f"{prefix}_folder"

        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    class Note(TenantScoped, Base):
        __tablename__ = f"{prefix}_note"

        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(index=True)
        folder_id: Mapped[int] = mapped_column(ForeignKey(f"{prefix}_folder.id"))

    return Models(Base, Folder, Note)


class Filtered(Session):
    """Filters with loader criteria, as the usual recipe does."""


@event.listens_for(Filtered, "do_orm_execute")
def _filter(state: ORMExecuteState) -> None:
    tenant = state.session.info["tenant"]
    state.statement = state.statement.options(
        with_loader_criteria(
            TenantScoped, lambda model: model.tenant_id == tenant, include_aliases=True
        )
    )


class Told(Session):
    """Tells PostgreSQL the tenant, and filters nothing by itself."""


@event.listens_for(Told, "after_begin")
def _tell(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    TenantTransaction().enter(connection, session.info["tenant"])


Operation = Callable[[Session], object]


def operations(models: Models, *, filters: bool, stamps: bool) -> dict[str, Operation]:
    """Return the work to do, as a team writes it with or without isolation."""
    note, folder = models.note, models.folder

    def own(statement: Any, *scoped: Any) -> Any:
        for model in scoped if filters else ():
            statement = statement.where(model.tenant_id == OWN)
        return statement

    given = {"tenant_id": OWN} if stamps else {}

    def add(session: Session) -> None:
        session.add(folder(name="new", **given))
        session.flush()

    def add_pointing(session: Session) -> None:
        if filters:
            # Whoever filters by hand has to look by hand whose the folder is.
            found = session.scalar(own(select(folder.id).where(folder.id == 7), folder))
            assert found == 7  # noqa: S101
        session.add(note(name="new", folder_id=7, **given))
        session.flush()

    def transaction(session: Session) -> Any:
        session.rollback()
        return session.scalars(own(select(note).where(note.name == "note 7-3"), note)).all()

    def savepoint(session: Session) -> Any:
        with session.begin_nested():
            return session.scalars(own(select(note).where(note.name == "note 7-3"), note)).all()

    joined = select(note, folder).join(folder, note.folder_id == folder.id)
    return {
        "one row by name": lambda s: s.scalars(
            own(select(note).where(note.name == "note 7-3"), note)
        ).all(),
        "page of 20": lambda s: s.scalars(
            own(select(note).order_by(note.id).limit(20), note)
        ).all(),
        "join": lambda s: s.execute(own(joined.where(note.name == "note 7-3"), note, folder)).all(),
        "update": lambda s: s.execute(
            own(update(folder).where(folder.id == 7).values(name="x"), folder)
        ),
        "insert": add,
        "insert, reference looked up": add_pointing,
        "transaction with one query": transaction,
        "savepoint with one query": savepoint,
    }


def fill(engine: Engine, models: Models) -> None:
    models.base.metadata.drop_all(engine)
    models.base.metadata.create_all(engine)
    with engine.begin() as connection:
        for tenant in range(1, TENANTS + 1):
            own = {"tenant_id": f"tenant-{tenant}"}
            # Its id is the number of the tenant, since nothing else was inserted.
            connection.execute(insert(models.folder), {"name": "folder", **own})
            rows = [
                {"name": f"note {tenant}-{number}", "folder_id": tenant, **own}
                for number in range(ROWS)
            ]
            connection.execute(insert(models.note), rows)


def isolated(url: str, plain: Engine, models: Models, **settings: Any) -> Callable[[], Session]:
    engine = create_engine(url, pool=plain.pool)
    log = EventLog([MemorySink()], clock=SystemClock())
    isolation = Isolation(models.base, settings=TenancySettings(**settings), events=log)
    isolation.install(engine)
    factory = isolation.session_factory(engine)
    return lambda: factory(OWN)


def contenders(url: str, plain: Engine) -> dict[str, tuple[Session, dict[str, Operation]]]:
    """Return an open session and the work for each; the first is what the others are held to."""
    open_tables = make_models("benchmark")
    fill(plain, open_tables)
    info = {"tenant": OWN}
    sessions: dict[str, tuple[Session, Models, bool, bool]] = {
        "explicit where": (Session(plain, expire_on_commit=False), open_tables, True, True),
        "loader criteria": (Filtered(plain, info=info), open_tables, False, True),
        "ours": (isolated(url, plain, open_tables)(), open_tables, False, False),
    }
    if plain.dialect.name == "postgresql":
        walled = make_models("benchmark_walled")
        fill(plain, walled)
        plan = Isolation(walled.base, events=EventLog([], clock=SystemClock())).plan
        with plain.begin() as connection:
            for statement in write_policies(plan.tables).upgrade:
                connection.exec_driver_sql(statement)
        both = isolated(url, plain, walled, row_level_security="on")
        sessions["RLS alone"] = (Told(plain, info=info), walled, False, True)
        sessions["ours and RLS"] = (both(), walled, False, False)
    return {
        name: (session, operations(models, filters=filters, stamps=stamps))
        for name, (session, models, filters, stamps) in sessions.items()
    }


def measure(session: Session, operation: Operation) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        operation(session)
    spent = (time.perf_counter() - started) / CALLS * 1e6
    session.rollback()
    return spent


def main(url: str) -> None:
    memory = url == "sqlite://"
    plain = create_engine(url, poolclass=StaticPool) if memory else create_engine(url)
    print(
        f"{url.rsplit('@', maxsplit=1)[-1]}: microseconds per statement, median of {ROUNDS} rounds;"
        " in brackets against the explicit where"
    )
    with ExitStack() as stack:
        runners = contenders(url, plain)
        for session, _ in runners.values():
            stack.enter_context(session)
        first, *others = runners
        for name in runners[first][1]:
            results = []
            for session, work in runners.values():
                results.append(work[name](session))
                session.rollback()
            if isinstance(results[0], list):
                assert all(len(r) == len(results[0]) > 0 for r in results)  # type: ignore[arg-type]  # noqa: S101
            rounds = [
                {who: measure(session, work[name]) for who, (session, work) in runners.items()}
                for _ in range(ROUNDS)
            ]
            parts = [f"{first} {statistics.median(r[first] for r in rounds):.0f}"]
            for who in others:
                ratio = statistics.median(r[who] / r[first] for r in rounds)
                cost = statistics.median(r[who] for r in rounds)
                parts.append(f"{who} {cost:.0f} ({ratio:.2f})")
            print(f"{name + ':':30}" + "  ".join(parts))
    plain.dispose()


def run(url: str) -> None:
    """Measure; through an asynchronous driver as an `AsyncSession` works with it."""
    if make_url(url).get_dialect().is_async:
        asyncio.run(greenlet_spawn(main, url))
    else:
        main(url)


if __name__ == "__main__":
    run(sys.argv[1] if len(sys.argv) > 1 else "sqlite://")
