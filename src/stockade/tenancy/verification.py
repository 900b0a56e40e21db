"""Verify at the start that PostgreSQL keeps the tenants apart from the very role in use."""

# SQL is put together from constants alone.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stockade.errors import ConfigurationError
from stockade.tenancy.row_security import POLICY, Policy, write_table
from stockade.tenancy.transactions import run_below

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from stockade.tenancy.models import TablePlan

_ROLE: Final = "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
_RELATIONS: Final = """
SELECT n.nspname, c.relname, c.relkind::text, c.relrowsecurity, c.relforcerowsecurity,
  pg_has_role(c.relowner, 'USAGE'), pg_table_is_visible(c.oid),
  has_schema_privilege(n.oid, 'USAGE')
    AND (has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
      OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
"""
_POLICIES: Final = """
SELECT n.nspname, c.relname, p.polname, p.polpermissive, p.polcmd::text,
  p.polroles = '{0}'::oid[], obj_description(p.oid, 'pg_policy')
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
"""
_COMMANDS: Final = {"ALL": "*", "INSERT": "a", "UPDATE": "w"}
_TABLES: Final = frozenset({"r", "p"})
_ADVICE: Final = "run the migration that `stockade db rls` writes"


@dataclass(frozen=True, slots=True)
class _Relation:
    schema: str
    name: str
    kind: str
    enabled: bool
    forced: bool
    owned: bool
    visible: bool
    usable: bool

    @property
    def place(self) -> tuple[str, str]:
        return self.schema, self.name


def verify_row_security(
    connection: Connection, plans: Mapping[Table, TablePlan], *, allows_text: bool
) -> str:
    """Return the role in use, in a transaction that has taken on the role of the tenants.

    Args:
        connection: Its transaction has begun.
        plans: How each table is isolated.
        allows_text: Whether SQL text will pass, so that the role must reach no other table.

    Raises:
        ConfigurationError: Something is not subject to the policies; a line for each.
    """
    (role, is_super, bypasses) = run_below(connection, _ROLE)[0]
    relations = [_Relation(*row) for row in run_below(connection, _RELATIONS)]
    policies = run_below(connection, _POLICIES)
    problems = list(_check_role(role, powerful=is_super or bypasses))
    known: set[tuple[str, str]] = set()
    for plan in plans.values():
        relation = _find(plan.table, relations)
        if relation is None:
            if plan.scoped:
                problems.append(f"the table {plan.table.fullname} is not in the database")
            continue
        known.add(relation.place)
        if plan.scoped:
            own = [row[2:] for row in policies if tuple(row[:2]) == relation.place]
            problems += _check_table(plan, relation)
            if relation.enabled:
                problems += _check_policies(plan, own, list(write_table(plan, plans)))
    if allows_text:
        problems += _check_reach(role, relations, known)
    if problems:
        raise ConfigurationError("\n".join(f"tenancy: {line}" for line in problems))
    return str(role)


def find_unknown(connection: Connection, plans: Mapping[Table, TablePlan]) -> list[str]:
    """Return the tables that SQL text of the role in use could reach, and isolation does not know.

    Args:
        connection: Its transaction has begun, and has taken on the role of the tenants.
        plans: How each table is isolated.
    """
    relations = [_Relation(*row) for row in run_below(connection, _RELATIONS)]
    known = {found.place for plan in plans.values() if (found := _find(plan.table, relations))}
    return sorted(
        f"{each.schema}.{each.name}"
        for each in relations
        if each.usable and each.place not in known
    )


def _find(table: Table, relations: list[_Relation]) -> _Relation | None:
    return next(
        (
            found
            for found in relations
            if found.name == table.name
            and (found.visible if table.schema is None else found.schema == table.schema)
        ),
        None,
    )


def _check_role(role: str, *, powerful: bool) -> Iterator[str]:
    if powerful:
        yield (
            f"the role {role} is a superuser or has BYPASSRLS, so no policy holds for it: use "
            "another one, or set STOCKADE_TENANCY__ROLE"
        )


def _check_table(plan: TablePlan, relation: _Relation) -> Iterator[str]:
    name = plan.table.fullname
    if relation.kind not in _TABLES:
        yield f"{name} is no table, so it can have no policy: map a table, or exempt the model"
    elif not relation.enabled:
        yield f"row-level security is not enabled for {name}: {_ADVICE}"
    elif relation.owned and not relation.forced:
        yield f"the role in use owns {name}, whose policies are not forced: {_ADVICE}"


def _check_policies(
    plan: TablePlan, found: list[tuple[Any, ...]], wanted: list[Policy]
) -> Iterator[str]:
    name = plan.table.fullname
    known = {row[0]: tuple(row[1:]) for row in found}
    for policy in wanted:
        expected = (policy.permissive, _COMMANDS[policy.command], True)
        present = known.pop(policy.name, None)
        if present is None or present[:3] != expected:
            yield f"{name} has no policy {policy.name} for everybody: {_ADVICE}"
        elif present[3] != policy.fingerprint:
            yield (
                f"the policy {policy.name} of {name} was written for other models, or by another "
                f"release: {_ADVICE}"
            )
    for other, present in known.items():
        if present[0]:
            # Permissive policies are joined by OR.
            yield f"the policy {other} of {name} opens what {POLICY} closes: make it RESTRICTIVE"


def _check_reach(
    role: str, relations: list[_Relation], known: set[tuple[str, str]]
) -> Iterator[str]:
    for relation in relations:
        if relation.usable and relation.place not in known:
            yield (
                f"SQL text of a tenant could use {relation.schema}.{relation.name}, which isolation"
                f" does not know: take the rights on it from {role}, or set STOCKADE_TENANCY__ROLE"
            )
