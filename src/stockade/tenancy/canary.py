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
    Transaction,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
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
from stockade.tenancy.row_security import write_table
from stockade.tenancy.session import TenantObjects, TenantSession
from stockade.tenancy.transactions import TENANT_VARIABLE, TenantTransaction, run_below
from stockade.tenancy.verification import find_unknown, verify_row_security

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
        transaction: What transactions begin with where row-level security is on.
        allows_text: Whether SQL text passes, for PostgreSQL to filter.

    Attributes:
        unknown: With row-level security, the tables within reach that no policy is known for.
    """

    def __init__(
        self,
        plans: dict[Table, TablePlan],
        column: str,
        objects: TenantObjects,
        *,
        transaction: TenantTransaction | None = None,
        allows_text: bool = False,
    ) -> None:
        self._plans = plans
        self._column = column
        self._objects = objects
        self._transaction = transaction
        self._allows_text = allows_text
        self.unknown: list[str] = []

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
        if self._transaction is not None:
            self._prove_transactions(connection, self._transaction)
        table = self._table()
        try:
            with connection.begin() as transaction:
                if self._transaction is not None:
                    self._transaction.enter(connection, _OWN)
                    verify_row_security(connection, self._plans, allows_text=self._allows_text)
                    self.unknown = find_unknown(connection, self._plans)
                self._plant(connection, table)
                if self._transaction is not None:
                    self._prove_row_security(connection, table)
                with self._session(connection) as session:
                    self._prove_reads(session, table)
                    self._prove_writes(session, table)
                transaction.rollback()
        except SQLAlchemyError as error:
            raise _not_in_force(f"a statement failed ({type(error).__name__})") from error
        finally:
            self._plans.pop(table, None)
            # The rollback has removed it, but for SQLite's driver, which commits a CREATE at once.
            run_below(connection, f"DROP TABLE IF EXISTS {table.name}")

    def _prove_transactions(self, connection: Connection, beginning: TenantTransaction) -> None:
        """Prove that the tenant is set in the driver's transaction, and no longer than it lasts."""
        setting = f"SELECT current_setting('{TENANT_VARIABLE}', true)"
        for end in (Transaction.commit, Transaction.rollback):
            try:
                transaction = connection.begin()
                beginning.enter(connection, _OWN)
                # It is an error where no transaction has begun.
                run_below(connection, "SAVEPOINT stockade_canary")
                during = run_below(connection, setting)
                end(transaction)
                after = run_below(connection, setting)
                # SQLAlchemy knows nothing of the transaction that the last look has begun.
                connection.connection.rollback()
            except SQLAlchemyError as error:
                connection.invalidate(error)
                raise _not_in_force(
                    f"the driver does not begin and end transactions ({type(error).__name__})"
                ) from error
            if during != [(_OWN,)] or after[0][0]:
                connection.invalidate()
                raise _not_in_force("a transaction does not end with its tenant")

    def _prove_reads(self, session: TenantSession, table: Table) -> None:
        found = session.execute(select(table.c[self._column], table.c.note)).all()
        if [tuple(row) for row in found] != [(_OWN, "own")]:
            raise _not_in_force("a query does not return exactly the tenant's rows")
        if self._allows_text:
            return
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

    def _prove_row_security(self, connection: Connection, table: Table) -> None:
        """Put a policy on the canary's table, as on every other, and read below isolation."""
        plan = self._plans[table]
        for statement in (
            f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table.name} FORCE ROW LEVEL SECURITY",
            *(policy.create(table.name) for policy in write_table(plan, self._plans)),
        ):
            run_below(connection, statement)
        found = run_below(connection, f"SELECT note FROM {table.name}")  # noqa: S608 - our own random name.
        if found != [("own",)]:
            raise _not_in_force("row-level security does not hold for the role in use")

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
        binding = TenantBinding(
            tenant_id=_OWN, parameters={_PARAMETER: _OWN}, transaction=self._transaction
        )
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
            run_below(connection, str(CreateTable(table).compile(dialect=connection.dialect)))
            for number, tenant, note in ((1, _OWN, "own"), (2, _FOREIGN, "foreign")):
                row = f"({number}, '{tenant}', '{note}')"
                run_below(connection, f"INSERT INTO {table.name} (id, {name}, note) VALUES {row}")  # noqa: S608 - constants.
        except DBAPIError as error:
            raise ConfigurationError(
                "tenancy: isolation can't be proven, because the role may not create a temporary "
                "table: grant TEMPORARY on the database, or mend the cause "
                f"({type(error.orig).__name__})"
            ) from error
        self._plans[table] = TablePlan(
            table=table, column=column, names=frozenset({self._column}), parameter=_PARAMETER
        )


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
