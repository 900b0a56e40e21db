"""Work out, once at start-up, how each table of an application is isolated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Column,
    CompoundSelect,
    Delete,
    ForeignKeyConstraint,
    Insert,
    MetaData,
    Select,
    Table,
    TableClause,
    TextClause,
    TextualSelect,
    Update,
)
from sqlalchemy.exc import NoReferencedColumnError, NoReferencedTableError
from sqlalchemy.orm import DeclarativeBase, Mapper, registry
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, ColumnClause

from stockade.tenancy.identifiers import TenantKind
from stockade.tenancy.models import Reference, TablePlan
from stockade.tenancy.ownership import choose_owners, distances
from stockade.tenancy.scoping import TenantScoped, exemption
from stockade.tenancy.settings import TenancySettings

Base = type[DeclarativeBase] | registry | MetaData

# Were one of these compiled by somebody else, our compiler would never see it.
_CORE_ELEMENTS = (
    BindParameter,
    Column,
    ColumnClause,
    CompoundSelect,
    Delete,
    Insert,
    Select,
    Table,
    TableClause,
    Update,
)


@dataclass(slots=True)
class IsolationPlan:
    """The plans of all tables, and what keeps the application from starting.

    Attributes:
        tables: The plan of each known table; a table that is not here is refused.
        kinds: The ways in which tenant columns write down a tenant.
        problems: One line each.
    """

    tables: dict[Table, TablePlan] = field(default_factory=dict)
    kinds: dict[str, TenantKind] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def plan_isolation(bases: Base | Iterable[Base], settings: TenancySettings) -> IsolationPlan:
    """Plan every table of some declarative bases, registries or collections of tables."""
    return _Planner(bases, settings).plan()


class _Planner:
    def __init__(self, bases: Base | Iterable[Base], settings: TenancySettings) -> None:
        self._settings = settings
        self._mappers: list[Mapper[Any]] = []
        self._tables: list[Table] = []
        self._result = IsolationPlan()
        for base in [bases] if isinstance(bases, type | registry | MetaData) else bases:
            if not isinstance(base, MetaData):
                mapped = base if isinstance(base, registry) else base.registry
                mapped.configure()
                self._mappers.extend(mapped.mappers)
            metadata = base if isinstance(base, MetaData) else base.metadata
            self._tables.extend(metadata.tables.values())

    def plan(self) -> IsolationPlan:
        exempt = {table for table in self._tables if self._is_exempt(table)}
        columns = {
            table: column
            for table in self._tables
            if table not in exempt and (column := self._tenant_column(table)) is not None
        }
        self._check_compilers()
        self._check_mappers(columns.keys() | exempt)
        targets = {table: self._targets(table) for table in self._tables if table not in exempt}
        steps = distances(columns, targets)
        references = {table: self._references(table, steps, columns) for table in targets}
        followed = {table: refs for table, refs in references.items() if table not in columns}
        owners = choose_owners(followed, steps)
        for table in self._tables:
            column = columns.get(table)
            self._result.tables[table] = TablePlan(
                table=table,
                column=column,
                names=frozenset() if column is None else self._names(table, column),
                parameter="" if column is None else self._kind(table, column),
                owners=owners.get(table, ()),
                references=references.get(table, ()),
            )
        return self._result

    def _problem(self, text: str) -> None:
        self._result.problems.append(text)

    def _models(self, table: Table) -> tuple[type[object], ...]:
        return tuple(m.class_ for m in self._mappers if m.local_table is table and not m.single)

    def _is_exempt(self, table: Table) -> bool:
        reason = exemption(table, self._models(table))
        if reason == "":
            self._problem(f"table {table.fullname} is exempt without a reason: write one")
        return bool(reason)

    def _tenant_column(self, table: Table) -> Column[Any] | None:
        found = next((c for c in table.columns if c.name == self._settings.column), None)
        if found is not None and found.nullable:
            self._problem(
                f"column {table.fullname}.{found.name} is nullable: a row without a tenant would "
                "belong to nobody; make it NOT NULL, or exempt the model with a reason"
            )
        if found is not None and (found.onupdate is not None or found.computed is not None):
            self._problem(
                f"column {table.fullname}.{found.name} is computed or has onupdate=: "
                "the tenant of a row never changes; remove it"
            )
        return found

    def _kind(self, table: Table, column: Column[Any]) -> str:
        try:
            kind = TenantKind(column)
        except TypeError:
            self._problem(
                f"column {table.fullname}.{column.name} has type {column.type!r}: a tenant column "
                "is String or Text without a collation of its own, Integer, or Uuid"
            )
            return ""
        known = self._result.kinds.setdefault(kind.name, kind)
        known.length = min(known.length, kind.length)
        return kind.parameter

    def _names(self, table: Table, column: Column[Any]) -> frozenset[str]:
        """Return the names a statement may use for a column: its key and every attribute's."""
        attributes = {
            mapper.get_property_by_column(column).key
            for mapper in self._mappers
            if table in mapper.tables and column in mapper.columns.values()
        }
        return frozenset({column.key, column.name} | attributes)

    def _targets(self, table: Table) -> set[Table]:
        return {c.referred_table for c in table.foreign_key_constraints if self._resolves(c)}

    def _resolves(self, constraint: ForeignKeyConstraint) -> bool:
        try:
            return all(element.column is not None for element in constraint.elements)
        except (NoReferencedTableError, NoReferencedColumnError) as error:
            line = f"a foreign key can't be followed, so it can't be verified: {error}"
            if line not in self._result.problems:
                self._problem(line)
            return False

    def _references(
        self, table: Table, steps: dict[Table, int], columns: dict[Table, Column[Any]]
    ) -> tuple[Reference, ...]:
        """Return the foreign keys of a table to rows of tenants, in a fixed order."""
        found = []
        for constraint in sorted(table.foreign_key_constraints, key=_column_names):
            if not self._resolves(constraint) or constraint.referred_table not in steps:
                continue
            pairs = [(element.parent, element.column) for element in constraint.elements]
            own, other = columns.get(table), columns.get(constraint.referred_table)
            # A key that carries the tenant can't point to another tenant's row: the database
            # itself sees to that.
            if own is not None and any(a is own and b is other for a, b in pairs):
                continue
            found.append(
                Reference(
                    local=tuple((local, self._names(table, local)) for local, _ in pairs),
                    remote=tuple(remote for _, remote in pairs),
                    target=constraint.referred_table,
                    nullable=any(local.nullable for local, _ in pairs),
                )
            )
            self._check_defaults(table, [local for local, _ in pairs])
        return tuple(found)

    def _check_defaults(self, table: Table, columns: list[Column[Any]]) -> None:
        for column in columns:
            if column.default or column.onupdate or column.server_default or column.computed:
                self._problem(
                    f"column {table.fullname}.{column.name} points to rows of a tenant and has a "
                    "default: its value can't be verified; remove the default"
                )

    def _check_compilers(self) -> None:
        for element in _CORE_ELEMENTS:
            if hasattr(element, "_compiler_dispatcher"):
                self._problem(
                    f"@compiles({element.__name__}) replaces how SQLAlchemy renders it: isolation "
                    "can't be proven; remove it"
                )

    def _check_mappers(self, known: set[Table]) -> None:
        for mapper in self._mappers:
            name = mapper.class_.__name__
            if issubclass(mapper.class_, TenantScoped) and not known.intersection(mapper.tables):
                self._problem(
                    f"model {name} is TenantScoped but has no column {self._settings.column!r}: "
                    "set TenancySettings.column, or name the column so"
                )
            if self._settings.column in mapper.columns and _is_opaque(mapper, set(self._tables)):
                self._problem(
                    f"model {name} is mapped to something that is not a table of its metadata: "
                    "its rows can't be filtered; map it to a table"
                )


def _is_opaque(mapper: Mapper[Any], tables: set[Table]) -> bool:
    return any(
        isinstance(part, TextClause | TextualSelect)
        or (isinstance(part, TableClause) and part not in tables)
        for part in visitors.iterate(mapper.local_table)
    )


def _column_names(constraint: ForeignKeyConstraint) -> list[str]:
    return [element.parent.name for element in constraint.elements]
