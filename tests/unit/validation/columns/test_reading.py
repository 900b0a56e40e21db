"""Nothing that a field hands on is outside of what the reader says of it."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from annotated_types import Interval
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    Base64Str,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    EmailStr,
    Field,
    HttpUrl,
    InstanceOf,
    IPvAnyAddress,
    Json,
    NaiveDatetime,
    PlainValidator,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)

from stockade.sanitization import RichText
from stockade.validation.bounds import unbounded
from stockade.validation.columns.fields import fields_of
from stockade.validation.columns.reading import Reader
from stockade.validation.columns.values import Kind, Value, merge
from stockade.validation.schema import Schema
from stockade.validation.shapes import core_schema_of, definitions_of
from stockade.validation.types import EmailAddress, Line, Password


def read(annotation: object, *, exact: bool = False) -> list[Value]:
    """Read an annotation, one value for each kind."""
    node = core_schema_of(annotation)
    return merge(Reader(definitions_of(node), exact=exact).read(node, {}))


def read_one(annotation: object, *, exact: bool = False) -> Value:
    """Read an annotation of one kind."""
    (value,) = read(annotation, exact=exact)
    return value


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 900


class Plain(enum.Enum):
    ONE = "one"


def double(value: str) -> str:
    """Make a value longer, as no schema can tell."""
    return value * 2


@pytest.mark.parametrize(
    ("annotation", "most"),
    [
        (str, None),
        (Line, 255),
        (Annotated[str, Field(max_length=7)], 7),
        (Annotated[Line, Field(max_length=7)], 7),
        (Annotated[Line, Field(max_length=700)], 255),
        (Annotated[Annotated[str, Field(max_length=9)], Field(max_length=7)], 7),
        (Annotated[str, StringConstraints(strip_whitespace=True, max_length=7)], 7),
        (Annotated[str, StringConstraints(to_upper=True, max_length=7)], 21),
        (Annotated[str, StringConstraints(to_lower=True, max_length=7)], 14),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern="^[a-z]{3}$")], 3),
        (Annotated[str, AfterValidator(str.upper), Field(max_length=7)], 7),
        (Annotated[str, Field(max_length=7), AfterValidator(str.upper)], 21),
        (Annotated[str, Field(max_length=7), AfterValidator(str.lower)], 14),
        (Annotated[str, Field(max_length=7), AfterValidator(str.strip)], 7),
        (Annotated[str, Field(max_length=7), BeforeValidator(double)], 7),
        (Annotated[str, Field(max_length=7), AfterValidator(double)], 7),
        (Annotated[str, unbounded("for the test")], None),
        (Annotated[RichText, Field(max_length=7)], 7),
        (RichText, 1_000_000),
        (EmailAddress, 254),
        (EmailStr, 254),
        (Annotated[EmailStr, Field(max_length=100)], 100),
        (Annotated[EmailStr, Field(max_length=300)], 254),
        (Literal["a", "abc"], 3),
        (Colour, 5),
        (Plain, 3),
        (HttpUrl, 2083),
        (Annotated[AnyUrl, Field(max_length=7)], 7),
        (Path, None),
        (Annotated[str, WrapValidator(lambda value, handler: handler(value))], None),
        (Json[Line], 255),
        (InstanceOf[str], None),
    ],
    ids=str,
)
def test_text_has_its_effective_maximum(annotation: object, most: int | None) -> None:
    """Whatever bounds a text, the least bound counts, and growth behind it is seen."""
    value = read_one(annotation)
    assert (value.kind, value.most) == (Kind.TEXT, most)


@pytest.mark.parametrize(
    ("annotation", "most"),
    [
        (Annotated[str, Field(max_length=7), AfterValidator(double)], None),
        (Annotated[str, Field(max_length=7), WrapValidator(lambda v, h: h(v) * 2)], None),
        (Annotated[str, AfterValidator(double), Field(max_length=7)], 7),
        (Annotated[str, Field(max_length=7), AfterValidator(double), Field(max_length=9)], 9),
        (
            Annotated[
                str, Field(max_length=7), AfterValidator(double), StringConstraints(max_length=9)
            ],
            9,
        ),
        (Annotated[Base64Str, Field(max_length=7)], 7),
        (Base64Str, None),
        (HttpUrl, 2083 * 12 + 1),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern="^[a-z]{3}$")], 3),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern="^.*$")], 9),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern="^[^a]*$")], 9),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern="^a|b$")], 9),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern=r"^\w$")], 9),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern=r"^[\w]$")], 9),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern="[a-z]")], 9),
        (Annotated[str, StringConstraints(to_upper=True, max_length=3, pattern="^[a-ΐ]$")], 9),
    ],
    ids=str,
)
def test_in_doubt_text_has_no_maximum(annotation: object, most: int | None) -> None:
    """Where nothing may be missed, a validator that nobody knows takes the maximum away."""
    assert read_one(annotation, exact=True).most == most


def test_the_validator_in_doubt_is_named() -> None:
    """The name is for the hint."""
    value = read_one(Annotated[str, Field(max_length=7), AfterValidator(double)], exact=True)
    assert value.behind.endswith(".double")


@pytest.mark.parametrize(
    ("annotation", "low", "high"),
    [
        (int, None, None),
        (Annotated[int, Field(ge=1, le=9)], 1, 9),
        (Annotated[int, Field(gt=1, lt=9)], 2, 8),
        (Annotated[int, AfterValidator(abs), Field(gt=0.5, lt=8.5)], 1, 8),
        (Annotated[int, AfterValidator(abs), Field(le=9)], None, 9),
        (Annotated[int | None, Field(ge=1, le=9)], 1, 9),
        (Annotated[int, Field(ge=1, le=9), Field(le=5)], 1, 5),
        (Annotated[float, Field(gt=1, lt=9)], 1, 9),
        (Annotated[float, Field(le=float("inf"))], None, None),
        (Level, 1, 900),
        (Literal[3, -4], -4, 3),
    ],
    ids=str,
)
def test_numbers_have_their_effective_range(
    annotation: object, low: int | None, high: int | None
) -> None:
    """Bounds of all kinds are joined."""
    value = read(annotation)[0]
    assert (value.low, value.high) == (low, high)


@pytest.mark.parametrize(
    ("annotation", "whole", "places"),
    [
        (Decimal, None, None),
        (Annotated[Decimal, Field(max_digits=8, decimal_places=2)], 6, 2),
        (Annotated[Decimal, Field(max_digits=8)], 8, 8),
        (Annotated[Decimal, Field(decimal_places=2)], None, 2),
        (Annotated[Decimal, AfterValidator(abs), Field(max_digits=8)], 8, 8),
        (Literal[Decimal("12.345")], 2, 3),
    ],
    ids=str,
)
def test_decimals_have_their_digits(
    annotation: object, whole: int | None, places: int | None
) -> None:
    """Digits before the point and behind it are told apart."""
    value = read_one(annotation)
    assert (value.whole, value.places) == (whole, places)


@pytest.mark.parametrize(
    ("annotation", "naive", "aware"),
    [
        (datetime, True, True),
        (AwareDatetime, False, True),
        (NaiveDatetime, True, False),
        (time, True, True),
        (Literal["x"], False, False),
    ],
    ids=str,
)
def test_moments_have_their_zones(annotation: object, naive: bool, aware: bool) -> None:
    """A moment can be with a zone, without one, or either."""
    value = read_one(annotation)
    assert (value.naive, value.aware) == (naive, aware)


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        (Line | None, {Kind.TEXT, Kind.NULL}),
        (Line | int, {Kind.TEXT, Kind.INTEGER}),
        (None, {Kind.NULL}),
        (bool, {Kind.BOOLEAN}),
        (UUID, {Kind.UUID}),
        (date, {Kind.DATE}),
        (timedelta, {Kind.INTERVAL}),
        (bytes, {Kind.BYTES}),
        (list[int], {Kind.ITEMS}),
        (set[int], {Kind.ITEMS}),
        (dict[str, int], {Kind.OBJECT}),
        (IPvAnyAddress, {Kind.OBJECT}),
        (Any, {Kind.ANY}),
        (Annotated[str, PlainValidator(str)], {Kind.ANY}),
        (Json, {Kind.ANY}),
        (Literal["a", 1, None], {Kind.TEXT, Kind.INTEGER, Kind.NULL}),  # noqa: PYI061 - None as a literal is what is read
    ],
    ids=str,
)
def test_kinds(annotation: object, kinds: set[Kind]) -> None:
    """Each kind of value is known for what it is."""
    assert {value.kind for value in read(annotation)} == kinds


def test_sizes_of_bytes_become_integers() -> None:
    """Where a validator of Pydantic makes a number of text, nothing is known of its size."""
    assert any(value.high is None for value in read(ByteSize) if value.kind is Kind.INTEGER)


def test_items_are_read() -> None:
    """What is in a list has bounds of its own."""
    (items,) = read_one(
        Annotated[list[Annotated[Line, Field(max_length=5)]], Field(max_length=3)]
    ).items
    assert items.most == 5


@pytest.mark.parametrize("annotation", [SecretStr, Password], ids=str)
def test_secrets_are_known(annotation: object) -> None:
    """What is in a secret is told apart, since it is hardly stored as it is."""
    assert all(value.secret for value in read(annotation))


def test_secrets_have_the_length_of_their_format() -> None:
    """A password has at most as many characters as bytes."""
    assert read_one(Password).most == 72


class Tree(BaseModel):
    children: list[Tree] = Field(max_length=3)


def test_recursion_ends() -> None:
    """A schema that holds itself is read once."""
    assert read(Tree)[0].kind is Kind.OBJECT


def test_defaults_count_as_they_are() -> None:
    """Pydantic does not look at a default, so it can be longer than the field allows."""

    class Defaults(BaseModel):
        title: str = Field(default="x" * 300, max_length=200)

    (field,) = fields_of(Defaults, exact=False)
    assert merge(field.values)[0].most == 300


def test_defaults_that_are_validated_do_not_count() -> None:
    """They are refused like anything else."""

    class Defaults(BaseModel):
        title: str = Field(default="x" * 300, max_length=200, validate_default=True)

    (field,) = fields_of(Defaults, exact=False)
    assert merge(field.values)[0].most == 200


def test_the_configuration_of_a_model_counts() -> None:
    """A model can give its strings a length, and change their case."""

    class Short(BaseModel):
        model_config = ConfigDict(str_max_length=10, str_to_upper=True)

        name: str

    (field,) = fields_of(Short, exact=False)
    assert merge(field.values)[0].most == 30


def test_a_schema_bounds_its_integers() -> None:
    """An integer of a Schema has 64 bits."""

    class Count(Schema):
        count: int

    (field,) = fields_of(Count, exact=False)
    (value,) = merge(field.values)
    assert value.low == -(2**63)
    assert value.high == 2**63 - 1


LENGTHS = st.integers(0, 8)
STEPS = st.lists(
    st.one_of(
        LENGTHS.map(lambda most: Field(max_length=most)),
        LENGTHS.map(lambda most: StringConstraints(max_length=most, to_upper=True)),
        LENGTHS.map(lambda most: StringConstraints(max_length=most, to_lower=True)),
        LENGTHS.map(lambda most: StringConstraints(max_length=most, strip_whitespace=True)),
        st.sampled_from(
            [
                AfterValidator(change)
                for change in (str.upper, str.lower, str.title, str.casefold, str.strip)
            ]
        ),
        st.just(AfterValidator(double)),
        st.just(BeforeValidator(lambda value: value)),
        st.just(WrapValidator(lambda value, handler: handler(value) + "x")),
    ),
    max_size=5,
)
TEXTS = st.text(alphabet=st.sampled_from("aßΐİŉ \t&<x"), max_size=10)


@given(STEPS, TEXTS)
def test_no_text_is_longer_than_what_is_read(steps: list[Any], text: str) -> None:
    """However limits and validators are stacked, what comes out is within what is read."""
    annotation: Any = str
    for step in steps:
        annotation = Annotated[annotation, step]
    value = read_one(annotation, exact=True)
    try:
        out = TypeAdapter(annotation).validate_python(text)
    except ValidationError:
        return
    assert value.most is None or len(out) <= value.most


NUMBERS = st.integers(-20, 20) | st.sampled_from([0.5, -3.5, 7.25])
BOUNDS = st.dictionaries(st.sampled_from(["ge", "gt", "le", "lt"]), NUMBERS, max_size=2)


@given(
    st.sampled_from([int, float, Decimal]),
    st.lists(BOUNDS, max_size=3),
    st.integers(-25, 25),
    st.booleans(),
)
def test_no_number_is_outside_of_what_is_read(
    kind: type, stack: list[dict[str, float]], number: int, behind: bool
) -> None:
    """However bounds are stacked, what comes out is within what is read."""
    annotation: Any = Annotated[kind, AfterValidator(abs)] if behind else kind
    for bounds in stack:
        if kind is int and not behind and any(bound % 1 for bound in bounds.values()):
            # Pydantic refuses such a bound itself.
            return
        limits: dict[str, Any] = dict(bounds)
        annotation = Annotated[annotation, Interval(**limits)]
    value = read_one(annotation, exact=True)
    try:
        out = Fraction(TypeAdapter(annotation).validate_python(number))
    except ValidationError:
        return
    assert value.low is None or value.low <= out
    assert value.high is None or out <= value.high


@given(
    st.integers(1, 6),
    st.none() | st.integers(0, 6),
    st.booleans(),
    st.decimals(
        allow_nan=False, allow_infinity=False, places=None, min_value=-(10**8), max_value=10**8
    ),
)
def test_no_decimal_has_more_digits_than_what_is_read(
    digits: int, places: int | None, behind: bool, number: Decimal
) -> None:
    """Digits are counted as Pydantic counts them, also behind a validator."""
    limits = (
        Field(max_digits=digits)
        if places is None
        else Field(max_digits=digits, decimal_places=places)
    )
    annotation: Any = (
        Annotated[Decimal, AfterValidator(abs), limits] if behind else Annotated[Decimal, limits]
    )
    value = read_one(annotation, exact=True)
    try:
        out = TypeAdapter(annotation).validate_python(number)
    except ValidationError:
        return
    assert value.whole is not None
    assert value.places is not None
    assert abs(out) < 10**value.whole
    assert out == round(out, value.places)
