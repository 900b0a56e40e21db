"""Stand in front of an engine: a statement passes with a tenant and rewritten, or not at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Delete,
    Dialect,
    ExecutableDDLElement,
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
from stockade.tenancy.opaque import TextRule
from stockade.tenancy.raw import RawBlock
from stockade.tenancy.raw_objects import compare_objects, require_shown
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

_NO_ROWS: Final[Sequence[Row]] = ({},)

_Error = TypeVar("_Error", bound=TenancyError)
Prepared = tuple[Any, Sequence[Row], Row]


class IsolatedDialects:
    """The dialect of an isolated engine, and its twin for blocks that take SQL text.

    A connection uses the one or the other. What the twin has compiled is cached apart, since the
    dialect is part of the key of SQLAlchemy's cache.

    Args:
        plain: The dialect.
        rule: Which text may pass outside of blocks.
        raw_rule: Which text may pass in a block.
        make_compiler: Makes the isolated compiler for a rule.
    """

    def __init__(
        self,
        plain: Dialect,
        rule: TextRule,
        raw_rule: TextRule,
        make_compiler: Callable[[TextRule], type[IsolatedCompiler]],
    ) -> None:
        self.plain = plain
        self.rule = rule
        self.raw_rule = raw_rule
        self._make_compiler = make_compiler
        self._raw: Dialect | None = None
        plain.statement_compiler = make_compiler(rule)

    @property
    def raw(self) -> Dialect:
        """The twin.

        It is made late, because a dialect learns what its server can do from the first connection.
        """
        if self._raw is None:
            twin = copy.copy(self.plain)
            twin.statement_compiler = self._make_compiler(self.raw_rule)
            self._raw = twin
        return self._raw


class StatementGuard:
    """The listeners of one isolated engine.

    Args:
        plans: How each table is isolated.
        refusals: Where refusals are recorded.
        dialects: What the statements of the engine are rendered by.
    """

    def __init__(
        self,
        plans: Mapping[Table, TablePlan],
        refusals: Refusals,
        dialects: IsolatedDialects,
    ) -> None:
        self._plans = plans
        self._refusals = refusals
        self._dialects = dialects
        self._plain = dialects.plain
        self._lets_text_in = dialects.rule is not TextRule.NONE
        self._lets_ddl_in = dialects.raw_rule is TextRule.ANY

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
        block = binding.raw.find() if binding.raw else None
        if block is not None:
            connection.dialect = self._dialects.raw
        elif connection.dialect is not self._plain:
            connection.dialect = self._plain
        if isinstance(statement, TextClause | TextualSelect) and (block or self._lets_text_in):
            # The compiler reads the text.
            return statement, multiparams, params
        if isinstance(statement, ExecutableDDLElement) and block and self._lets_ddl_in:
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
        filled = [{**row, **binding.parameters} for row in rows or _NO_ROWS]
        return (statement, filled, {}) if len(filled) > 1 else (statement, [], filled[0])

    def before_cursor_execute(  # noqa: PLR0917 - the signature of the event.
        self,
        connection: Connection,
        cursor: object,  # noqa: ARG002 - the signature of the event
        statement: str,
        parameters: object,  # noqa: ARG002
        context: Any,  # noqa: ANN401 - an ExecutionContext, or None
        executemany: bool,  # noqa: ARG002, FBT001
    ) -> None:
        """Let SQL reach the driver only if the isolated compiler rendered it, or in a block."""
        binding = connection.get_execution_options().get(BINDING_OPTION)
        if not isinstance(binding, TenantBinding):
            raise self._tenant_required()
        compiled: Any = getattr(context, "compiled", None)
        isolated = isinstance(compiled, IsolatedCompiler)
        if isolated and not compiled.holds_text:
            return
        block = binding.raw.find() if binding.raw else None
        if isolated:
            if block is not None:
                self._let_in(block, connection, statement, context)
            elif compiled.text_rule is not self._dialects.rule:
                raise self._driver_sql(binding)
        elif block is not None and (self._dialects.raw_rule.permits(statement, whole=True)):
            block.note(statement)
        elif not self._dialects.rule.permits(statement, whole=True):
            raise self._driver_sql(binding)

    def _let_in(
        self,
        block: RawBlock,
        connection: Connection,
        statement: str,
        context: Any,  # noqa: ANN401
    ) -> None:
        compiled = context.compiled
        block.note(statement)
        if compiled.brings_rows and compiled.text_rule is TextRule.ANY:
            compare_objects(block.session)
            if compiled.shown_columns:
                require_shown(connection, context, compiled.shown_columns, self._refusals)

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
                "filtered; use the ORM or the Core, declare it with unsafe_raw(), and use a plain "
                "engine for migrations"
                f"{_hint(binding)}",
                reason="tenancy.opaque_sql",
            ),
            binding.tenant_id,
        )

    def _driver_sql(self, binding: TenantBinding) -> OpaqueSQLError:
        return self._refuse(
            OpaqueSQLError(
                "SQL text for the driver is refused on an isolated engine: use the ORM or the "
                f"Core, or declare it with unsafe_raw(){_hint(binding)}",
                reason="tenancy.driver_sql",
            )
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


def _hint(binding: TenantBinding) -> str:
    """Say why an open block has not let something through, if there is one."""
    if not binding.raw:
        return ""
    if binding.raw.find() is not None:
        return "; the block lets in what row-level security filters, and nothing else"
    return (
        "; the open block of unsafe_raw() is not around this: write the with statement in the "
        "function that runs the SQL"
    )


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
