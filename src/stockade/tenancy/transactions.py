"""Tell PostgreSQL, in each transaction, whose it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import DBAPIError

from stockade.tenancy.beginning import begin_with

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from stockade.core.identity import TenantId

TENANT_VARIABLE: Final = "stockade.tenant_id"
# Both settings end with the transaction, so a connection carries nothing back into its pool. SET
# LOCAL would take no parameters.
_SET_TENANT: Final = f"SELECT set_config('{TENANT_VARIABLE}', {{}}, true)"
_SET_BOTH: Final = f"{_SET_TENANT}, set_config('role', {{}}, true)"
# What needs no quoting in any encoding or setting of the server. Others are passed as parameters.
_is_plain: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,200}", re.ASCII).fullmatch
# How drivers write parameters, by the name that DB-API has for it.
_MARKS: Final[dict[str, Callable[[int], str]]] = {
    "format": lambda _: "%s",
    "pyformat": lambda _: "%s",
    "numeric_dollar": lambda number: f"${number}",
    "qmark": lambda _: "?",
}


@dataclass(frozen=True, slots=True)
class TenantTransaction:
    """What every transaction of a tenant begins with.

    Args:
        role: The role that it takes on; None to stay with that of the connection.
    """

    role: str | None = None

    def enter(self, connection: Connection, tenant_id: TenantId) -> None:
        """Set tenant and role for the transaction that has just begun.

        It goes to the driver directly, as it is no statement of the application's, and with the
        driver's own BEGIN if that was not sent yet.

        Raises:
            DBAPIError: The database is away, or the role is not granted.
        """
        values = (tenant_id,) if self.role is None else (tenant_id, self.role)
        statement = _SET_TENANT if self.role is None else _SET_BOTH
        try:
            if all(map(_is_plain, values)):
                literals = [f"'{value}'" for value in values]
                if begin_with(connection, statement.format(*literals)):
                    return
            mark = _MARKS[connection.dialect.paramstyle]
            marks = [mark(number) for number in range(1, len(values) + 1)]
            run_below(connection, statement.format(*marks), values)
        except DBAPIError:
            raise
        except BaseException as error:
            # Cut off in between, by a cancellation or a timeout of the driver's, nobody knows
            # whether the transaction has begun, or whose it is.
            connection.invalidate(error)
            if isinstance(error, connection.dialect.loaded_dbapi.Error):
                raise _instance(connection, error) from error
            raise


def run_below(
    connection: Connection, statement: str, values: tuple[object, ...] = ()
) -> list[tuple[Any, ...]]:
    """Run SQL on the driver's own cursor, below isolation, and return the rows.

    Raises:
        DBAPIError: The database refused it or is away.
    """
    dialect = connection.dialect
    cursor = connection.connection.cursor()
    try:
        if values:
            cursor.execute(statement, values)
        else:
            cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    except dialect.loaded_dbapi.Error as error:
        if dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor):
            connection.invalidate(error)
        raise _instance(connection, error) from error
    finally:
        cursor.close()


def _instance(connection: Connection, error: Exception) -> BaseException:
    """Return SQLAlchemy's error for one of the driver's."""
    dialect = connection.dialect
    return DBAPIError.instance(
        None,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=connection.invalidated,
        dialect=dialect,
    )
