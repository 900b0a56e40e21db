"""Write the policies of PostgreSQL that keep tenants apart below every driver.

They say the same as the compiler does, in the database itself: each row that is read belongs to the
tenant of the transaction, and so does each row that is written, with whatever it points to.
Source: PostgreSQL, "Row Security Policies"; ASVS 5.0 V8.4.1.
"""

# SQL is put together from quoted names alone.
# ruff: noqa: S608

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Integer, Table, Uuid
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.compiler import IdentifierPreparer

from stockade.tenancy.models import Reference, TablePlan
from stockade.tenancy.transactions import TENANT_VARIABLE

POLICY: Final = "stockade_tenant"
_CHECKS: Final = (("stockade_insert", "INSERT", ""), ("stockade_update", "UPDATE", "USING (true) "))

# A driver whose parameters are written with percent signs would double those in names.
_DIALECT: Final = postgresql.base.PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]
_QUOTE: Final[IdentifierPreparer] = _DIALECT.identifier_preparer
# An empty text is what a transaction leaves behind on its connection; it is nobody.
_TENANT: Final = f"nullif(current_setting('{TENANT_VARIABLE}', true), '')"
_POWERS: Final = "SELECT, INSERT, UPDATE, DELETE"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of a table.

    Args:
        name: Its name, which is the same for every table.
        command: What it is for: ``ALL``, ``INSERT`` or ``UPDATE``.
        permissive: Whether it opens rows; else it only closes some of them.
        conditions: Its ``USING`` and ``WITH CHECK``.
    """

    name: str
    command: str
    permissive: bool
    conditions: str

    @property
    def fingerprint(self) -> str:
        """What tells it from a policy that was written for other models."""
        return f"stockade {hashlib.sha256(self.conditions.encode()).hexdigest()[:32]}"

    def create(self, table: str) -> str:
        """Return the statement that makes it for a table, given its quoted name."""
        kind = "PERMISSIVE" if self.permissive else "RESTRICTIVE"
        head = f"CREATE POLICY {self.name} ON {table} AS {kind} FOR {self.command}"
        return f"{head} {self.conditions}"


@dataclass(frozen=True, slots=True)
class RowSecurity:
    """The statements that put row-level security in force, and those that take it away.

    Args:
        upgrade: In the order in which they run.
        downgrade: In the order in which they run.
        unverified: Foreign keys that no policy can look up, ``table.column``; PostgreSQL refuses a
            policy that reads its own table through another one. The compiler verifies them.
    """

    upgrade: tuple[str, ...]
    downgrade: tuple[str, ...]
    unverified: tuple[str, ...]


def write_policies(plans: Mapping[Table, TablePlan], *, role: str | None = None) -> RowSecurity:
    """Write the policies of every table whose rows belong to tenants.

    Args:
        plans: The plans of all tables.
        role: A role for the sessions of tenants, which is made unless it is there, and may use the
            tables of the plans and nothing else.
    """
    scoped = [plan for plan in plans.values() if plan.scoped]
    upgrade: list[str] = []
    downgrade: list[str] = []
    if role is not None:
        upgrade += _make_role(role)
        upgrade += _grants("GRANT", "TO", plans, role)
        downgrade += _grants("REVOKE", "FROM", plans, role)
    for plan in scoped:
        table = _QUOTE.format_table(plan.table)
        upgrade += [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            # Without it the owner of a table, who may be the application, reads every row.
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        ]
        # The migration may be written anew for other models.
        names = (POLICY, *(name for name, _, _ in _CHECKS))
        drops = [f"DROP POLICY IF EXISTS {name} ON {table}" for name in names]
        upgrade += drops
        for policy in write_table(plan, plans):
            upgrade += [
                policy.create(table),
                f"COMMENT ON POLICY {policy.name} ON {table} IS '{policy.fingerprint}'",
            ]
        downgrade += [
            *drops,
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        ]
    unverified = sorted(
        f"{plan.table.fullname}.{column.name}"
        for plan in scoped
        for reference in plan.references
        if _reads_itself(plan.table, reference, plans)
        for column, _ in reference.local
    )
    return RowSecurity(tuple(upgrade), tuple(downgrade), tuple(unverified))


def write_table(plan: TablePlan, plans: Mapping[Table, TablePlan]) -> Iterator[Policy]:
    """Yield the policies of a table: one for its rows, and two for what they point to.

    They are apart because PostgreSQL refuses a table whose policy for reading it, or any part of
    that policy, reads the table again, as the look-up of a parent in the same table does.
    """
    name = _QUOTE.quote(plan.table.name)
    owned = _owned(plan, name, plans, depth=1)
    yield Policy(POLICY, "ALL", permissive=True, conditions=f"USING ({owned}) WITH CHECK ({owned})")
    pointing = " AND ".join(
        _points(reference, name, plans, depth=1)
        for reference in plan.references
        if reference not in plan.owners and not _reads_itself(plan.table, reference, plans)
    )
    if pointing:
        for check, command, using in _CHECKS:
            conditions = f"{using}WITH CHECK ({pointing})"
            yield Policy(check, command, permissive=False, conditions=conditions)


def _owned(plan: TablePlan, name: str, plans: Mapping[Table, TablePlan], *, depth: int) -> str:
    if plan.column is not None:
        tenant = _tenant(plan.column)
        if not any(_leads_to(each.target, plan.table, plans) for each in plan.references):
            # As a query of its own it is evaluated once in a statement, not for each row: a scan of
            # 100,000 rows takes 6 ms instead of 15. PostgreSQL counts that query where it looks for
            # policies that read their own table, so it is left out where the look-up of what a row
            # points to comes back to the table.
            tenant = f"(SELECT {tenant})"
        return f"{name}.{_QUOTE.quote(plan.column.name)} = {tenant}"
    return " AND ".join(_points(owner, name, plans, depth=depth) for owner in plan.owners)


def _points(
    reference: Reference, name: str, plans: Mapping[Table, TablePlan], *, depth: int
) -> str:
    """Return the condition that a foreign key points to the tenant's row, or nowhere."""
    plan = plans[reference.target]
    alias = f"stockade_{depth}"
    local = [f"{name}.{_QUOTE.quote(column.name)}" for column, _ in reference.local]
    pairs = zip(local, reference.remote, strict=True)
    joined = " AND ".join(f"{alias}.{_QUOTE.quote(c.name)} = {text}" for text, c in pairs)
    condition = _owned(plan, alias, plans, depth=depth + 1)
    table = _QUOTE.format_table(plan.table)
    found = f"EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {joined} AND {condition})"
    if not reference.nullable:
        return found
    nowhere = " OR ".join(f"{text} IS NULL" for text in local)
    return f"({nowhere} OR {found})"


def _reads_itself(table: Table, reference: Reference, plans: Mapping[Table, TablePlan]) -> bool:
    """Tell whether the policy of a table would read tables whose policies read it again.

    A policy that only compares a column reads nothing, so there the way ends.
    """
    return plans[table].column is None and _leads_to(reference.target, table, plans)


def _leads_to(start: Table, goal: Table, plans: Mapping[Table, TablePlan]) -> bool:
    return start is goal or any(_leads_to(o.target, goal, plans) for o in plans[start].owners)


def _tenant(column: Column[Any]) -> str:
    """Return the tenant of the transaction in the type of a column.

    A tenant that does not fit the type is an error of the database: nothing is read or written.
    """
    if isinstance(column.type, Uuid) and column.type.native_uuid:
        return f"{_TENANT}::uuid"
    return f"{_TENANT}::bigint" if isinstance(column.type, Integer) else _TENANT


def _make_role(role: str) -> Iterator[str]:
    name, text = _QUOTE.quote(role), _literal(role)
    yield (
        f"DO $stockade$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {text}) THEN"
        f" CREATE ROLE {name} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;"
        f" END IF; IF NOT pg_has_role(current_user, {text}, 'MEMBER') THEN"
        f" GRANT {name} TO CURRENT_USER; END IF; END $stockade$"
    )


def _grants(verb: str, preposition: str, plans: Iterable[Table], role: str) -> Iterator[str]:
    name = _QUOTE.quote(role)
    for schema in sorted({table.schema for table in plans if table.schema}):
        yield f"{verb} USAGE ON SCHEMA {_QUOTE.quote_schema(schema)} {preposition} {name}"
    for table in plans:
        yield f"{verb} {_POWERS} ON TABLE {_QUOTE.format_table(table)} {preposition} {name}"
    for table in plans:
        if (column := table.autoincrement_column) is not None:
            # Its name is PostgreSQL's choice; a key that nothing counts has none.
            owner = f"{_literal(_QUOTE.format_table(table))}, {_literal(column.name)}"
            yield (
                "DO $stockade$ DECLARE counter text := pg_get_serial_sequence("
                f"{owner}); BEGIN IF counter IS NOT NULL THEN EXECUTE"
                f" '{verb} USAGE ON SEQUENCE ' || counter ||"
                f" {_literal(f' {preposition} {name}')}; END IF; END $stockade$"
            )


def _literal(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))
