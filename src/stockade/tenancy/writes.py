"""Read from an INSERT or UPDATE what it would write, and say what has to be verified first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.sql.elements import BindParameter, Null

from stockade.tenancy.errors import CrossTenantError, OpaqueSQLError, TenancyError
from stockade.tenancy.models import Reference, TablePlan, TenantBinding

Row = Mapping[str, Any]

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class PointedRows:
    """Rows that a write points to; all of them have to be the tenant's.

    Args:
        reference: The foreign key.
        keys: The values of its columns, in order.
    """

    reference: Reference
    keys: frozenset[tuple[Any, ...]]


def column_name(key: object) -> str:
    """Return the name under which a statement knows a column: a text, a column or an attribute."""
    return key if isinstance(key, str) else str(getattr(key, "key", key))


def written_names(statement: Any) -> set[str]:  # noqa: ANN401 - an INSERT or UPDATE of any kind
    """Return the names of the columns that the statement itself gives values for."""
    return {column_name(key) for key in _values(statement)}


def review_write(
    statement: Any,  # noqa: ANN401 - an INSERT or UPDATE of any kind
    rows: Sequence[Row],
    plan: TablePlan,
    binding: TenantBinding,
) -> tuple[list[Row], list[PointedRows]]:
    """Check the tenant of what is written, and gather the rows it points to.

    Returns:
        The rows of parameters without the tenant, which the compiler adds itself; and the rows of
        other tables whose tenant has to be looked up.

    Raises:
        CrossTenantError: A value names another tenant.
        OpaqueSQLError: The value of a tenant or a reference is an expression that shows nothing.
    """
    given = _values(statement)
    if plan.column is not None:
        _check_tenant(statement, given, rows, plan, binding)
        rows = [_without(row, plan.names) for row in rows]
    pointed = []
    for reference in plan.references:
        keys = {
            key
            for row in rows or [{}]
            if (key := _key(statement, given, row, reference)) is not None
        }
        if keys:
            pointed.append(PointedRows(reference, frozenset(keys)))
    return list(rows), pointed


def _without(row: Row, names: frozenset[str]) -> Row:
    return {
        key: value
        for key, value in row.items()
        if (key if type(key) is str else column_name(key)) not in names
    }


def _values(statement: Any) -> Mapping[Any, Any]:  # noqa: ANN401
    # There is no public name. SQLAlchemy 2.0 keeps what ordered_values() was given apart.
    given: Mapping[Any, Any] = statement._values or {}  # noqa: SLF001
    ordered = getattr(statement, "_ordered_values", None)
    return {**dict(ordered), **given} if ordered else given


def _check_tenant(  # noqa: PLR0917 - all that a write consists of.
    statement: Any,  # noqa: ANN401
    given: Mapping[Any, Any],
    rows: Sequence[Row],
    plan: TablePlan,
    binding: TenantBinding,
) -> None:
    own = binding.parameters[plan.parameter]
    for row in rows or [{}]:
        for value in _candidates(given, row, plan.names, plan.table.fullname):
            if value is not None and not (type(value) is type(own) and value == own):
                reason = "tenant_changed" if statement.is_update else "foreign_tenant"
                raise CrossTenantError(
                    f"a row of {plan.table.fullname} was to be written for another tenant",
                    reason=f"tenancy.{reason}",
                )


def _candidates(given: Mapping[Any, Any], row: Row, names: frozenset[str], table: str) -> list[Any]:
    """Return every value that may reach a column: those of the statement and those of the row."""
    found = [value for key, value in row.items() if column_name(key) in names]
    for key, value in given.items():
        if column_name(key) in names:
            found.append(_constant(value, row, table))
    return found


def _constant(value: object, row: Row, table: str) -> Any:  # noqa: ANN401
    if isinstance(value, Null):
        return None
    if isinstance(value, BindParameter):
        if value.unique:
            return value.effective_value
        if value.key in row:
            return row[value.key]
        if not value.required:
            return value.effective_value
    raise _unverifiable(table, "is an expression")


def _unverifiable(table: str, why: str) -> TenancyError:
    return OpaqueSQLError(
        f"a tenant or reference of {table} {why}, so it can't be verified: pass a plain value",
        reason="tenancy.unverifiable_write",
    )


def _key(
    statement: Any,  # noqa: ANN401
    given: Mapping[Any, Any],
    row: Row,
    reference: Reference,
) -> tuple[Any, ...] | None:
    """Return the key that a row points to, None where it points nowhere or stays as it is."""
    table = str(reference.local[0][0].table)
    found = [_single(_candidates(given, row, names, table), table) for _, names in reference.local]
    written = [value is not _ABSENT for value in found]
    if statement.is_update and not any(written):
        return None
    if statement.is_update and not all(written):
        raise _unverifiable(table, "is changed in part")
    if any(value is _ABSENT or value is None for value in found):
        if not reference.nullable:
            # A database may fill such a key by itself: INTEGER PRIMARY KEY in SQLite takes the
            # next number.
            raise _unverifiable(table, "is missing")
        return None
    return tuple(found)


def _single(candidates: Iterable[Any], table: str) -> Any:  # noqa: ANN401
    distinct = list(dict.fromkeys(candidates))
    if len(distinct) > 1:
        raise _unverifiable(table, "is given twice")
    return distinct[0] if distinct else _ABSENT
