"""What a column can't hold is found; what it holds is not reported."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AfterValidator, AwareDatetime, Field, NaiveDatetime, SecretStr
from sqlalchemy import (
    ARRAY,
    CHAR,
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    Unicode,
    UnicodeText,
    Uuid,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from stockade.validation.bounds import unbounded
from stockade.validation.columns.capacity import misfits
from stockade.validation.columns.models import MismatchKind
from stockade.validation.columns.reading import Reader
from stockade.validation.shapes import core_schema_of, definitions_of
from stockade.validation.types import Line, Password


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Other(enum.Enum):
    SMALL = "small"
    HUGE = "huge"


class Folded(TypeDecorator[str]):
    impl: TypeEngine[Any] | type[TypeEngine[Any]] = String
    cache_ok: bool | None = True


class Packed(TypeDecorator[list[str]]):
    """Stores a list as text."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = String
    cache_ok: bool | None = True


def double(value: Any) -> Any:  # noqa: ANN401 - anything that has a double
    """Make a value larger, as no schema can tell."""
    return value * 2


def kinds(annotation: object, type_: TypeEngine[Any], *, exact: bool) -> list[str]:
    """Return the kinds of what does not fit."""
    node = core_schema_of(annotation)
    values = Reader(definitions_of(node), exact=exact).read(node, {})
    return [misfit.kind.value for misfit in misfits(values, type_, exact=exact)]


Short = Annotated[str, Field(max_length=200)]
Small = Annotated[int, Field(ge=-(2**15), le=2**15 - 1)]
Medium = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Long = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Price = Annotated[Decimal, Field(max_digits=8, decimal_places=2)]
Percent = Annotated[float, Field(ge=0, le=100)]

FITS: list[tuple[object, TypeEngine[Any]]] = [
    (Short, String(200)),
    (Short, Unicode(201)),
    (Short, CHAR(200)),
    (Short, String()),
    (Short, Text()),
    (Short, UnicodeText()),
    (str, Text()),
    (Annotated[str, unbounded("for the test")], Text()),
    (Short | None, String(200)),
    (Short, String(200).with_variant(String(300), "postgresql")),
    (Short, Folded(200)),
    (Short, postgresql.DOMAIN("short", String(200))),
    (Short, postgresql.CITEXT()),
    (Annotated[str, Field(max_length=63)], mysql.TINYTEXT()),
    (Annotated[str, Field(max_length=16_383)], mysql.TEXT()),
    (Literal["a", "bb"], String(2)),
    (Colour, String(5)),
    (UUID, String(36)),
    (UUID, Uuid()),
    (Line, Uuid(as_uuid=False)),
    (bool, Boolean()),
    (Small, SmallInteger()),
    (Medium, Integer()),
    (Long, BigInteger()),
    (Annotated[int, Field(ge=0, le=255)], mysql.TINYINT(unsigned=True)),
    (Annotated[int, Field(ge=5, le=4)], SmallInteger()),
    (Annotated[int, Field(ge=-(2**53), le=2**53)], Double()),
    (Annotated[float, Field(ge=0.5, le=2)], REAL()),
    (Annotated[float, Field(ge=-2, le=-0.5)], REAL()),
    (Price, REAL()),
    (Annotated[Decimal, Field(ge=0, le=Decimal("0.995"), decimal_places=1)], Numeric(2, 2)),
    (Literal[1, 32_767], SmallInteger()),
    (Price, Numeric(8, 2)),
    (Price, Numeric(10, 4)),
    (Price, Numeric()),
    (Annotated[Decimal, Field(ge=0, le=1, decimal_places=2)], Numeric(3, 2)),
    (Annotated[int, Field(ge=-99, le=99)], Numeric(4, 2)),
    (Percent, Numeric(5, 2)),
    (float, Double()),
    (float, Float()),
    (float, Float(53)),
    (Literal[0], REAL()),
    (AwareDatetime, DateTime(timezone=True)),
    (NaiveDatetime, DateTime()),
    (date, Date()),
    (date, DateTime()),
    (time, Time()),
    (timedelta, Interval()),
    (timedelta, postgresql.INTERVAL()),
    (Annotated[bytes, Field(max_length=20)], LargeBinary(20)),
    (bytes, LargeBinary()),
    (list[Short], ARRAY(String(200))),
    (set[Short], ARRAY(String(200))),
    (tuple[Short, Short], ARRAY(String(200))),
    (list[Short | None], ARRAY(String(200))),
    (list[list[Short]], ARRAY(String(200), dimensions=2)),
    (dict[str, Any], JSON()),
    (list[str], JSON()),
    (Any, JSON()),
    (Any, postgresql.JSONB()),
    (str, postgresql.INET()),
    (Size, Enum(Size)),
    (Size | None, Enum(Size)),
    (Colour, Enum(Colour)),
    (Literal["red"], Enum(Colour)),
    (Literal["RED"], Enum(Colour)),
    (Literal[Size.SMALL], Enum(Size)),
    (Literal["a"], Enum("a", "b")),
    (Colour, Enum("red", "green", "blue")),
    (Literal["red"], Enum(Colour, values_callable=lambda cls: [each.value for each in cls])),
]

MISSES: list[tuple[object, TypeEngine[Any], str]] = [
    (Short, String(199), "too_long"),
    (str, String(200), "too_long"),
    (Annotated[str, unbounded("for the test")], String(200), "too_long"),
    (Short, Unicode(199), "too_long"),
    (Short, CHAR(199), "too_long"),
    (Short, Text(199), "too_long"),
    (Short | None, String(199), "too_long"),
    (Short | int, String(199), "too_long"),
    (Short, String(200).with_variant(String(199), "postgresql"), "too_long"),
    (Short, Text().with_variant(String(199), "mysql"), "too_long"),
    (Short, Folded(199), "too_long"),
    (Short, postgresql.DOMAIN("short", String(199)), "too_long"),
    (Annotated[str, Field(max_length=64)], mysql.TINYTEXT(), "too_long"),
    (Annotated[str, Field(max_length=16_384)], mysql.TEXT(), "too_long"),
    (Annotated[str, Field(max_length=200), AfterValidator(str.upper)], String(200), "too_long"),
    (Literal["a", "bbb"], String(2), "too_long"),
    (Colour, String(4), "too_long"),
    (UUID, String(31), "too_long"),
    (Medium, SmallInteger(), "out_of_range"),
    (Long, Integer(), "out_of_range"),
    (int, BigInteger(), "out_of_range"),
    (int | None, BigInteger(), "out_of_range"),
    (Annotated[int, Field(ge=0)], Integer(), "out_of_range"),
    (Annotated[int, Field(le=5)], Integer(), "out_of_range"),
    (Annotated[int, Field(ge=0, le=256)], mysql.TINYINT(unsigned=True), "out_of_range"),
    (Annotated[int, Field(ge=-1, le=5)], mysql.INTEGER(unsigned=True), "out_of_range"),
    (Annotated[int, Field(ge=0, le=2**23)], mysql.MEDIUMINT(), "out_of_range"),
    (Literal[1, 32_768], SmallInteger(), "out_of_range"),
    (int, Double(), "out_of_range"),
    (float, REAL(), "out_of_range"),
    (Percent, REAL(), "out_of_range"),
    (Percent, Float(24), "out_of_range"),
    (Annotated[int, Field(ge=0, le=10**40)], REAL(), "out_of_range"),
    (Price, Numeric(7, 2), "out_of_range"),
    (Price, Numeric(8, 1), "too_precise"),
    (Price, Numeric(10), "too_precise"),
    (Annotated[Decimal, Field(ge=0, le=1)], Numeric(3, 2), "too_precise"),
    (Annotated[Decimal, Field(decimal_places=2)], Numeric(8, 2), "out_of_range"),
    (Decimal, Numeric(), "out_of_range"),
    (Annotated[int, Field(ge=0, le=100)], Numeric(4, 2), "out_of_range"),
    (int, Numeric(4, 2), "out_of_range"),
    (float, Numeric(10, 2), "out_of_range"),
    (Annotated[float, Field(ge=0, le=99.995)], Numeric(4, 2), "out_of_range"),
    (Annotated[float, Field(ge=0, le=9.995)], Numeric(3, 2), "out_of_range"),
    (Annotated[float, Field(ge=1, le=1e39)], REAL(), "out_of_range"),
    (Annotated[Decimal, Field(max_digits=40, decimal_places=39)], REAL(), "out_of_range"),
    (datetime, DateTime(), "aware"),
    (datetime | None, DateTime(), "aware"),
    (time, Time(timezone=True), "naive"),
    (Annotated[bytes, Field(max_length=21)], LargeBinary(20), "too_long"),
    (list[Short], ARRAY(String(199)), "too_long"),
    (list[list[Short]], ARRAY(String(199)), "too_long"),
    (list[list[Short]], ARRAY(String(199), dimensions=2), "too_long"),
    (Other, Enum(Size), "unknown_member"),
    (Literal["a", "c"], Enum("a", "b"), "unknown_member"),
]

SILENT: list[tuple[object, TypeEngine[Any], str]] = [
    # A handler may turn one into the other, so by name alone nobody can say.
    (Long, Double(), "too_precise"),
    (Medium, REAL(), "too_precise"),
    (Line, Integer(), "wrong_type"),
    (int, String(5), "wrong_type"),
    (float, Integer(), "wrong_type"),
    (Decimal, Integer(), "wrong_type"),
    (int, Boolean(), "wrong_type"),
    (bool, Integer(), "wrong_type"),
    (list[str], String(5), "wrong_type"),
    (Line, Uuid(), "wrong_type"),
    (Line, LargeBinary(5), "wrong_type"),
    (Line, ARRAY(String(5)), "wrong_type"),
    (dict[str, int], Integer(), "wrong_type"),
    (Any, String(5), "wrong_type"),
    (date, String(10), "wrong_type"),
    (datetime, Date(), "wrong_type"),
    (timedelta, Integer(), "wrong_type"),
    (Password, String(60), "too_long"),
    (SecretStr, String(60), "too_long"),
    (UUID, String(32), "too_long"),
    (Line, Enum(Size), "unknown_member"),
    (Literal["small"], Enum(Size), "unknown_member"),
    (
        Literal["RED"],
        Enum(Colour, values_callable=lambda cls: [each.value for each in cls]),
        "unknown_member",
    ),
    (AwareDatetime, DateTime(), "aware"),
    (datetime, DateTime(timezone=True), "naive"),
    (NaiveDatetime, DateTime(timezone=True), "naive"),
    (Annotated[str, Field(max_length=5), AfterValidator(double)], String(5), "too_long"),
    (Annotated[int, Field(ge=0, le=5), AfterValidator(double)], SmallInteger(), "out_of_range"),
    (Annotated[Price, AfterValidator(double)], Numeric(8, 2), "too_precise"),
    (Annotated[list[Short], AfterValidator(double)], ARRAY(String(200)), "too_long"),
]


@pytest.mark.parametrize("exact", [False, True], ids=["by name", "declared"])
@pytest.mark.parametrize(("annotation", "type_"), FITS, ids=str)
def test_what_fits_is_not_reported(annotation: object, type_: TypeEngine[Any], exact: bool) -> None:
    """No alarm is false, whoever says that the two belong together."""
    assert kinds(annotation, type_, exact=exact) == []


@pytest.mark.parametrize("exact", [False, True], ids=["by name", "declared"])
@pytest.mark.parametrize(("annotation", "type_", "kind"), MISSES, ids=str)
def test_what_does_not_fit_is_found(
    annotation: object, type_: TypeEngine[Any], kind: str, exact: bool
) -> None:
    """A value that can't be held for certain is reported in any case."""
    assert kind in kinds(annotation, type_, exact=exact)


@pytest.mark.parametrize(("annotation", "type_", "kind"), SILENT, ids=str)
def test_by_name_alone_doubt_is_no_finding(
    annotation: object, type_: TypeEngine[Any], kind: str
) -> None:
    """What a handler may convert is left to it."""
    assert kinds(annotation, type_, exact=False) == []


@pytest.mark.parametrize(("annotation", "type_", "kind"), SILENT, ids=str)
def test_what_is_declared_leaves_no_doubt(
    annotation: object, type_: TypeEngine[Any], kind: str
) -> None:
    """What is stored as it is must be what the column holds."""
    assert kind in kinds(annotation, type_, exact=True)


@pytest.mark.parametrize(
    ("annotation", "type_"),
    [
        (Annotated[str, AfterValidator(double), Field(max_length=5)], String(5)),
        (Annotated[int, AfterValidator(double), Field(ge=0, le=5)], SmallInteger()),
        (
            Annotated[
                Decimal,
                AfterValidator(double),
                Field(ge=-999_999, le=999_999, decimal_places=2),
            ],
            Numeric(8, 2),
        ),
    ],
    ids=str,
)
def test_a_limit_behind_the_validator_ends_the_doubt(
    annotation: object, type_: TypeEngine[Any]
) -> None:
    """The hint leads to something that passes."""
    assert kinds(annotation, type_, exact=True) == []


def test_a_type_that_converts_takes_any_kind() -> None:
    """A TypeDecorator may make text of a list."""
    assert kinds(list[str], Packed(5), exact=True) == []


def test_times_have_offsets_that_the_column_lacks() -> None:
    """PostgreSQL knows offsets below 16 hours, ISO 8601 spells up to 24."""
    assert "out_of_range" in kinds(time, Time(timezone=True), exact=False)


def test_each_kind_is_reported_once() -> None:
    """Several alternatives of one kind are one finding, with the worst of them."""
    node = core_schema_of(Literal["aaa", "bbbb"] | Short | Line)
    found = list(misfits(Reader({}, exact=False).read(node, {}), String(2), exact=False))
    assert [misfit.kind for misfit in found] == [MismatchKind.TOO_LONG]
    assert "255" in found[0].detail


@pytest.mark.parametrize(
    ("annotation", "type_", "line"),
    [
        (Short, String(199), "Field(max_length=199)"),
        (Medium, SmallInteger(), "Field(ge=-32768, le=32767)"),
        (Price, Numeric(7, 2), "Field(max_digits=7, decimal_places=2)"),
        (float, Numeric(10, 2), "Field(ge=-99999999, le=99999999)"),
        (float, Numeric(3, 3), "Field(ge=-0.999, le=0.999)"),
        (float, Numeric(2, 3), "Field(ge=-0.099, le=0.099)"),
        (int, Numeric(3, 3), "Field(ge=0, le=0)"),
        (datetime, DateTime(), "DateTime(timezone=True)"),
    ],
    ids=str,
)
def test_hints_are_lines_to_write(annotation: object, type_: TypeEngine[Any], line: str) -> None:
    """Each finding says what to write."""
    node = core_schema_of(annotation)
    found = list(misfits(Reader({}, exact=True).read(node, {}), type_, exact=True))
    assert line in found[0].hint


def test_huge_bounds_cost_nothing() -> None:
    """Numbers of digits beyond any column end soon."""
    annotation = Annotated[Decimal, Field(max_digits=10**9, decimal_places=2)]
    assert kinds(annotation, Numeric(10, 2), exact=True) == ["out_of_range"]
    vast = Annotated[Decimal, Field(ge=0, le=Decimal("1E+6000"), decimal_places=2)]
    assert kinds(vast, Numeric(10, 2), exact=True) == ["out_of_range"]
    types: list[TypeEngine[Any]] = [Integer(), Double(), Numeric(10, 2)]
    for type_ in types:
        assert "out_of_range" in kinds(Annotated[int, Field(ge=0, le=10**400)], type_, exact=True)
