"""Declare a column as rich text: the wall behind the field types, and a record of the policy.

A value that did not pass a field type (an import, a script, a forgotten schema) is sanitized on its
way into the database. Beside it, a column of its own says under which version of the policy the
text was written, so that what an older policy let in can be found and written again.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    String,
    Text,
    TypeDecorator,
    and_,
    literal,
    null,
)
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import MappedColumn, QueryableAttribute, mapped_column
from sqlalchemy.sql.dml import DMLState
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import NullType

from stockade.sanitization.cleaning import sanitize_html
from stockade.sanitization.errors import SanitizationError, UnsafePolicyError
from stockade.sanitization.policies import HTMLPolicy, find_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Dialect, FromClause, Update
    from sqlalchemy.engine.default import DefaultExecutionContext
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.elements import KeyedColumnElement
    from sqlalchemy.sql.operators import OperatorType
    from sqlalchemy.types import TypeEngine

# Key of Column.info under which a version column names the column that it belongs to.
INFO_KEY: Final = "stockade_rich_text"
_STAMP_LENGTH: Final = 100


class RichTextColumnError(SanitizationError, DontWrapMixin):
    """A value can't be written to a column of rich text.

    SQLAlchemy would wrap any other error in one that repeats the statement's parameters.
    """


class RichTextTypeError(TypeError, DontWrapMixin):
    """A value for a column of rich text is no text."""


class RichTextColumn(TypeDecorator[str]):
    """A column of rich text, sanitized whenever a value is written to it.

    What is read comes back as it was stored. Comparisons take their value as it is, so that a
    search for markup finds markup. SQL expressions (``Note.body + "x"``, ``INSERT ... SELECT``) are
    computed by the database and pass no sanitizer; a version column marks their rows as outdated.

    Args:
        policy: A policy, or the name of a registered one.
        length: Most characters of what is written, before and after sanitizing. With a length the
            column is a ``VARCHAR``; without one it is a ``TEXT`` with the limit of the policy.

    Raises:
        UnsafePolicyError: The policy is unknown, or the length is not from 1 to its limit.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok: bool | None = True

    def __init__(self, policy: str | HTMLPolicy = "default", *, length: int | None = None) -> None:
        self.policy = find_policy(policy)
        self.length = length
        if length is not None and not 0 < length <= self.policy.max_length:
            message = f"length has to be from 1 to {self.policy.max_length}, the policy's limit"
            raise UnsafePolicyError(message)
        super().__init__()
        self.impl = Text() if length is None else String(length)

    def __repr__(self) -> str:
        """Return what a migration needs: the policy is no matter of the database."""
        return f"RichTextColumn({'' if self.length is None else f'length={self.length}'})"

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Sanitize a value that is written.

        Raises:
            RichTextColumnError: It is too long, needs too much work, or is not Unicode text.
            RichTextTypeError: It is no text.
        """
        if value is None:
            return None
        if not isinstance(value, str):
            raise RichTextTypeError
        limit = self.policy.max_length if self.length is None else self.length
        try:
            cleaned = sanitize_html(value, self.policy)
        except SanitizationError as error:
            raise RichTextColumnError(reason=error.reason, limit=limit) from None
        if max(len(value), len(cleaned)) > limit:
            raise RichTextColumnError(reason="sanitization.too_long", limit=limit)
        return cleaned

    def coerce_compared_value(
        self,
        op: OperatorType | None,  # noqa: ARG002
        value: object,  # noqa: ARG002
    ) -> TypeEngine[Any]:
        """Leave what is compared, searched for or appended as it is."""
        return String()

    @property
    def stamp(self) -> str:
        """What a version column holds for text written now: ``default/1``."""
        return f"{self.policy.name}/{self.policy.version}"


class RichTextVersionError(UnsafePolicyError, DontWrapMixin):
    """A version column belongs to no column of rich text, or its policy's name is too long."""


def rich_text_version(text: str) -> MappedColumn[str | None]:
    """Return the column that says under which policy the rich text beside it was written.

    It holds the name and version of the policy, such as ``default/1``, and follows each INSERT and
    UPDATE by itself, of the ORM and of the Core. It is NULL where the text came from a SQL
    expression, which no sanitizer sees. An UPDATE that leaves the text alone leaves it alone.

    The ORM reads it again after an UPDATE, like every value that the database computes. Let an
    upsert set it too: ``set_={"body": new.body, "body_policy": new.body_policy}``.

    Args:
        text: Key of the column of rich text in the same table.

    Raises:
        RichTextVersionError: There is no such column; when a row is written or searched for.
    """
    return mapped_column(
        String(_STAMP_LENGTH),
        nullable=True,
        default=_recorder(text),
        onupdate=_Recorded(text),
        info={INFO_KEY: text},
    )


def outdated(text: QueryableAttribute[Any] | ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that rich text was not written under the policy of today.

    Write such a text to its own column again, and it is sanitized under the policy of today:
    ``update(Note).where(Note.id == id, Note.body == body).values(body=body)``.

    Args:
        text: A mapped attribute, also of an alias, or a column; with a version column beside it.

    Raises:
        RichTextVersionError: It is no column of rich text, or has no version column.
    """
    expression = text.expression if isinstance(text, QueryableAttribute) else text
    column = cast("Column[Any]", expression)
    # An alias has columns of its own, which know the table's but not what is noted there.
    source = cast("Column[Any]", next(iter(column.base_columns)))
    stamp = _stamp(source.table, source.key)
    version = column.table.corresponding_column(_version_of(source.table, source.key))
    return and_(column.is_not(None), cast("Column[Any]", version).is_distinct_from(stamp))


class _Written(Enum):
    """What a statement does to a column of rich text."""

    SANITIZED = auto()
    UNTOUCHED = auto()
    UNKNOWN = auto()


class _Recorded(ColumnElement[str | None]):
    """What an UPDATE writes to a version column; known when the UPDATE is compiled."""

    inherit_cache: bool | None = False
    type: TypeEngine[Any] = String()

    def __init__(self, text: str) -> None:
        self.text = text


@compiles(_Recorded)
def _compile_recorded(element: _Recorded, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401
    table = cast("Update", compiler.stack[-1]["selectable"]).table
    stamp = _stamp(table, element.text)
    written = _Written.UNKNOWN
    # Inside another statement, the compiler says nothing about the values.
    if len(compiler.stack) == 1:
        written = _written(compiler, table, element.text)
    if written is _Written.UNTOUCHED:
        return compiler.process(_version_of(table, element.text), **kw)
    value = literal(stamp, String()) if written is _Written.SANITIZED else null()
    return compiler.process(value, **kw)


def _recorder(text: str) -> Callable[[DefaultExecutionContext], str | None]:
    """Return the default of a version column: what an INSERT writes to it."""

    def record(context: DefaultExecutionContext) -> str | None:
        column = context.current_column
        # In an INSERT of several rows, each but the first has a stand-in.
        table = cast("Column[Any]", getattr(column, "original", column)).table
        stamp = _stamp(table, text)
        written = _written(cast("SQLCompiler", context.compiled), table, text)
        return stamp if written is _Written.SANITIZED else None

    return record


def _written(compiler: SQLCompiler, table: FromClause, key: str) -> _Written:
    """Tell where the values of a column come from.

    SQLAlchemy has no public name for the values of a statement.
    """
    state = compiler.compile_state
    if (
        not isinstance(state, DMLState)
        or getattr(state.dml_table, "fullname", "") != getattr(table, "fullname", None)
        or getattr(state.statement, "select", None) is not None
    ):
        return _Written.UNKNOWN
    rows = state._multi_parameters or [state._dict_parameters or {}]  # noqa: SLF001
    values = [value for row in rows for name, value in row.items() if _key(name) == key]
    if not all(_is_sanitized(value, table.c[key].type) for value in values):
        return _Written.UNKNOWN
    named = any(_key(name) == key for name in compiler.column_keys or ())
    return _Written.SANITIZED if values or named else _Written.UNTOUCHED


def _key(name: object) -> object:
    return getattr(name, "key", name)


def _is_sanitized(value: object, kind: TypeEngine[Any]) -> bool:
    """Tell whether a value is bound as the type of the column, which sanitizes it."""
    if not isinstance(value, ClauseElement):
        return True
    return isinstance(value, BindParameter) and (
        isinstance(value.type, NullType)
        or (
            isinstance(value.type, RichTextColumn)
            and value.type.stamp == cast("RichTextColumn", kind).stamp
        )
    )


def _version_of(table: FromClause, key: str) -> KeyedColumnElement[Any]:
    found = next((column for column in table.c if column.info.get(INFO_KEY) == key), None)
    if found is None:
        message = f"column {key!r} has no version column: add rich_text_version() beside it"
        raise RichTextVersionError(message)
    return found


def _stamp(table: FromClause, key: str) -> str:
    column = table.c.get(key)
    if column is None or not isinstance(column.type, RichTextColumn):
        message = f"rich_text_version({key!r}) names no RichTextColumn beside it"
        raise RichTextVersionError(message)
    stamp = column.type.stamp
    if len(stamp) > _STAMP_LENGTH:
        message = f"the name of the policy of {key!r} is too long to be recorded: shorten it"
        raise RichTextVersionError(message)
    return stamp
