"""The hunt for leaks finds none in isolated sessions, and every one in others."""

# Bases and types of columns have no common type.
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.pool import StaticPool

from stockade.core import SystemClock, TenantId
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenantScoped
from stockade.testing import assert_isolated, assert_isolated_async
from stockade.testing.isolation import DRIVER_WAYS, WAYS
from tests.unit.tenancy.models import Base as Everything
from tests.unit.tenancy.models import Tag

# SQLite's grammar has no LATERAL; own relationships lead astray only where rows cross already.
SILENT = {
    "orm_lateral",
    "core_lateral",
    "connection_lateral",
    "objects_relationships",
    # It only asks whether a block of unsafe_raw() lets text in.
    "raw_block",
}


class Base(DeclarativeBase):
    pass


class Shelf(TenantScoped, Base):
    __tablename__ = "shelf"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(8))
    books: Mapped[list[Book]] = relationship(back_populates="shelf")


class Book(Base):
    """Belongs to the tenant of its shelf."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelf.id"))
    kind: Mapped[str] = mapped_column(Enum("novel", "poem"))
    pages: Mapped[int]
    cover: Mapped[bytes] = mapped_column(LargeBinary)
    shelf: Mapped[Shelf] = relationship(back_populates="books")


Make = Callable[[TenantId], Session]


@pytest.fixture
def plain() -> Iterator[Engine]:
    """An engine without isolation on an empty database with all tables."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        # Without it, SQLite keeps rows that point to nothing, which belong to nobody.
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
    for base in (Base, Everything):
        base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def isolated(plain: Engine, *bases: Any) -> Make:
    """Return sessions that are isolated."""
    engine = create_engine("sqlite://", pool=plain.pool)
    isolation = Isolation(bases, events=EventLog([MemorySink()], clock=SystemClock()))
    isolation.install(engine)
    return isolation.session_factory(engine)


class NaiveSession(Session):
    """Filters SELECT with loader criteria, as the usual recipe does."""


@event.listens_for(NaiveSession, "do_orm_execute")
def _filter(state: ORMExecuteState) -> None:
    tenant = state.session.info["tenant"]
    if state.is_select:
        state.statement = state.statement.options(
            with_loader_criteria(
                TenantScoped,
                lambda model: model.tenant_id == tenant,
                include_aliases=True,
            )
        )


def naive(plain: Engine) -> Make:
    """Return sessions that filter as the usual recipe does."""

    def make(tenant: TenantId) -> Session:
        return NaiveSession(plain, info={"tenant": tenant})

    return make


def leaking_ways(message: str) -> set[str]:
    """Return the ways that a message names."""
    lines = [line for line in message.splitlines() if ": returned" in line or ": changed" in line]
    return {way for line in lines for way in line.rsplit(": ", 1)[1].split(", ")}


def test_catalogue() -> None:
    """There are at least 120 ways, each with a name of its own."""
    names = [way.name for way in (*WAYS, *DRIVER_WAYS)]
    assert len(set(names)) == len(names) >= 120


def test_isolated_models(plain: Engine) -> None:
    """Every kind of table passes, and nothing that is planted stays."""
    report = assert_isolated(Everything, isolated(plain, Everything))
    assert report.leaks == report.broken == []
    assert set(report.models) >= {"Note", "Archive", "note_tag", "Comment", "Reaction"}
    assert report.tries > 2000
    assert report.refused > 500
    with Session(plain) as session:
        for table in Everything.metadata.sorted_tables:
            assert session.scalar(select(func.count()).select_from(table)) == 0


async def test_asynchronous_sessions(tmp_path: Path) -> None:
    """Asynchronous sessions are tried in the same ways."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    isolation = Isolation(Base, events=EventLog([MemorySink()], clock=SystemClock()))
    isolation.install(engine)
    report = await assert_isolated_async(Base, isolation.session_factory(engine))
    assert report.models == ["Shelf", "Book"]
    await engine.dispose()


def test_every_way_bites(plain: Engine) -> None:
    """Where nothing is isolated every way reaches the other tenant: none of them is idle."""
    with pytest.raises(AssertionError) as caught:
        assert_isolated(Base, lambda _: Session(plain), driver=True)
    names = {way.name for way in (*WAYS, *DRIVER_WAYS)}
    assert names - leaking_ways(str(caught.value)) == SILENT


def test_usual_recipe_is_caught(plain: Engine) -> None:
    """Loader criteria stop queries of the ORM, and nothing else."""
    with pytest.raises(AssertionError) as caught:
        assert_isolated(Base, naive(plain))
    shelf = "\n".join(line for line in str(caught.value).splitlines() if " Shelf:" in line)
    assert {"core_columns", "update_all", "text_plain", "objects_move", "insert_foreign"} <= (
        leaking_ways(shelf)
    )
    assert "orm_columns" not in leaking_ways(shelf)


def test_driver_is_beyond_reach(plain: Engine) -> None:
    """The cursor of the driver passes every session: the report says so when asked."""
    with pytest.raises(AssertionError) as caught:
        assert_isolated(Base, isolated(plain, Base), driver=True)
    assert leaking_ways(str(caught.value)) == {way.name for way in DRIVER_WAYS}


def test_too_strict_sessions_are_caught(plain: Engine) -> None:
    """A session that finds nothing is no isolation but a broken application."""

    class Blind(Session):
        pass

    @event.listens_for(Blind, "do_orm_execute")
    def _hide(state: ORMExecuteState) -> None:
        if state.is_select:
            state.statement = state.statement.where(False)  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="broken"):
        assert_isolated(Base, lambda _: Blind(plain))


def test_rows_of_others_stop_it(plain: Engine) -> None:
    """Where a tenant without rows sees some, nothing is written or deleted."""
    with Session(plain) as session:
        session.add(Shelf(name="kept", tenant_id="somebody"))
        session.commit()
    with pytest.raises(AssertionError, match="Shelf"):
        assert_isolated(Base, lambda _: Session(plain))
    with Session(plain) as session:
        assert session.scalars(select(Shelf.name)).all() == ["kept"]


def test_rows_of_others_stay(plain: Engine) -> None:
    """Rows that were there before are as they were."""
    with Session(plain) as session:
        session.add(Shelf(name="kept", tenant_id="somebody"))
        session.commit()
    assert_isolated(Base, isolated(plain, Base))
    with Session(plain) as session:
        assert session.scalars(select(Shelf.name)).all() == ["kept"]


@pytest.mark.parametrize("kind", [Integer(), Uuid(), Uuid(as_uuid=False), String(36)], ids=repr)
def test_kinds_of_tenants(kind: Any) -> None:
    """Tenants of every type are made up by themselves; tables need no model."""
    metadata = MetaData()
    Table(
        "thing",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("tenant_id", kind, nullable=False),
        Column("name", String(20)),
    )
    plain = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(plain)
    report = assert_isolated(metadata, isolated(plain, metadata))
    assert report.models == ["thing"]
    plain.dispose()


def test_given_tenants(plain: Engine) -> None:
    """Tenants may be given, such as where a column takes only some."""
    pair = (TenantId(str(UUID(int=1))), TenantId(str(UUID(int=2))))
    assert assert_isolated(Base, isolated(plain, Base), tenants=pair).leaks == []


class Odd(DeclarativeBase):
    pass


class Paper(TenantScoped, Odd):
    __tablename__ = "paper"

    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str] = mapped_column(String().with_variant(TSVECTOR(), "postgresql"))
    size: Mapped[Any] = mapped_column(TSVECTOR().with_variant(String(), "sqlite"))


def test_unknown_types() -> None:
    """A column that nothing is known about is named, and a given value mends it."""
    plain = create_engine("sqlite://", poolclass=StaticPool)
    Odd.metadata.create_all(plain)
    sessions = isolated(plain, Odd)

    class Unknown(DeclarativeBase):
        pass

    with pytest.raises(ConfigurationError):
        assert_isolated(Unknown, sessions)
    report = assert_isolated(Odd, sessions, rows={Paper: lambda: {"size": "1"}})
    assert report.models == ["Paper"]
    plain.dispose()


def test_rows_that_the_database_refuses(plain: Engine) -> None:
    """A row that can't be written is named instead of being left out."""
    with pytest.raises(AssertionError, match="Tag"):
        assert_isolated(Everything, isolated(plain, Everything), rows={Tag: lambda: {"name": None}})
    with Session(plain) as session:
        assert session.scalar(select(func.count()).select_from(Tag)) == 0
