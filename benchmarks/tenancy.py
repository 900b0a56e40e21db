"""Measure what isolation costs per ORM statement, against an explicit tenant `where`.

Both run in turn in one process, so the ratio holds on a busy machine. Without an argument on SQLite
in memory; with the URL of a database (``postgresql+psycopg://...``) there. The rows are compared as
well: a faster query that returns other rows is no result.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from sqlalchemy import Engine, ForeignKey, create_engine, delete, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from stockade.core import SystemClock, TenantId
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenantScoped

TENANTS = 50
ROWS = 40
ROUNDS = 40
CALLS = 50
OWN = TenantId("tenant-7")


class Base(DeclarativeBase):
    """The tables of the benchmark."""


class Folder(TenantScoped, Base):
    """What a note points to."""

    __tablename__ = "benchmark_folder"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Note(TenantScoped, Base):
    """What is read and written."""

    __tablename__ = "benchmark_note"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    folder_id: Mapped[int] = mapped_column(ForeignKey("benchmark_folder.id"))


Operation = Callable[[Session], object]


def operations(*, explicit: bool) -> dict[str, Operation]:
    """Return the work to do, as a team writes it with or without isolation."""

    def own(statement: object, *models: type[TenantScoped]) -> object:
        for model in models if explicit else ():
            statement = statement.where(model.tenant_id == OWN)  # type: ignore[attr-defined]
        return statement

    given = {"tenant_id": OWN} if explicit else {}

    def add(session: Session) -> None:
        session.add(Folder(name="new", **given))
        session.flush()

    def add_pointing(session: Session) -> None:
        session.add(Note(name="new", folder_id=7, **given))
        session.flush()

    joined = select(Note, Folder).join(Folder, Note.folder_id == Folder.id)
    return {
        "one row by name": lambda s: s.scalars(
            own(select(Note).where(Note.name == "note 7-3"), Note)
        ).all(),
        "page of 20": lambda s: s.scalars(
            own(select(Note).order_by(Note.id).limit(20), Note)
        ).all(),
        "join": lambda s: s.execute(own(joined.where(Note.name == "note 7-3"), Note, Folder)).all(),
        "update": lambda s: s.execute(
            own(update(Folder).where(Folder.id == 7).values(name="x"), Folder)
        ),
        "insert": add,
        "insert with reference": add_pointing,
    }


def fill(engine: Engine) -> None:
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for tenant in range(1, TENANTS + 1):
            own = {"tenant_id": f"tenant-{tenant}"}
            # Its id is the number of the tenant, since nothing else was inserted.
            connection.execute(insert(Folder), {"name": "folder", **own})
            rows = [
                {"name": f"note {tenant}-{number}", "folder_id": tenant, **own}
                for number in range(ROWS)
            ]
            connection.execute(insert(Note), rows)


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
    fill(plain)
    isolated = create_engine(url, pool=plain.pool) if memory else create_engine(url)
    isolation = Isolation(Base, events=EventLog([MemorySink()], clock=SystemClock()))
    isolation.install(isolated)
    factory = isolation.session_factory(isolated)
    by_hand, by_us = operations(explicit=True), operations(explicit=False)
    print(
        f"{url.rsplit('@', maxsplit=1)[-1]}: microseconds per statement, median of {ROUNDS} rounds"
    )
    with Session(plain, expire_on_commit=False) as left, factory(OWN) as right:
        for name, operation in by_hand.items():
            first = operation(left)
            left.rollback()
            second = by_us[name](right)
            right.rollback()
            if isinstance(first, list) and isinstance(second, list):
                assert len(first) == len(second) > 0  # noqa: S101
            pairs = [(measure(left, operation), measure(right, by_us[name])) for _ in range(ROUNDS)]
            hand, us = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(ours / theirs for theirs, ours in pairs)
            print(f"{name:24} explicit {hand:7.0f}  isolated {us:7.0f}  ratio {ratio:.2f}")
    with plain.begin() as connection:
        connection.execute(delete(Note))
    plain.dispose()
    isolated.dispose()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite://")
