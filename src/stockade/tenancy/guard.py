"""Stand in front of an engine: a statement passes with a tenant and rewritten, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Delete,
    Insert,
    Select,
    Table,
    TextClause,
    TextualSelect,
    Update,
    select,
    tuple_,
)
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql.elements import (
    ReleaseSavepointClause,
    RollbackToSavepointClause,
    SavepointClause,
)
from sqlalchemy.sql.lambdas import StatementLambdaElement

from stockade.core.identity import TenantId
from stockade.tenancy.compiler import IsolatedCompiler, target_table
from stockade.tenancy.errors import (
    CrossTenantError,
    OpaqueSQLError,
    TenancyError,
    TenantRequiredError,
)
from stockade.tenancy.models import TablePlan, TenantBinding
from stockade.tenancy.opaque import is_filterable
from stockade.tenancy.refusals import Refusals
from stockade.tenancy.writes import PointedRows, Row, review_write

# Option of a connection under which its session leaves the tenant. It lives on the Connection
# object, which is made for one transaction, and not on the pooled connection below it, which the
# next user gets.
BINDING_OPTION: Final = "stockade_tenant_binding"

_SAVEPOINTS: Final = (SavepointClause, RollbackToSavepointClause, ReleaseSavepointClause)
_STATEMENTS: Final = (
    Select,
    CompoundSelect,
    Insert,
    Update,
    Delete,
    FromStatement,
    StatementLambdaElement,
)
# SQLite takes at most 999 parameters in old releases.
_KEYS_AT_ONCE: Final = 400

_Error = TypeVar("_Error", bound=TenancyError)
Prepared = tuple[Any, Sequence[Row], Row]


class StatementGuard:
    """The listeners of one isolated engine.

    Args:
        plans: How each table is isolated.
        refusals: Where refusals are recorded.
        allows_text: Whether PostgreSQL filters SQL text, so that it may pass.
    """

    def __init__(
        self,
        plans: Mapping[Table, TablePlan],
        refusals: Refusals,
        *,
        allows_text: bool,
    ) -> None:
        self._plans = plans
        self._refusals = refusals
        self._allows_text = allows_text

    def before_execute(  # noqa: PLR0917 - the signature of the event.
        self,
        connection: Connection,
        statement: Any,  # noqa: ANN401 - whatever was given to execute()
        multiparams: Sequence[Row],
        params: Row,
        options: Mapping[str, Any],
    ) -> Prepared:
        """Give the statement the tenant of the connection, and check what it writes.

        Only options of the connection are asked for the tenant: those of a statement come from
        the caller.
        """
        binding = connection.get_execution_options().get(BINDING_OPTION)
        if not isinstance(binding, TenantBinding):
            raise self._tenant_required()
        if isinstance(statement, _SAVEPOINTS):
            return statement, multiparams, params
        if self._allows_text and isinstance(statement, TextClause | TextualSelect):
            # The compiler reads the text.
            return statement, multiparams, params
        if not isinstance(statement, _STATEMENTS):
            raise self._opaque(statement, binding)
        if options.get("schema_translate_map"):
            raise self._refuse(
                OpaqueSQLError(
                    "schema_translate_map is refused on an isolated engine: it makes one table "
                    "another",
                    reason="tenancy.schema_translate_map",
                ),
                binding.tenant_id,
            )
        rows: Sequence[Row] = multiparams or ((params,) if params else ())
        write = _write_in(statement)
        if write is not None:
            rows = self._review(connection, write, rows, binding)
        if len(rows) > 1:
            return statement, [{**row, **binding.parameters} for row in rows], {}
        return statement, [], {**rows[0], **binding.parameters} if rows else {**binding.parameters}

    def before_cursor_execute(  # noqa: PLR0917 - the signature of the event.
        self,
        connection: Connection,
        cursor: object,  # noqa: ARG002 - the signature of the event
        statement: str,
        parameters: object,
        context: Any,  # noqa: ANN401 - an ExecutionContext, or None
        executemany: bool,  # noqa: ARG002, FBT001
    ) -> tuple[str, object]:
        """Let SQL reach the driver, as it is, only if the isolated compiler rendered it."""
        if not isinstance(connection.get_execution_options().get(BINDING_OPTION), TenantBinding):
            raise self._tenant_required()
        if isinstance(getattr(context, "compiled", None), IsolatedCompiler):
            return statement, parameters
        if not (self._allows_text and is_filterable(statement, whole=True)):
            raise self._refuse(
                OpaqueSQLError(
                    "SQL text for the driver is refused on an isolated engine: use the ORM or the "
                    "Core",
                    reason="tenancy.driver_sql",
                )
            )
        return statement, parameters

    def _review(
        self,
        connection: Connection,
        write: Any,  # noqa: ANN401
        rows: Sequence[Row],
        binding: TenantBinding,
    ) -> Sequence[Row]:
        plan = self._plans.get(target_table(write))  # type: ignore[call-overload]
        if plan is None or not (plan.scoped or plan.references):
            # The compiler refuses a table that nobody knows.
            return rows
        try:
            rows, pointed = review_write(write, rows, plan, binding)
        except TenancyError as error:
            self._refuse(error, binding.tenant_id, plan.table.fullname)
            raise
        for target in pointed:
            self._require_owned(connection, target, plan, binding)
        return rows

    def _require_owned(
        self,
        connection: Connection,
        target: PointedRows,
        plan: TablePlan,
        binding: TenantBinding,
    ) -> None:
        """Look up the rows that a write points to, through the same filter as any other query."""
        remote = target.reference.remote
        for keys in _portions(target.keys):
            pointed = (
                tuple_(*remote).in_(keys)
                if len(remote) > 1
                else remote[0].in_([k for (k,) in keys])
            )
            found = {tuple(row) for row in connection.execute(select(*remote).where(pointed))}
            if not found.issuperset(keys):
                raise self._refuse(
                    CrossTenantError(
                        f"{plan.table.fullname} was to point to a row of "
                        f"{target.reference.target.fullname} that is not the tenant's",
                        reason="tenancy.foreign_reference",
                    ),
                    binding.tenant_id,
                    plan.table.fullname,
                )

    def _opaque(self, statement: object, binding: TenantBinding) -> OpaqueSQLError:
        return self._refuse(
            OpaqueSQLError(
                f"{type(statement).__name__} is refused on an isolated engine: it can't be "
                "filtered; use the ORM or the Core, and a plain engine for migrations",
                reason="tenancy.opaque_sql",
            ),
            binding.tenant_id,
        )

    def _tenant_required(self) -> TenantRequiredError:
        return self._refuse(
            TenantRequiredError(
                "an isolated engine was used without a tenant: take a session from its session "
                "factory",
                reason="tenancy.no_tenant",
            )
        )

    def _refuse(
        self, error: _Error, tenant_id: TenantId | None = None, table: str | None = None
    ) -> _Error:
        return self._refusals.record(error, table=table, tenant_id=tenant_id)


def enter_again(connection: Connection) -> None:
    """Tell PostgreSQL the tenant in a transaction that no session began.

    Whoever ends the transaction on the session's connection itself, and goes on with it, begins
    another one there.
    """
    binding = connection.get_execution_options().get(BINDING_OPTION)
    if isinstance(binding, TenantBinding) and binding.transaction is not None:
        binding.transaction.enter(connection, binding.tenant_id)


def _write_in(statement: Any) -> Any:  # noqa: ANN401
    """Return the INSERT or UPDATE that a statement is, looking into what merely wraps it."""
    while True:
        if isinstance(statement, Insert | Update):
            return statement
        if isinstance(statement, StatementLambdaElement):
            statement = statement._resolved  # noqa: SLF001 - there is no public name.
        elif isinstance(statement, FromStatement):
            statement = statement.element
        else:
            return None


def _portions(keys: frozenset[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    ordered = list(keys)
    for start in range(0, len(ordered), _KEYS_AT_ONCE):
        yield ordered[start : start + _KEYS_AT_ONCE]
