"""Render every statement so that it touches the rows of one tenant, or refuse to render it.

The dialect of an isolated engine gets a compiler of its own. Whatever the ORM or the Core builds is
rendered by it, at any depth, so there is no list of places to remember. The tenant is a bound
parameter: one compiled statement serves all tenants, and it can't be executed without one.
"""

# SQLAlchemy's compiler takes elements and keywords of any type; ours passes them on.
# SQL is put together from quoted names and bound parameters alone.
# ruff: noqa: ANN401, S608

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sqlalchemy import Boolean, Column, Table, TextClause, and_, bindparam
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement, ColumnElement
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import immutabledict

from stockade.tenancy.errors import OpaqueSQLError
from stockade.tenancy.models import Reference, TablePlan
from stockade.tenancy.opaque import (
    TextRule,
    brings_rows,
    is_plain_field,
    is_plain_literal,
    is_plain_operator,
    is_querying_function,
    is_raw_name,
    is_understood_visit,
)
from stockade.tenancy.raw_objects import shown_columns
from stockade.tenancy.refusals import Refusals
from stockade.tenancy.writes import column_name, written_names

_TEXT_ADVICE = (
    "write it with the ORM or the Core, whose tables can be filtered, or let it through with "
    "unsafe_raw()"
)
# The parts of a caller's keywords that decide how a bound parameter is rendered and counted.
_BIND_KEYWORDS = ("literal_binds", "accumulate_bind_names", "visited_bindparam")


class TenantCondition(ColumnElement[bool]):
    """The condition that a row belongs to the tenant; only `IsolatedCompiler` renders it.

    Args:
        plan: The plan of the table.
    """

    __visit_name__ = "stockade_tenant_condition"
    # It is added while compiling, after the cache was asked.
    inherit_cache: bool | None = False
    type: TypeEngine[bool] = Boolean()

    def __init__(self, plan: TablePlan) -> None:
        self.plan = plan


class ClosedCondition(ColumnElement[bool]):
    """A condition in brackets that nothing takes off again, as SQLAlchemy's own may be.

    Args:
        condition: The condition.
    """

    __visit_name__ = "stockade_closed_condition"
    inherit_cache: bool | None = False
    type: TypeEngine[bool] = Boolean()

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    @property
    def _from_objects(self) -> Any:
        # What SQLAlchemy reads the tables of an UPDATE ... FROM from.
        return self.condition._from_objects  # noqa: SLF001 - there is no public name.


class IsolatedCompiler(SQLCompiler):
    """A compiler for which a table is only ever the rows of one tenant.

    `isolate_compiler` puts it in front of the compiler of a dialect.

    Attributes:
        touched_tables: Every table that the statement reads or writes.
        written_tables: Those that it writes.
        holds_text: Whether it holds SQL text, which may touch any table.
        brings_rows: Whether that text may bring rows of its own.
        shown_columns: Names of the columns that its rows must have, to show whose they are, where
            objects are made of them.
        text_rule: Which SQL text may pass.
    """

    plans: ClassVar[Mapping[Table, TablePlan]]
    trusted_elements: ClassVar[frozenset[str]]
    refusals: ClassVar[Refusals]
    text_rule: ClassVar[TextRule]

    def __init__(
        self, dialect: Any, statement: ClauseElement | None, *args: Any, **kw: Any
    ) -> None:
        self._stockade_statement = statement
        self.touched_tables: set[Table] = set()
        self.written_tables: set[Table] = set()
        self.holds_text = False
        self.brings_rows = False
        self.shown_columns: frozenset[str] = frozenset()
        if statement is not None:
            self._refuse_foreign_compilers(statement)
        super().__init__(dialect, statement, *args, **kw)
        if self.brings_rows and self.text_rule is TextRule.ANY:
            self._refuse_unverifiable_objects(statement)

    def _opaque(self, what: str, advice: str, *, reason: str = "opaque_sql") -> OpaqueSQLError:
        error = OpaqueSQLError(
            f"{what} is refused on an isolated engine: {advice}", reason=f"tenancy.{reason}"
        )
        return self.refusals.record(error)

    def _refuse_foreign_compilers(self, statement: ClauseElement) -> None:
        for part in visitors.iterate(statement):
            kind = type(part)
            if hasattr(kind, "_compiler_dispatcher") and not self._is_trusted(kind):
                raise self._opaque(
                    f"{kind.__name__}, which has a compiler of its own,",
                    "review it, then add it to TenancySettings.trusted_elements",
                    reason="custom_element",
                )

    def _is_trusted(self, kind: type[object]) -> bool:
        return any(
            f"{c.__module__}.{c.__qualname__}" in self.trusted_elements for c in kind.__mro__
        )

    def _plan(self, table: object) -> TablePlan:
        plan = self.plans.get(table) if isinstance(table, Table) else None
        if plan is None:
            raise self._opaque(
                f"the table {getattr(table, 'name', table)!r}",
                "it is not in the metadata that isolation was built from; use the mapped model",
                reason="unknown_table",
            )
        self.touched_tables.add(plan.table)
        return plan

    # Reading: a table in a FROM clause is a filtered sub-select of the same name.

    def visit_table(  # type: ignore[override]  # noqa: PLR0917 - what we read of SQLCompiler's.
        self,
        table: Any,
        asfrom: bool = False,  # noqa: FBT001, FBT002
        iscrud: bool = False,  # noqa: FBT001, FBT002
        ashint: bool = False,  # noqa: FBT001, FBT002
        enclosing_alias: Any = None,
        **kw: Any,
    ) -> str:
        """Render a table; where rows are read from it, render the tenant's rows alone."""
        plan = self._plan(table)
        plain: str = super().visit_table(  # type: ignore[no-untyped-call]
            table,
            asfrom=asfrom,
            iscrud=iscrud,
            ashint=ashint,
            enclosing_alias=enclosing_alias,
            **kw,
        )
        if not plan.scoped or not asfrom or iscrud or ashint:
            return plain
        name = self.preparer.quote(plan.table.name)
        condition = self._condition(plan, name, **kw)
        rows = f"(SELECT * FROM {self.preparer.format_table(plan.table)} WHERE {condition})"
        aliased = enclosing_alias is not None and isinstance(enclosing_alias.element, Table)
        return rows if aliased else f"{rows} AS {name}"

    def visit_stockade_tenant_condition(self, element: TenantCondition, **kw: Any) -> str:
        """Render the condition of an UPDATE, a DELETE or an upsert."""
        return self._condition(element.plan, self.preparer.quote(element.plan.table.name), **kw)

    def visit_stockade_closed_condition(self, element: ClosedCondition, **kw: Any) -> str:
        """Render a condition in brackets."""
        return f"({self.process(element.condition, **kw)})"

    def _condition(self, plan: TablePlan, name: str, *, depth: int = 1, **kw: Any) -> str:
        if plan.column is not None:
            return f"{name}.{self.preparer.quote(plan.column.name)} = {self._tenant(plan, **kw)}"
        return " AND ".join(self._owner(owner, name, depth, **kw) for owner in plan.owners)

    def _owner(self, owner: Reference, name: str, depth: int, **kw: Any) -> str:
        """Render that the row a foreign key points to belongs to the tenant."""
        plan = self.plans[owner.target]
        alias = f"stockade_{depth}"
        locals_ = [f"{name}.{self.preparer.quote(local.name)}" for local, _ in owner.local]
        pairs = zip(locals_, owner.remote, strict=True)
        joined = " AND ".join(
            f"{alias}.{self.preparer.quote(c.name)} = {text}" for text, c in pairs
        )
        condition = self._condition(plan, alias, depth=depth + 1, **kw)
        table = self.preparer.format_table(plan.table)
        owned = f"EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {joined} AND {condition})"
        if not owner.nullable:
            return owned
        nowhere = " OR ".join(f"{text} IS NULL" for text in locals_)
        return f"({nowhere} OR {owned})"

    def _tenant(self, plan: TablePlan, **kw: Any) -> str:
        keywords = {key: kw[key] for key in _BIND_KEYWORDS if key in kw}
        return self.process(_tenant_parameter(plan), **keywords)

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> str:
        """Render a column, without the schema where its table became a sub-select."""
        if (
            column.is_literal
            and not is_plain_literal(column.name)
            and not self._lets_in(column.name)
        ):
            raise self._opaque("literal_column()", "use a column, a literal() or a bindparam()")
        if is_raw_name(column.name):
            raise self._opaque("an unquoted name", "leave out quote=False")
        text = super().visit_column(column, *args, **kw)
        table = column.table
        if isinstance(table, Table) and table.schema and self._plan(table).scoped:
            return text.removeprefix(f"{self.preparer.quote_schema(table.schema)}.")
        return text

    # Writing: the tenant is part of what is written, and of what is matched.

    def _target(self, statement: Any) -> TablePlan:
        plan = self._plan(target_table(statement))
        self.written_tables.add(plan.table)
        return plan

    def visit_insert(self, insert_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render an INSERT whose tenant is the session's, whatever the statement says."""
        plan = self._target(insert_stmt)
        if not (plan.scoped or plan.references):
            return str(super().visit_insert(insert_stmt, *args, **kw))  # type: ignore[no-untyped-call]
        self._require_top(insert_stmt, plan)
        if insert_stmt.select is not None or insert_stmt._multi_values:  # noqa: SLF001 - there is no public name.
            raise self._opaque(
                f"INSERT from SELECT or with several VALUES into {plan.table.fullname}",
                "pass a list of rows: execute(insert(Model), rows)",
                reason="unverifiable_write",
            )
        if plan.column is not None:
            insert_stmt = _with_tenant(insert_stmt, plan, plan.column)
        text = str(super().visit_insert(insert_stmt, *args, **kw))  # type: ignore[no-untyped-call]
        self._require_target(plan)
        return text

    def visit_update(self, update_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render an UPDATE of the tenant's rows that leaves them with the tenant."""
        plan = self._target(update_stmt)
        if plan.scoped or plan.references:
            self._require_top(update_stmt, plan)
            if not plan.names.isdisjoint(written_names(update_stmt) | set(self.column_keys or ())):
                raise self._opaque(
                    f"UPDATE of the tenant column of {plan.table.fullname}",
                    "a row never changes its tenant",
                    reason="tenant_changed",
                )
        if plan.scoped:
            update_stmt = self._narrow(update_stmt, plan)
        text = super().visit_update(update_stmt, *args, **kw)
        if plan.scoped:
            self._require_target(plan)
        return text

    def visit_delete(self, delete_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render a DELETE of the tenant's rows."""
        plan = self._target(delete_stmt)
        if plan.scoped:
            delete_stmt = self._narrow(delete_stmt, plan)
        return str(super().visit_delete(delete_stmt, *args, **kw))  # type: ignore[no-untyped-call]

    def visit_on_conflict_do_update(self, on_conflict: Any, **kw: Any) -> str:
        """Render the update of an upsert, which finds the tenant's rows alone."""
        plan = self._target(self.stack[-1]["selectable"])
        guarded = {name for ref in plan.references for _, names in ref.local for name in names}
        for key, value in dict(on_conflict.update_values_to_set).items():
            name = column_name(key)
            if name in plan.names or (name in guarded and not _is_excluded(value, name)):
                raise self._opaque(
                    f"ON CONFLICT DO UPDATE of {plan.table.fullname}.{name}",
                    "leave the tenant out, and set references to excluded.<column>",
                    reason="unverifiable_write",
                )
        if plan.scoped:
            condition: ColumnElement[bool] = TenantCondition(plan)
            present = on_conflict.update_whereclause
            on_conflict = on_conflict._clone()  # noqa: SLF001 - the statement may be shared.
            on_conflict.update_whereclause = (
                condition if present is None else self._closed(present) & condition
            )
        return str(super().visit_on_conflict_do_update(on_conflict, **kw))  # type: ignore[misc]  # The dialect has it.

    def _narrow(self, statement: Any, plan: TablePlan) -> Any:
        """Return an UPDATE or a DELETE that finds the tenant's rows alone."""
        given = statement._where_criteria  # noqa: SLF001 - there is no public name.
        if given and self.text_rule is not TextRule.NONE:
            statement = statement._clone()  # noqa: SLF001 - the statement may be shared.
            statement._where_criteria = (self._closed(and_(*given)),)  # noqa: SLF001
        return statement.where(TenantCondition(plan))

    def _closed(self, condition: Any) -> Any:
        """Return a condition in brackets where it may hold text: an OR in it must not reach out."""
        return condition if self.text_rule is TextRule.NONE else ClosedCondition(condition)

    def _require_top(self, statement: object, plan: TablePlan) -> None:
        """Refuse a write inside another statement: nobody has seen the values it writes."""
        top = self._stockade_statement
        if statement is not top and statement is not getattr(top, "element", None):
            top = getattr(top, "_resolved", None)  # A lambda_stmt().
            if statement is not top:
                raise self._opaque(
                    f"an INSERT or UPDATE of {plan.table.fullname} inside another statement",
                    "execute it on its own",
                    reason="unverifiable_write",
                )

    def _require_target(self, plan: TablePlan) -> None:
        """Refuse a statement that the ORM has turned into a write of another table."""
        state: Any = self.dml_compile_state
        if self.plans.get(state.statement.table) is not plan:
            raise self._opaque(
                f"a write of {plan.table.fullname} that became one of another table",
                "write each table on its own",
                reason="unverifiable_write",
            )

    # Raw SQL inside understood elements.

    def visit_textclause(self, textclause: Any, *args: Any, **kw: Any) -> str:
        """Refuse SQL text, unless it is let in."""
        if not self._lets_in(textclause.text, whole=textclause is self._whole_text()):
            raise self._opaque("text()", _TEXT_ADVICE)
        return str(super().visit_textclause(textclause, *args, **kw))  # type: ignore[no-untyped-call]

    def visit_textual_select(self, taf: Any, *args: Any, **kw: Any) -> str:
        """Refuse SQL text with columns, unless it is let in."""
        if not self._lets_in(taf.element.text, whole=True):
            raise self._opaque("text().columns()", _TEXT_ADVICE)
        return str(super().visit_textual_select(taf, *args, **kw))  # type: ignore[no-untyped-call]

    def _whole_text(self) -> object:
        """Return the text that is the statement, also where the ORM makes objects of its rows."""
        top: Any = self._stockade_statement
        return top if isinstance(top, TextClause) else getattr(top, "element", None)

    def _lets_in(self, text: str, *, whole: bool = False) -> bool:
        """Tell whether SQL text may be rendered, and note that it is."""
        if not self.text_rule.permits(text, whole=whole):
            return False
        self.holds_text = True
        self.brings_rows = self.brings_rows or whole or brings_rows(text)
        return True

    def _refuse_unverifiable_objects(self, statement: Any) -> None:
        """Refuse to make objects of rows that don't show whose they are."""
        try:
            self.shown_columns = shown_columns(statement, self.plans)
        except OpaqueSQLError as error:
            self.refusals.record(error)
            raise

    def visit_function(self, func: Any, *args: Any, **kw: Any) -> str:
        """Render a function call, unless the function runs SQL of its own."""
        if is_querying_function(func.name) or is_raw_name(func.name):
            raise self._opaque(
                f"the function {func.name}()", "it can read rows that its arguments don't show"
            )
        return super().visit_function(func, *args, **kw)

    def visit_extract(self, extract: Any, **kw: Any) -> str:
        """Render EXTRACT, whose field is a word."""
        if not is_plain_field(extract.field):
            raise self._opaque("a field of extract() that is not one word", "name the field")
        return str(super().visit_extract(extract, **kw))  # type: ignore[no-untyped-call]

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        """Render a custom operator between two operands."""
        self._require_plain(operator)
        return str(super().visit_custom_op_binary(element, operator, **kw))  # type: ignore[no-untyped-call]

    def visit_custom_op_unary_operator(self, element: Any, operator: Any, **kw: Any) -> str:
        """Render a custom operator before an operand."""
        self._require_plain(operator)
        return str(super().visit_custom_op_unary_operator(element, operator, **kw))  # type: ignore[no-untyped-call]

    def visit_custom_op_unary_modifier(self, element: Any, operator: Any, **kw: Any) -> str:
        """Render a custom operator after an operand."""
        self._require_plain(operator)
        return str(super().visit_custom_op_unary_modifier(element, operator, **kw))  # type: ignore[no-untyped-call]

    def _require_plain(self, operator: Any) -> None:
        text = operator.opstring
        if not is_plain_operator(text) and not self._lets_in_only_raw(text):
            raise self._opaque(
                "op() with more than one operator", "compose conditions with and_(), or_()"
            )

    def get_statement_hint_text(self, hint_texts: Any) -> str:
        """Refuse hints: their text becomes part of the statement as it is."""
        if not all(self._lets_in_only_raw(text) for text in hint_texts):
            raise self._opaque("a statement hint", "leave it out")
        return str(super().get_statement_hint_text(hint_texts))  # type: ignore[no-untyped-call]

    def format_from_hint_text(self, sqltext: Any, table: Any, hint: Any, iscrud: Any) -> str:
        """Refuse hints on tables, as on statements."""
        if not self._lets_in_only_raw(hint):
            raise self._opaque("a table hint", "leave it out")
        return str(super().format_from_hint_text(sqltext, table, hint, iscrud))  # type: ignore[no-untyped-call]

    def _lets_in_only_raw(self, text: str) -> bool:
        """Tell whether text may pass that is no condition or column of its own."""
        return self.text_rule is TextRule.ANY and self._lets_in(text)


def _tenant_parameter(plan: TablePlan) -> Any:
    """Return the parameter for the tenant; without a value at execution the statement can't run."""
    assert plan.column is not None  # noqa: S101 - callers asked for a column.
    return bindparam(plan.parameter, type_=plan.column.type, required=True)


def target_table(statement: Any) -> object:
    """Return the table that a write is for.

    The ORM sends one statement to each table of a joined inheritance and notes the table beside it.
    """
    notes = statement._annotations  # noqa: SLF001 - there is no public name.
    for name in ("_emit_insert_table", "_emit_update_table"):
        if name in notes:
            return notes[name]
    return statement.table


def _with_tenant(statement: Any, plan: TablePlan, column: Column[Any]) -> Any:
    """Return an INSERT whose only value for the tenant column is the parameter of the session."""
    given = statement._values or {}  # noqa: SLF001 - there is no public name.
    kept = {key: value for key, value in given.items() if column_name(key) not in plan.names}
    changed = statement._clone()  # noqa: SLF001
    changed._values = immutabledict({**kept, column: _tenant_parameter(plan)})  # noqa: SLF001
    return changed


def _is_excluded(value: Any, name: str) -> bool:
    table = getattr(value, "table", None)
    return getattr(table, "name", None) == "excluded" and name in {value.key, value.name}


def isolate_compiler(
    base: type[SQLCompiler],
    text_rule: TextRule,
    *,
    plans: Mapping[Table, TablePlan],
    trusted_elements: frozenset[str],
    refusals: Refusals,
) -> type[IsolatedCompiler]:
    """Return a dialect's compiler behind ours, without the visits that are not understood."""
    own = set(vars(IsolatedCompiler))
    unknown = [
        name
        for name in dir(base)
        if name.startswith("visit_") and name not in own and not is_understood_visit(name)
    ]
    namespace: dict[str, Any] = {name: _refuse_visit(name) for name in unknown}
    namespace |= {"plans": plans, "trusted_elements": trusted_elements, "refusals": refusals}
    namespace["text_rule"] = text_rule
    return type(f"Isolated{base.__name__}", (IsolatedCompiler, base), namespace)


def _refuse_visit(name: str) -> Callable[..., str]:
    what = f"{name.removeprefix('visit_')}()"

    def refuse(self: IsolatedCompiler, *args: Any, **kw: Any) -> str:  # noqa: ARG001
        raise self._opaque(what, _TEXT_ADVICE)

    return refuse
