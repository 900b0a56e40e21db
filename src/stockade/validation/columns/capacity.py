"""Say what the declared type of a column can't hold of a field's values.

Lengths are in characters, as PostgreSQL counts them in ``VARCHAR(n)``. SQLite enforces none of
this: what counts is the type that is declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BINARY,
    VARBINARY,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Time,
    TypeDecorator,
    Uuid,
)
from sqlalchemy import Enum as EnumType
from sqlalchemy.types import TypeEngine

from stockade.validation.columns.models import Misfit, MismatchKind
from stockade.validation.columns.numbers import (
    compare_float,
    compare_numeric,
    compare_range,
    range_of,
)
from stockade.validation.columns.values import Kind, Value, merge

# Types of MySQL whose capacity is in bytes; a character has up to four.
_MYSQL: Final = "sqlalchemy.dialects.mysql"
_MYSQL_BYTES: Final = {
    "TINYTEXT": 255,
    "TINYBLOB": 255,
    "TEXT": 65_535,
    "BLOB": 65_535,
    "MEDIUMTEXT": 16_777_215,
    "MEDIUMBLOB": 16_777_215,
}
_BYTES_OF_A_CHARACTER: Final = 4
# PostgreSQL knows offsets up to this one, in seconds; ISO 8601 text may have others.
_MOST_OFFSET: Final = 16 * 3600 - 1
_UUID_TEXT: Final = 36
_UUID_DIGITS: Final = 32
_ACCEPTED: Final[tuple[tuple[tuple[type[TypeEngine[Any]], ...], frozenset[Kind]], ...]] = (
    ((Boolean,), frozenset({Kind.BOOLEAN})),
    ((Uuid,), frozenset({Kind.UUID})),
    ((LargeBinary, BINARY, VARBINARY), frozenset({Kind.BYTES})),
    ((String,), frozenset({Kind.TEXT, Kind.UUID})),
    ((Integer,), frozenset({Kind.INTEGER})),
    ((Float, Numeric), frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT})),
    ((DateTime,), frozenset({Kind.DATETIME, Kind.DATE})),
    ((Date,), frozenset({Kind.DATE})),
    ((Time,), frozenset({Kind.TIME})),
    ((Interval,), frozenset({Kind.INTERVAL})),
    ((ARRAY,), frozenset({Kind.ITEMS})),
)


def misfits(values: Iterable[Value], type_: TypeEngine[Any], *, exact: bool) -> Iterator[Misfit]:
    """Yield what a type can't hold.

    Args:
        values: All that a field hands on.
        type_: The declared type of the column.
        exact: Whether the values are stored as they are. Otherwise a handler may turn one kind into
            another, so that only values of the column's own kind are compared.
    """
    found = [value for value in values if value.kind is not Kind.NULL]
    if not exact:
        # What is kept secret is hashed before it is stored.
        found = [value for value in found if not value.secret]
    for declared, converts in _declared(type_):
        yield from _compare(found, declared, exact=exact, converts=converts)


def _declared(type_: TypeEngine[Any]) -> Iterator[tuple[TypeEngine[Any], bool]]:
    """Yield what a type is for each database, and whether it converts values."""
    # SQLAlchemy has no other way to the types that with_variant() adds.
    variants: dict[str, TypeEngine[Any]] = dict(getattr(type_, "_variant_mapping", {}))
    for each in (type_, *variants.values()):
        converts = isinstance(each, TypeDecorator) and not isinstance(each, Interval)
        yield _innermost(each), converts


def _innermost(type_: Any) -> TypeEngine[Any]:  # noqa: ANN401 - only some types have another inside
    # An Interval is a decorator for databases that have none.
    if isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        return _innermost(type_.impl_instance)
    # A domain of PostgreSQL is of another type.
    inner = getattr(type_, "data_type", None)
    if isinstance(inner, TypeEngine):
        return _innermost(inner)
    found: TypeEngine[Any] = type_
    return found


def _compare(
    values: list[Value], type_: TypeEngine[Any], *, exact: bool, converts: bool
) -> Iterator[Misfit]:
    if isinstance(type_, EnumType):
        yield from _compare_members(values, type_, exact=exact and not converts)
        return
    accepted = next((kinds for classes, kinds in _ACCEPTED if isinstance(type_, classes)), None)
    if accepted is None or (isinstance(type_, Uuid) and not type_.as_uuid):
        return
    for value in merge(values):
        if value.kind not in accepted:
            if exact and not converts:
                yield _wrong_type(value, type_)
        elif isinstance(type_, ARRAY):
            # PostgreSQL keeps lists in lists in one array, of any number of dimensions.
            nested = [item for item in value.items if item.kind is Kind.ITEMS]
            single = [item for item in value.items if item.kind is not Kind.ITEMS]
            for held, inner_type in ((nested, type_), (single, type_.item_type)):
                for inner in misfits(held, inner_type, exact=exact):
                    yield replace(inner, inside=f"[]{inner.inside}")
        else:
            yield from _compare_size(value, type_, exact=exact)


def _wrong_type(value: Value, type_: TypeEngine[Any]) -> Misfit:
    detail = f"takes {value.kind}, the column holds {type(type_).__name__}"
    if value.kind is Kind.ANY and value.behind:
        detail = f"takes what {value.behind} returns, of which nothing is known"
    return Misfit(
        MismatchKind.WRONG_TYPE,
        detail,
        "declare both with the same type, or name the field in stores(..., elsewhere=...)",
    )


def _compare_size(value: Value, type_: TypeEngine[Any], *, exact: bool) -> Iterator[Misfit]:
    if isinstance(type_, String):
        yield from _compare_text(value, type_, exact=exact)
    elif isinstance(type_, LargeBinary | BINARY | VARBINARY):
        yield from _compare_length(value, _length_of(type_, 1), "bytes", type_)
    elif isinstance(type_, Integer):
        low, high = range_of(type_)
        yield from compare_range(value, low, high, type_)
    elif isinstance(type_, Float):
        yield from compare_float(value, type_, exact=exact)
    elif isinstance(type_, Numeric):
        yield from compare_numeric(value, type_)
    elif isinstance(type_, DateTime):
        yield from _compare_zone(value, type_, exact=exact)
    elif isinstance(type_, Time):
        yield from _compare_offset(value, type_)


def _compare_text(value: Value, type_: String, *, exact: bool) -> Iterator[Misfit]:
    length = _length_of(type_, _BYTES_OF_A_CHARACTER)
    if value.kind is Kind.UUID:
        # Without hyphens, as a handler may store it, it is shorter.
        needed = _UUID_TEXT if exact else _UUID_DIGITS
        if length is not None and length < needed:
            yield Misfit(
                MismatchKind.TOO_LONG,
                f"takes UUIDs, which have {_UUID_TEXT} characters, the column holds {length}",
                "make the column Uuid() or String(36)",
            )
        return
    yield from _compare_length(value, length, "characters", type_)


def _compare_length(
    value: Value, length: int | None, unit: str, type_: TypeEngine[Any]
) -> Iterator[Misfit]:
    if length is None or (value.most is not None and value.most <= length):
        return
    taken = f"any number of {unit}" if value.most is None else f"up to {value.most} {unit}"
    hint = f"write Field(max_length={length})"
    if value.behind:
        taken = f"{unit} from {value.behind}, which may make a value longer"
        hint = (
            "put the maximum behind the validator:"
            f" Annotated[..., AfterValidator(...), Field(max_length={length})]"
        )
    elif value.most is not None:
        hint += f", or {type(type_).__name__}({value.most}) for the column"
    yield Misfit(MismatchKind.TOO_LONG, f"takes {taken}, the column holds {length}", hint)


def _length_of(type_: Any, width: int) -> int | None:  # noqa: ANN401 - types of texts and bytes
    if type(type_).__module__.startswith(_MYSQL) and type_.length is None:
        most = _MYSQL_BYTES.get(type_.__visit_name__)
        return None if most is None else most // width
    length: int | None = type_.length
    return length


def _compare_zone(value: Value, type_: DateTime, *, exact: bool) -> Iterator[Misfit]:
    if value.kind is not Kind.DATETIME:
        return
    # A field that takes both works until a client sends the other one. Where it takes only aware
    # ones, a handler has to convert them.
    if value.aware and not type_.timezone and (exact or value.naive):
        yield Misfit(
            MismatchKind.AWARE,
            "takes datetimes with a time zone, the column holds none",
            "write DateTime(timezone=True) for the column, or NaiveDatetime for the field",
        )
    if value.naive and type_.timezone and exact:
        yield Misfit(
            MismatchKind.NAIVE,
            "takes datetimes without a time zone, of which the database makes local time",
            "write AwareDatetime for the field, or DateTime() for the column",
        )


def _compare_offset(value: Value, type_: Time) -> Iterator[Misfit]:
    if not type_.timezone:
        return
    if value.naive:
        yield Misfit(
            MismatchKind.NAIVE,
            "takes times without a time zone, which drivers refuse",
            "write Time() for the column",
        )
    if value.aware and (value.offset is None or abs(value.offset) > _MOST_OFFSET):
        yield Misfit(
            MismatchKind.OUT_OF_RANGE,
            "takes times of any offset, the column holds less than 16 hours",
            "write Time() for the column",
        )


def _compare_members(values: list[Value], type_: EnumType, *, exact: bool) -> Iterator[Misfit]:
    """Compare with a column that has a list of what it holds.

    A member of the column's own class is bound by its name, or by what ``values_callable`` says; a
    string passes if it is one of these, or equal to a member.
    """
    members: list[Enum] = [*(type_.enum_class or ())]
    held: list[object] = [*type_.enums, *members]
    if not exact:
        # A handler finds the member by its value or its name.
        held += [each for member in members for each in (member.value, member.name)]
    unknown = list(
        dict.fromkeys(str(_plain(each)) for each in _strangers(values, held, exact=exact))
    )
    if unknown:
        yield Misfit(
            MismatchKind.UNKNOWN_MEMBER,
            f"takes {', '.join(unknown[:3])}, which the column does not hold",
            "declare both with the same enumeration",
        )
    if exact:
        for value in merge(each for each in values if not each.choices):
            yield Misfit(
                MismatchKind.UNKNOWN_MEMBER,
                f"takes {value.kind} beyond the members of the column",
                f"declare it as {_name(type_)}",
            )


def _strangers(values: list[Value], held: list[object], *, exact: bool) -> Iterator[object]:
    for value in values:
        for choice in value.choices:
            known = choice in held
            if not exact and isinstance(choice, Enum):
                known = known or choice.value in held or choice.name in held
            if not known:
                yield choice


def _plain(choice: object) -> object:
    return choice.value if isinstance(choice, Enum) else choice


def _name(type_: EnumType) -> str:
    if type_.enum_class is not None:
        return type_.enum_class.__name__
    return f"Literal[{', '.join(map(repr, type_.enums[:3]))}{', ...' * (len(type_.enums) > 3)}]"  # noqa: PLR2004 - as many as a line shows
