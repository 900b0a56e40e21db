"""Keep other tenants' objects out of a session whose rows came from SQL text.

A session is trusted to hold nothing but its tenant's objects: whatever is asked for by key, or
through a relationship, is taken from it without asking the database. So an object that is made from
rows of SQL text has to show its tenant, and is compared with the session's.
"""

# Statements and listeners of SQLAlchemy have no common type.
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Select, Table, TextualSelect, event, inspect
from sqlalchemy.orm import FromStatement, Session

from stockade.tenancy.errors import OpaqueSQLError, TenancyError
from stockade.tenancy.models import TablePlan
from stockade.tenancy.refusals import Refusals

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COMPARED: Final = "stockade_compared"
# What the rows of a statement that is about to run must show, by its execution context.
_expected: Final[WeakKeyDictionary[object, tuple[frozenset[str], Refusals]]] = WeakKeyDictionary()


def shown_columns(statement: Any, plans: Mapping[Table, TablePlan]) -> frozenset[str]:
    """Return the names of the tenant columns that rows need before objects are made of them.

    Args:
        statement: A statement with SQL text that may bring rows of its own.
        plans: How each table is isolated.

    Raises:
        OpaqueSQLError: Objects of a model without a tenant column would be made, or options say
            how.
    """
    if not isinstance(statement, Select | FromStatement):
        return frozenset()
    needed = set()
    for described in statement.column_descriptions:
        entity = described.get("entity")
        if entity is None or described["expr"] is not entity:
            continue
        mapper = inspect(entity).mapper
        found = [plans[table] for table in mapper.tables if table in plans]
        scoped = [plan for plan in found if plan.scoped]
        columns = [plan.column for plan in scoped if plan.column is not None]
        names = {column.name for column in columns}
        if scoped and not names:
            raise _unverifiable(
                f"{mapper.class_.__name__} has no tenant column: select columns in place of objects"
            )
        if any(mapper.get_property_by_column(each).deferred for each in columns):
            raise _unverifiable(f"{mapper.class_.__name__} defers its tenant column")
        needed |= names
    if needed and statement._with_options:  # noqa: SLF001 - there is no public name.
        raise _unverifiable("options of loading make more of its rows: leave them out")
    if isinstance(statement, Select):
        # The ORM names all columns of its objects by itself.
        return frozenset()
    element = getattr(statement, "element", None)
    if isinstance(element, TextualSelect):
        if not needed <= {column.name for column in element.column_args}:
            raise _unverifiable(f"name {', '.join(sorted(needed))} in columns()")
        return frozenset()
    return frozenset(needed)


def require_shown(
    connection: Connection, running: object, names: frozenset[str], refusals: Refusals
) -> None:
    """Look at the columns of a statement as soon as it has run, before a row of it is read.

    Args:
        connection: What runs it.
        running: Its execution context.
        names: Columns that it must have.
        refusals: Where the refusal is recorded.
    """
    _expected[running] = (names, refusals)
    if not event.contains(connection, "after_cursor_execute", _look):
        event.listen(connection, "after_cursor_execute", _look)


def _look(
    _connection: Connection,
    cursor: Any,
    _statement: str,
    _parameters: object,
    context: object,
    _executemany: bool,  # noqa: FBT001
) -> None:
    # Others may run on the connection before the one that is waited for.
    expected = _expected.pop(context, None)
    if expected is None:
        return
    names, refusals = expected
    if not names <= {described[0] for described in cursor.description or ()}:
        raise refusals.record(_unverifiable(f"select {', '.join(sorted(names))} as well"))


def compare_objects(session: Any) -> None:
    """Compare each object that a session loads from now on, also when a result is read late.

    Args:
        session: A tenant's session.
    """
    if not session.info.get(_COMPARED):
        session.info[_COMPARED] = True
        event.listen(session, "loaded_as_persistent", _compare)


def _compare(session: Session, instance: object) -> None:
    try:
        session.require_own(instance)  # type: ignore[attr-defined]
    except TenancyError:
        session.expunge(instance)
        raise


def _unverifiable(advice: str) -> OpaqueSQLError:
    return OpaqueSQLError(
        f"objects from SQL text are refused where nothing shows whose they are: {advice}",
        reason="tenancy.unverifiable_object",
    )
