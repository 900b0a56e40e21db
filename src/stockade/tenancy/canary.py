"""Prove on the running database, at start-up, that isolation bites."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable

from stockade.core.identity import TenantId
from stockade.errors import ConfigurationError
from stockade.tenancy.errors import (
    CrossTenantError,
    OpaqueSQLError,
    TenancyError,
    TenantRequiredError,
)
from stockade.tenancy.models import TablePlan, TenantBinding
from stockade.tenancy.session import TenantObjects, TenantSession

_PARAMETER = "stockade_tenant_canary"
_OWN = TenantId("canary-own")
_FOREIGN = TenantId("canary-foreign")


class Canary:
    """Two rows of two tenants in a temporary table that vanishes with its transaction.

    Args:
        plans: The plans that the isolated compiler reads; the canary's table is among them for
            the time of the proof.
        column: Name of the tenant column.
        objects: What the sessions of the engine know about models.
    """

    def __init__(self, plans: dict[Table, TablePlan], column: str, objects: TenantObjects) -> None:
        self._plans = plans
        self._column = column
        self._objects = objects

    def prove(self, connection: Connection) -> None:
        """Run every proof on a fresh connection of the engine and leave no trace.

        Raises:
            ConfigurationError: Isolation is not in force, or the role may not create a temporary
                table.
        """
        _require_refusal(
            "a connection without a tenant is served",
            lambda: connection.execute(select(1)),
            TenantRequiredError,
        )
        table = self._table()
        try:
            with connection.begin() as transaction:
                self._plant(connection, table)
                with self._session(connection) as session:
                    self._prove_reads(session, table)
                    self._prove_writes(session, table)
                transaction.rollback()
        except SQLAlchemyError as error:
            raise _not_in_force(f"a statement failed ({type(error).__name__})") from error
        finally:
            self._plans.pop(table, None)
            # The rollback has removed it, but for SQLite's driver, which commits a CREATE at once.
            _run(connection, f"DROP TABLE IF EXISTS {table.name}")

    def _prove_reads(self, session: TenantSession, table: Table) -> None:
        found = session.execute(select(table.c[self._column], table.c.note)).all()
        if [tuple(row) for row in found] != [(_OWN, "own")]:
            raise _not_in_force("a query does not return exactly the tenant's rows")
        _require_refusal(
            "text() is executed",
            lambda: session.execute(text(f"SELECT * FROM {table.name}")),  # noqa: S608 - our own random name.
            OpaqueSQLError,
        )
        _require_refusal(
            "SQL text reaches the driver",
            lambda: session.connection().exec_driver_sql("SELECT 1"),
            OpaqueSQLError,
        )

    def _prove_writes(self, session: TenantSession, table: Table) -> None:
        changed: Any = session.execute(update(table).values(note="changed"))
        if changed.rowcount != 1:
            raise _not_in_force("an UPDATE does not change exactly the tenant's rows")
        _require_refusal(
            "a row can be written for another tenant",
            lambda: session.execute(
                insert(table).values({self._column: _FOREIGN, "note": "forged"})
            ),
            CrossTenantError,
        )

    def _session(self, connection: Connection) -> TenantSession:
        binding = TenantBinding(tenant_id=_OWN, parameters={_PARAMETER: _OWN})
        return TenantSession(connection, objects=self._objects, binding=binding)

    def _table(self) -> Table:
        return Table(
            f"stockade_canary_{secrets.token_hex(8)}",
            MetaData(),
            Column("id", Integer),
            Column(self._column, String(36), nullable=False),
            Column("note", String(36), nullable=False),
            prefixes=["TEMPORARY"],
        )

    def _plant(self, connection: Connection, table: Table) -> None:
        """Create the table and its rows below SQLAlchemy, where nothing is isolated."""
        column = table.c[self._column]
        name = connection.dialect.identifier_preparer.format_column(column)
        try:
            _run(connection, str(CreateTable(table).compile(dialect=connection.dialect)))
            for number, tenant, note in ((1, _OWN, "own"), (2, _FOREIGN, "foreign")):
                row = f"({number}, '{tenant}', '{note}')"
                _run(connection, f"INSERT INTO {table.name} (id, {name}, note) VALUES {row}")  # noqa: S608 - constants.
        except connection.dialect.loaded_dbapi.Error as error:
            raise ConfigurationError(
                "tenancy: isolation can't be proven, because the role may not create a temporary "
                "table: grant TEMPORARY on the database, or mend the cause "
                f"({type(error).__name__})"
            ) from error
        self._plans[table] = TablePlan(
            table=table, column=column, names=frozenset({self._column}), parameter=_PARAMETER
        )


def _run(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _require_refusal(
    otherwise: str, attempt: Callable[[], object], refusal: type[TenancyError]
) -> None:
    try:
        attempt()
    except refusal:
        return
    raise _not_in_force(otherwise)


def _not_in_force(what: str) -> ConfigurationError:
    return ConfigurationError(f"tenancy: isolation is not in force on this engine: {what}")
