"""The policies say what the compiler says, for every kind of table."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from pydantic import ValidationError
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, Uuid, create_engine
from sqlalchemy.types import TypeEngine

from stockade.core import SystemClock
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenancySettings
from stockade.tenancy.migration import write_migration
from stockade.tenancy.planning import plan_isolation
from stockade.tenancy.row_security import write_policies, write_table
from tests.unit.tenancy.models import Base, Country, Note, Statistic, Tag, isolate, note_tag

PLANS = isolate().plan.tables


def test_every_scoped_table_and_no_other() -> None:
    """Tables that belong to tenants get policies; shared and exempt ones don't."""
    text = "\n".join(write_policies(PLANS).upgrade)
    for table, plan in PLANS.items():
        for statement in ("ENABLE", "FORCE"):
            line = f"ALTER TABLE {table.name} {statement} ROW LEVEL SECURITY"
            assert (line in text) == plan.scoped
    assert not PLANS[Country.__table__].scoped  # type: ignore[index]
    assert not PLANS[Statistic.__table__].scoped  # type: ignore[index]


@pytest.mark.parametrize("table", [t for t, plan in PLANS.items() if plan.scoped], ids=str)
def test_reading_and_writing(table: Table) -> None:
    """Each table is closed for reading and for writing, to everybody."""
    first, *others = write_table(PLANS[table], PLANS)
    assert (first.command, first.permissive) == ("ALL", True)
    assert first.conditions.startswith("USING (")
    assert ") WITH CHECK (" in first.conditions
    # An empty setting is nobody.
    assert "nullif(current_setting('stockade.tenant_id', true), '')" in first.conditions
    assert [(p.command, p.permissive) for p in others] in (
        [],
        [("INSERT", False), ("UPDATE", False)],
    )


@pytest.mark.parametrize(
    ("model", "times"), [(Tag, "once"), (Note, "each row")], ids=["once", "each"]
)
def test_tenant_is_asked_for_once(model: type[Base], times: str) -> None:
    """It is a query of its own, but where PostgreSQL would take that for a policy in a circle."""
    table: Any = model.__table__
    first = next(write_table(PLANS[table], PLANS))
    asked = first.conditions.count("(SELECT nullif(")
    assert asked == (2 if times == "once" else 0)


def test_association_table_has_two_owners() -> None:
    """A row of an association table belongs to a tenant if both its ends do."""
    (policy,) = write_table(PLANS[note_tag], PLANS)
    using = policy.conditions.split(" WITH CHECK ", maxsplit=1)[0]
    assert using.count("EXISTS (SELECT 1 FROM note AS") == 1
    assert using.count("EXISTS (SELECT 1 FROM tag AS") == 1


@pytest.mark.parametrize(
    ("kind", "cast"),
    [
        (Integer(), "::bigint"),
        (Uuid(), "::uuid"),
        (Uuid(as_uuid=False), "::uuid"),
        (Uuid(native_uuid=False), ""),
        (String(36), ""),
    ],
    ids=repr,
)
def test_types(kind: TypeEngine[object], cast: str) -> None:
    """The setting is compared in the type of the column, never cut to it."""
    metadata = MetaData()
    table = Table("t", metadata, Column("tenant_id", kind, nullable=False))
    plans = plan_isolation(metadata, TenancySettings()).tables
    (policy,) = write_table(plans[table], plans)
    assert f"'stockade.tenant_id', true), ''){cast})" in policy.conditions


def test_odd_names_are_quoted() -> None:
    """Names of tables, columns, schemas and roles can't become SQL."""
    metadata = MetaData(schema="My Schema")
    Table('a"b:c%', metadata, Column("tenant_id", String, nullable=False))
    plans = plan_isolation(metadata, TenancySettings()).tables
    text = "\n".join(write_policies(plans, role="it's").upgrade)
    assert 'ON TABLE "My Schema"."a""b:c%" TO "it\'s"' in text
    assert "rolname = 'it''s'" in text
    compile(write_migration(plans, role="it's"), "migration", "exec")


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_migration_passes_over_other_databases(dialect: str) -> None:
    """One chain of migrations serves both: statements of PostgreSQL run there alone."""
    metadata = MetaData()
    Table("t", metadata, Column("tenant_id", String, nullable=False))
    module: dict[str, Any] = {}
    text = write_migration(plan_isolation(metadata, TenancySettings()).tables)
    exec(text, module)  # noqa: S102 - the migration that was just written
    for step, word in (("upgrade", "ENABLE"), ("downgrade", "DISABLE")):
        written = StringIO()
        options = {"as_sql": True, "output_buffer": written}
        with Operations.context(MigrationContext.configure(dialect_name=dialect, opts=options)):
            module[step]()
        assert (f"{word} ROW LEVEL SECURITY" in written.getvalue()) == (dialect == "postgresql")


def test_circles_are_named() -> None:
    """A key that a policy can't look up is named in the migration, and not in the policy."""
    metadata = MetaData()
    Table(
        "top",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("tenant_id", String, nullable=False),
    )
    part = Table(
        "part",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("top_id", ForeignKey("top.id"), nullable=False),
        Column("parent_id", ForeignKey("part.id")),
    )
    plans = plan_isolation(metadata, TenancySettings()).tables
    assert write_policies(plans).unverified == ("part.parent_id",)
    assert "part.parent_id" in write_migration(plans)
    assert [policy.command for policy in write_table(plans[part], plans)] == ["ALL"]


def test_fingerprint_changes_with_the_models() -> None:
    """A foreign key more makes another fingerprint, so an old policy is noticed."""
    note = Base.metadata.tables["note"]
    tag = Base.metadata.tables["tag"]
    assert len({p.fingerprint for t in (note, tag) for p in write_table(PLANS[t], PLANS)}) == 4


def test_needs_postgresql() -> None:
    """Where there is no row-level security it can't be switched on."""
    settings = TenancySettings(row_level_security="on")
    log = EventLog([MemorySink()], clock=SystemClock())
    isolation = Isolation(Base, settings=settings, events=log)
    with pytest.raises(ConfigurationError):
        isolation.install(create_engine("sqlite://"))


@pytest.mark.parametrize("role", ['a"b', "a b", "", "1a", "a" * 64])
def test_role_is_a_plain_name(role: str) -> None:
    """A role is a name that needs no quotes."""
    with pytest.raises(ValidationError):
        TenancySettings(row_level_security="on", role=role)


def test_role_alone_says_nothing() -> None:
    """A role without row-level security is a mistake, and no start."""
    with pytest.raises(ValidationError):
        TenancySettings(role="tenants")
