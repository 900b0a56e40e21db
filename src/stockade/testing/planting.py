"""Plant rows of two tenants in an application's own tables, made from its columns."""

# Models and values have any type.
# ruff: noqa: ANN401
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, Table, and_, delete, false, insert, or_, select, tuple_
from sqlalchemy.orm import Mapper, Session

from stockade.core.identity import TenantId
from stockade.tenancy.models import Reference, TablePlan
from stockade.tenancy.planning import IsolationPlan
from stockade.testing.values import make_value, makes_itself

Key = tuple[Any, ...]
Row = dict[str, Any]
Given = Mapping[Any, Callable[[], Mapping[str, Any]]]

_OPEN: Final = object()


class PlantingError(Exception):
    """A row can't be made; the text says for which model and why."""


@dataclass(frozen=True, eq=False)
class Target:
    """A model, or a table without one, whose rows belong to tenants.

    Args:
        table: Its own table.
        mapper: Its mapper; None for a table without a model.
        plan: How the table is isolated.
        given: Makes values in place of those that would be made from the columns.
    """

    table: Table
    mapper: Mapper[Any] | None
    plan: TablePlan
    given: Callable[[], Mapping[str, Any]] = dict

    @property
    def name(self) -> str:
        """How findings name it."""
        return self.table.fullname if self.mapper is None else self.mapper.class_.__name__

    @property
    def keys(self) -> tuple[Column[Any], ...]:
        """Columns of its primary key."""
        return tuple(self.table.primary_key.columns)

    @property
    def tables(self) -> tuple[Any, ...]:
        """All tables that a row of it takes."""
        return (self.table,) if self.mapper is None else tuple(self.mapper.tables)

    def attribute(self, column: Column[Any]) -> str:
        """Return the name by which a row is given a value for a column."""
        return column.key if self.mapper is None else self.mapper.get_property_by_column(column).key


@dataclass
class World:
    """What was planted.

    Attributes:
        keys: The planted row of each target, by tenant.
        values: Values of the planted row of each table by tenant, to point to.
        shared: Tables whose rows are everybody's and that were given one to point to.
        looks: What the tenants saw when somebody looked last; None since rows were planted.
    """

    targets: list[Target]
    tenants: tuple[TenantId, TenantId]
    converted: dict[str, tuple[object, object]]
    keys: dict[tuple[Target, TenantId], Key] = field(default_factory=dict)
    values: dict[tuple[Table, TenantId], Row] = field(default_factory=dict)
    shared: dict[Table, Row] = field(default_factory=dict)
    looks: list[dict[Target, list[str]]] | None = None

    def tenant_value(self, plan: TablePlan, tenant: TenantId) -> object:
        """Return a tenant as the tenant column of a table holds it."""
        return self.converted[plan.parameter][self.tenants.index(tenant)]

    def plant(self, session: Session, tenant: TenantId) -> None:
        """Write one row for each target, in the tenant's own session, and commit.

        Raises:
            PlantingError: A row can't be made.
        """
        for target in self.targets:
            row = self.make_row(session, target, tenant)
            try:
                self.keys[target, tenant] = self._write(session, target, tenant, row)
            except Exception as error:
                # Whatever the application's own types and listeners may raise.
                raise PlantingError(
                    f"{target.name}: a row can't be written ({type(error).__name__}): pass "
                    "rows={Model: a function that returns its values}"
                ) from error
        session.commit()

    def make_row(self, session: Session, target: Target, tenant: TenantId) -> Row:
        """Return values for a new row of a target, by attribute, that belongs to a tenant.

        Raises:
            PlantingError: A column has a type that nothing is known about, or points to a row that
                is not there yet.
        """
        row: Row = {}
        given = target.given()
        for column in _columns(target):
            name = target.attribute(column)
            if name in given:
                continue
            value = self._value(session, target, column, tenant)
            if value is not _OPEN:
                row[name] = value
        return {**row, **given}

    def _value(
        self, session: Session, target: Target, column: Column[Any], tenant: TenantId
    ) -> object:
        owner = self._plans(target).get(column)
        if owner is not None:
            return self.tenant_value(owner, tenant)
        if column.foreign_keys:
            return self._pointed(session, target, column, tenant)
        mapper = target.mapper
        if mapper is not None and column is mapper.polymorphic_on:
            return mapper.polymorphic_identity
        if makes_itself(column) or (column.nullable and not column.unique):
            return _OPEN
        try:
            return make_value(column)
        except TypeError as error:
            raise PlantingError(
                f"{target.name}: no value is known for the type {error} of {column.name}: pass "
                "rows={Model: a function that returns its values}"
            ) from None

    def _plans(self, target: Target) -> dict[Column[Any], TablePlan]:
        """Return the plans of all tables that a row of a target takes, by their tenant columns."""
        plans = [other.plan for other in self.targets if other.table in target.tables]
        return {plan.column: plan for plan in plans if plan.column is not None}

    def _pointed(
        self, session: Session, target: Target, column: Column[Any], tenant: TenantId
    ) -> object:
        remote: Column[Any] = next(iter(column.foreign_keys)).column
        if remote.table in target.tables and remote.table is not column.table:
            return _OPEN  # The table of a subclass points to that of its base.
        found = self.values.get((remote.table, tenant))
        if found is None and not any(remote.table in t.tables for t in self.targets):
            found = self._shared_row(session, target, remote.table)
        if found is None or found.get(remote.name) is None:
            if column.nullable:
                return _OPEN
            raise PlantingError(
                f"{target.name}: {column.name} points to {remote.table.fullname}, which has no row "
                "yet: pass rows={Model: a function that returns its values}"
            )
        return found[remote.name]

    def _shared_row(self, session: Session, target: Target, table: Table) -> Row | None:
        if table not in self.shared:
            first = session.execute(select(table).limit(1)).mappings().first()
            if first is None:
                values = {
                    c.key: make_value(c)
                    for c in table.columns
                    if not (makes_itself(c) or c.nullable or c.foreign_keys)
                }
                session.execute(insert(table), values)
                first = session.execute(select(table).limit(1)).mappings().first()
            if first is None:
                raise PlantingError(f"{target.name}: {table.fullname} keeps no row to point to")
            self.shared[table] = {c.name: first[c.key] for c in table.columns}
        return self.shared[table]

    def _write(self, session: Session, target: Target, tenant: TenantId, row: Row) -> Key:
        if target.mapper is None:
            result: Any = session.connection().execute(insert(target.table).values(row))
            key = tuple(result.inserted_primary_key or ())
            values = {column.name: row.get(column.key) for column in target.table.columns}
            values |= {c.name: v for c, v in zip(target.keys, key, strict=False)}
            self._note(target, tenant, values)
            return tuple(values[column.name] for column in target.keys)
        instance = make_object(target, row)
        session.add(instance)
        session.flush()
        values = {c.name: getattr(instance, target.attribute(c)) for c in _columns(target)}
        self._note(target, tenant, values)
        return tuple(getattr(instance, target.attribute(column)) for column in target.keys)

    def _note(self, target: Target, tenant: TenantId, values: Row) -> None:
        for table in target.tables:
            self.values[table, tenant] = values

    def visible(self, session: Session) -> list[str]:
        """Return the names of targets with a tenant column of which a session sees any row."""
        return [
            target.name
            for target in self.targets
            if target.plan.column is not None
            and session.connection().execute(select(target.table).limit(1)).first() is not None
        ]

    def rows_of(self, session: Session, tenant: TenantId) -> dict[Target, list[str]]:
        """Return what a session sees of a tenant's rows: those it owns or that point to them."""
        return {
            target: sorted(
                repr(tuple(row))
                for row in session.connection().execute(
                    select(target.table).where(self._is_of(target, tenant))
                )
            )
            for target in self.targets
        }

    def remove(self, session: Session, tenant: TenantId) -> None:
        """Delete a tenant's rows in its own session, and commit."""
        for target in reversed(self.targets):
            session.connection().execute(delete(target.table).where(self._is_of(target, tenant)))
        session.commit()
        for target in self.targets:
            self.keys.pop((target, tenant), None)
            for table in target.tables:
                self.values.pop((table, tenant), None)

    def _is_of(self, target: Target, tenant: TenantId) -> Any:
        """Return the condition that a row is a tenant's, whatever the session filters by itself."""
        parts: list[Any] = []
        if target.plan.column is not None:
            parts.append(target.plan.column == self.tenant_value(target.plan, tenant))
        if (target, tenant) in self.keys:
            parts.append(matches(target.keys, self.keys[target, tenant]))
        for reference in target.plan.references:
            values = self.values.get((reference.target, tenant))
            if values is not None:
                pairs = zip(reference.local, reference.remote, strict=True)
                parts.append(and_(*(local == values.get(r.name) for (local, _), r in pairs)))
        for owner in target.plan.owners:
            parts += self._leans(owner, tenant)
        return or_(false(), *parts)

    def _leans(self, owner: Reference, tenant: TenantId) -> Iterator[Any]:
        """Yield the condition that a row belongs to a tenant through the row it points to."""
        target = next((t for t in self.targets if t.table is owner.target), None)
        if target is not None:
            columns = tuple(column for column, _ in owner.local)
            pointed = select(*owner.remote).where(self._is_of(target, tenant))
            yield (tuple_(*columns) if len(columns) > 1 else columns[0]).in_(pointed)


def matches(columns: Iterable[Any], key: Key) -> Any:
    """Return the condition that columns hold a key."""
    return and_(*(column == value for column, value in zip(columns, key, strict=True)))


def among(columns: tuple[Any, ...], keys: list[Key]) -> Any:
    """Return the condition that columns hold one of some keys."""
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return tuple_(*columns).in_(keys)


def make_object(target: Target, row: Mapping[str, Any]) -> Any:
    """Return an object of a model, without calling the model's own constructor."""
    assert target.mapper is not None  # noqa: S101 - callers asked for a model.
    instance = target.mapper.class_manager.new_instance()
    for name, value in row.items():
        setattr(instance, name, value)
    return instance


def find_targets(
    plan: IsolationPlan, mappers: Iterable[Mapper[Any]], given: Given
) -> Iterator[Target]:
    """Yield what has rows of tenants, in the order in which rows can be planted."""
    mapped: dict[Table, list[Mapper[Any]]] = {}
    for mapper in mappers:
        if isinstance(mapper.local_table, Table) and not mapper.concrete:
            mapped.setdefault(mapper.local_table, []).append(mapper)
    for table in _in_order(plan.tables):
        if not plan.tables[table].scoped:
            continue
        of_table: list[Mapper[Any] | None] = [*mapped.get(table, [])] or [None]
        for found in of_table:
            key: Any = table if found is None else found.class_
            yield Target(table, found, plan.tables[table], given.get(key, dict))


def _in_order(tables: Mapping[Table, TablePlan]) -> list[Table]:
    """Sort tables so that what is pointed to comes first; a nullable key may point backwards."""
    left = list(tables)
    done: list[Table] = []
    while left:
        waiting = set(left)
        ready = (
            [t for t in left if not (_needs(t, nullable=True) & waiting - {t})]
            or [t for t in left if not (_needs(t, nullable=False) & waiting - {t})][:1]
            or left[:1]
        )
        done += ready
        left = [t for t in left if t not in ready]
    return done


def _needs(table: Table, *, nullable: bool) -> set[Table]:
    return {
        constraint.referred_table
        for constraint in table.foreign_key_constraints
        if nullable or not any(column.nullable for column in constraint.columns)
    }


def _columns(target: Target) -> list[Column[Any]]:
    if target.mapper is None:
        return list(target.table.columns)
    found = [column for table in target.tables for column in table.columns]
    return [column for column in found if column in target.mapper.columns.values()]
