"""Every table gets a plan at start-up, and what has none stops the start."""

# Columns and tables of every type are passed around.
# ruff: noqa: ANN401
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Enum,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    column,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.ext.compiler import compiles, deregister
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry

from stockade.core import SystemClock
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenancySettings, TenantScoped, exempt
from stockade.tenancy.planning import Base as Bases
from stockade.tenancy.planning import plan_isolation
from tests.unit.tenancy.models import Base, Statistic

SETTINGS = TenancySettings()


def problems(bases: Bases, settings: TenancySettings = SETTINGS) -> list[str]:
    """Return what keeps an application from starting."""
    return plan_isolation(bases, settings).problems


def metadata(*columns: Any, **options: Any) -> MetaData:
    """Return one table ``doc`` with an id, beside a scoped table ``owner``."""
    found = MetaData()
    tenant = Column("tenant_id", String(36), nullable=False)
    Table(
        "owner",
        found,
        Column("id", Integer, primary_key=True),
        tenant,
        UniqueConstraint("tenant_id", "id"),
    )
    Table("doc", found, Column("id", Integer, primary_key=True), *columns, **options)
    return found


def test_kinds_of_tables() -> None:
    """Tables are scoped by column, through others, shared or exempt."""
    plan = plan_isolation(Base, SETTINGS)
    assert plan.problems == []
    own = {each.name for each, found in plan.tables.items() if found.column is not None}
    through = {each.name for each, found in plan.tables.items() if found.owners}
    shared = {each.name for each, found in plan.tables.items() if not found.scoped}
    assert own == {"tag", "folder", "note"}
    assert through == {"archive", "note_tag", "comment", "reaction", "attachment"}
    assert shared == {"country", "statistic"}


def test_own_column_without_mixin() -> None:
    """A column of the name is enough, on a model or on a bare table."""
    plan = plan_isolation(metadata(Column("tenant_id", Integer, nullable=False)), SETTINGS)
    assert {each.name: found.parameter for each, found in plan.tables.items()} == {
        "owner": "stockade_tenant_text",
        "doc": "stockade_tenant_integer",
    }


def test_attribute_of_another_name() -> None:
    """The attribute's name counts as a name of the tenant column."""

    class Local(DeclarativeBase):
        pass

    class Doc(Local):
        __tablename__ = "doc"
        id: Mapped[int] = mapped_column(primary_key=True)
        organisation: Mapped[str] = mapped_column("tenant_id")

    plan = plan_isolation(Local, SETTINGS)
    assert plan.tables[Doc.metadata.tables["doc"]].names == {"tenant_id", "organisation"}


def test_other_column_name() -> None:
    """The column's name is a setting."""
    settings = TenancySettings(column="org")
    found = metadata(Column("org", Integer, nullable=False))
    plan = plan_isolation([found, registry()], settings)
    assert plan.tables[found.tables["doc"]].parameter == "stockade_tenant_integer"


def test_key_with_tenant_needs_no_look_up() -> None:
    """A foreign key that carries the tenant column is kept by the database."""
    found = metadata(
        Column("tenant_id", String(36), nullable=False),
        Column("owner_id", Integer, nullable=False),
        ForeignKeyConstraint(["tenant_id", "owner_id"], ["owner.tenant_id", "owner.id"]),
    )
    assert plan_isolation(found, SETTINGS).tables[found.tables["doc"]].references == ()


class Folded(TypeDecorator[str]):
    """A type with a conversion of its own."""

    impl: Any = String
    cache_ok: bool | None = True


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (String(36), {"nullable": True}),
        (String(36), {"onupdate": "x"}),
        (String(36, collation="NOCASE"), {}),
        (CITEXT(), {}),
        (Enum("a", "b"), {}),
        (Float(), {}),
        (Folded(), {}),
    ],
    ids=["nullable", "onupdate", "collation", "citext", "enum", "float", "decorated"],
)
def test_tenant_column_that_proves_nothing(kind: Any, options: dict[str, Any]) -> None:
    """A tenant column is never empty, never changes, and has exact equality."""
    tenant = Column("tenant_id", kind, **{"nullable": False} | options)
    (line,) = problems(metadata(tenant))
    assert line.startswith("column doc.tenant_id")


def test_computed_tenant_column() -> None:
    """A tenant that the database computes is not the session's."""
    (line,) = problems(metadata(Column("tenant_id", String(36), Computed("'x'"), nullable=False)))
    assert line.startswith("column doc.tenant_id")


@pytest.mark.parametrize(
    "options",
    [{"default": 1}, {"server_default": "1"}, {"onupdate": 1}],
    ids=["default", "server_default", "onupdate"],
)
def test_reference_with_default(options: dict[str, Any]) -> None:
    """A default of a reference would be written without having been verified."""
    (line,) = problems(metadata(Column("owner_id", ForeignKey("owner.id"), **options)))
    assert line.startswith("column doc.owner_id")


def test_reference_to_nowhere() -> None:
    """A foreign key to an unknown table can't be followed."""
    (line,) = problems(metadata(Column("x_id", ForeignKey("unknown.id"))))
    assert "can't be followed" in line


def test_mixin_without_column() -> None:
    """A TenantScoped model whose column is called otherwise stops the start."""
    assert any("TenantScoped" in line for line in problems(Base, TenancySettings(column="org")))


def _mapped_to(selectable: Any, **options: Any) -> Bases:
    local = registry()
    kind = type("Doc", (), {})
    local.map_imperatively(kind, selectable, **options)
    return local


@pytest.mark.parametrize(
    "make",
    [
        lambda: text("SELECT 1").columns(column("id", Integer), column("tenant_id")).subquery("d"),
        lambda: select(table("doc", column("id", Integer), column("tenant_id"))).subquery("d"),
    ],
    ids=["text", "light table"],
)
def test_model_without_table(make: Callable[[], Any]) -> None:
    """A model that is mapped to SQL text or to a table nobody knows can't be filtered."""
    selectable = make()
    (line,) = problems(_mapped_to(selectable, primary_key=[selectable.c.id]))
    assert line.startswith("model Doc")


def test_model_of_a_query() -> None:
    """A model that is mapped to a query over known tables is filtered like the query."""
    found = metadata(Column("tenant_id", String(36), nullable=False))
    query = select(found.tables["doc"]).subquery("d")
    local = _mapped_to(query, primary_key=[query.c.id])
    assert plan_isolation([found, local], SETTINGS).problems == []


@pytest.mark.parametrize("kind", [Table, Column], ids=["table", "column"])
def test_foreign_compiler(kind: Any) -> None:
    """Somebody else's compiler for a core element would render past ours."""
    compiles(kind)(lambda *_, **__: "x")
    try:
        assert any(kind.__name__ in line for line in problems(MetaData()))
    finally:
        deregister(kind)


def test_check_names_every_problem() -> None:
    """The error has one line for each problem."""
    log = EventLog([MemorySink()], clock=SystemClock())
    broken = metadata(
        Column("tenant_id", String(36)),
        Column("owner_id", ForeignKey("owner.id"), default=1),
        CheckConstraint("1 = 1"),
    )
    with pytest.raises(ConfigurationError) as caught:
        Isolation(broken, events=log).check()
    assert len(str(caught.value).splitlines()) == 2


def test_exempt_without_reason() -> None:
    """An exemption needs a reason, in whichever way it is written."""
    with pytest.raises(ConfigurationError):
        exempt(Statistic, " ")

    class Local(DeclarativeBase):
        pass

    class Doc(TenantScoped, Local):
        __tablename__ = "doc"
        __tenant_exempt__ = ""
        id: Mapped[int] = mapped_column(primary_key=True)

    assert problems(Local) == ["table doc is exempt without a reason: write one"]


def test_exempt_with_reason() -> None:
    """A model or table that is exempt is shared; what points to it belongs to nobody."""
    found = metadata(Column("owner_id", ForeignKey("owner.id"), nullable=False))
    assert exempt(found.tables["owner"], "reviewed") is found.tables["owner"]
    plan = plan_isolation(found, SETTINGS)
    assert not any(each.scoped for each in plan.tables.values())


def test_exemption_is_not_inherited() -> None:
    """A subclass with a table of its own is not exempt with its parent."""

    class Local(DeclarativeBase):
        pass

    class Doc(TenantScoped, Local):
        __tablename__ = "doc"
        id: Mapped[int] = mapped_column(primary_key=True)

    exempt(Doc, "reviewed")

    class Paper(Doc):
        __tablename__ = "paper"
        __mapper_args__ = {"concrete": True}  # noqa: RUF012 - what SQLAlchemy reads.
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant_id: Mapped[str]

    plan = plan_isolation(Local, SETTINGS)
    assert {each.name: found.scoped for each, found in plan.tables.items()} == {
        "doc": False,
        "paper": True,
    }
