"""A Schema takes what fits as it is, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address
from types import new_class
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, Strict, ValidationError, create_model
from typing_extensions import TypeAliasType, TypedDict

from stockade.sanitization import RichText
from stockade.validation import (
    EmailAddress,
    Line,
    ParameterSchema,
    Password,
    Schema,
    Text,
    UUIDIdentifier,
    unbounded,
)
from stockade.validation.errors import LooseSchemaError, UnboundedInputError

UUID_TEXT = "123e4567-e89b-42d3-a456-426614174000"


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    ONE = 1


class Event(TypedDict):
    when: datetime
    size: int


class Part(Schema):
    size: int


class Cat(Schema):
    kind: Literal["cat"]
    lives: int


class Dog(Schema):
    kind: Literal["dog"]
    name: Line


class Everything(Schema):
    integer: int = 0
    number: float = 0.0
    flag: bool = False
    text: str = Field("", max_length=10)
    data: bytes = Field(b"", max_length=10)
    moment: datetime | None = None
    day: date | None = None
    clock: time | None = None
    span: timedelta | None = None
    uuid: UUID | None = None
    price: Decimal | None = Field(None, max_digits=8, decimal_places=2)
    colour: Colour | None = None
    level: Level | None = None
    word: Literal["a", "b"] | None = None
    numbers: set[int] = Field(set(), max_length=3)
    pair: tuple[int, Line] | None = None
    by_name: dict[Line, int] = Field({}, max_length=3)
    by_number: dict[int, Line] = Field({}, max_length=3)
    address: IPv4Address | None = None
    link: HttpUrl | None = None
    part: Part | None = None
    parts: list[Part] = Field([], max_length=2)
    event: Event | None = None
    animal: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    note: Annotated[Any, unbounded("stored as it is")] = None


def accept(name: str, value: object) -> object:
    """Validate one field as FastAPI does: the Python objects of parsed JSON."""
    body = json.loads(json.dumps({name: value}))
    return getattr(Everything.model_validate(body, from_attributes=True), name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("integer", 5, 5),
        ("integer", 2**63 - 1, 2**63 - 1),
        ("number", 1, 1.0),
        ("number", 1.5, 1.5),
        ("flag", True, True),
        ("text", " a ", " a "),
        ("data", "abc", b"abc"),
        (
            "moment",
            "2026-01-31T12:00:00+00:00",
            datetime.fromisoformat("2026-01-31T12:00:00+00:00"),
        ),
        ("moment", "0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("moment", "9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("moment", "0001-01-01T00:00:00", datetime(1, 1, 1)),  # noqa: DTZ001 - as sent
        ("day", "2026-01-31", date(2026, 1, 31)),
        ("clock", "12:30", time(12, 30)),
        ("span", "PT15M", timedelta(minutes=15)),
        ("span", "-P1D", timedelta(days=-1)),
        ("span", "01:30:00", timedelta(minutes=90)),
        ("uuid", UUID_TEXT, UUID(UUID_TEXT)),
        ("price", "12.50", Decimal("12.50")),
        ("price", 12.5, Decimal("12.5")),
        ("price", 12, Decimal(12)),
        ("colour", "red", Colour.RED),
        ("level", 1, Level.ONE),
        ("word", "a", "a"),
        ("numbers", [1, 2, 2], {1, 2}),
        ("pair", [1, "a"], (1, "a")),
        ("by_name", {"a": 1}, {"a": 1}),
        ("by_number", {"1": "a"}, {1: "a"}),
        ("address", "192.0.2.1", IPv4Address("192.0.2.1")),
        ("link", "https://x.example/", HttpUrl("https://x.example/")),
        ("part", {"size": 1}, Part(size=1)),
        ("parts", [{"size": 1}], [Part(size=1)]),
        ("animal", {"kind": "cat", "lives": 9}, Cat(kind="cat", lives=9)),
        ("note", {"any": ["thing"]}, {"any": ["thing"]}),
    ],
)
def test_json_values_are_accepted(name: str, value: object, expected: object) -> None:
    """What JSON can say is taken, and what it has no type for is read from its one spelling."""
    assert accept(name, value) == expected


def test_typed_dicts_follow_the_schema() -> None:
    """A typed dict inside a schema reads dates from strings and numbers from numbers alone."""
    accepted = accept("event", {"when": "2026-01-31T12:00:00", "size": 1})
    assert accepted == {"when": datetime(2026, 1, 31, 12), "size": 1}  # noqa: DTZ001 - as sent
    for wrong in ({"when": 1, "size": 1}, {"when": "2026-01-31T12:00:00", "size": "1"}):
        with pytest.raises(ValidationError):
            accept("event", wrong)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("integer", "5", "int_type"),
        ("integer", True, "int_type"),
        ("integer", 5.0, "int_type"),
        ("integer", 2**63, "less_than_equal"),
        ("integer", -(2**63) - 1, "greater_than_equal"),
        ("number", "1.5", "float_type"),
        ("number", True, "float_type"),
        ("number", float("nan"), "finite_number"),
        ("number", float("inf"), "finite_number"),
        ("number", 10**400, "float_type"),
        ("flag", 1, "bool_type"),
        ("flag", "true", "bool_type"),
        ("text", 1, "string_type"),
        ("text", "a\0b", "string_unstorable"),
        ("text", "a\ud800", "string_unicode"),
        ("text", "x" * 11, "string_too_long"),
        ("data", 1, "bytes_type"),
        ("moment", 1_700_000_000, "datetime_type"),
        ("moment", "1700000000", "datetime_type"),
        ("moment", "0001-01-01T00:00:00+14:00", "datetime_out_of_range"),
        ("moment", "9999-12-31T23:59:59-00:01", "datetime_out_of_range"),
        ("day", 1, "date_type"),
        ("day", "20260131", "date_type"),
        ("clock", 1, "time_type"),
        ("clock", "1", "time_type"),
        ("clock", "12:00:00+23:59", "time_out_of_range"),
        ("clock", "12:00:00-16:00", "time_out_of_range"),
        ("span", 60, "time_delta_type"),
        ("span", "60", "time_delta_type"),
        ("uuid", 1, "uuid_type"),
        ("price", True, "decimal_type"),
        ("price", "NaN", "finite_number"),
        ("price", "1e999999999", "decimal_max_digits"),
        ("colour", "blue", "enum"),
        ("colour", 1, "enum"),
        ("level", "1", "enum"),
        ("level", True, "enum"),
        ("level", 1.0, "enum"),
        ("word", "c", "literal_error"),
        ("numbers", ["1"], "int_type"),
        ("numbers", "12", "set_type"),
        ("numbers", [1, 2, 3, 4], "too_long"),
        ("pair", ["1", "a"], "int_type"),
        ("by_name", {"a\nb": 1}, "string_pattern_mismatch"),
        ("by_number", {"x": "a"}, "int_parsing"),
        ("address", 1, "string_type"),
        ("link", "javascript:alert(1)", "url_scheme"),
        ("part", {"size": "1"}, "int_type"),
        ("part", {"size": 1, "more": 2}, "extra_forbidden"),
        ("animal", {"kind": "cow"}, "union_tag_invalid"),
        ("unknown", 1, "extra_forbidden"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: object, code: str) -> None:
    """Nothing is converted from another type, and nothing is unknown."""
    with pytest.raises(ValidationError) as caught:
        accept(name, value)
    assert code in {error["type"] for error in caught.value.errors()}


@given(st.text(max_size=10))
def test_strings_are_never_altered(value: str) -> None:
    """A string arrives as it was sent, or is refused."""
    try:
        accepted = accept("text", value)
    except ValidationError:
        assert "\0" in value
    else:
        assert accepted == value


def test_error_text_does_not_show_the_value() -> None:
    """The text of the error, which ends up in logs, has no input in it."""
    with pytest.raises(ValidationError) as caught:
        accept("integer", "hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        (str, "field (str)"),
        (bytes, "field (bytes)"),
        (list[int], "field (list)"),
        (dict[Line, int], "field (dict)"),
        (set[int], "field (set)"),
        (tuple[int, ...], "field (tuple)"),
        (Any, "field (any)"),
        (object, "field (any)"),
        (Decimal, "field (decimal)"),
        (str | None, "field (str)"),
    ],
    ids=str,
)
def test_unbounded_fields_are_refused_when_the_class_is_defined(
    annotation: type, path: str
) -> None:
    """A schema without a bound on everything does not come into being."""
    with pytest.raises(UnboundedInputError) as caught:
        create_model("Open", __base__=Schema, field=(annotation, ...))
    assert path in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        ConfigDict(extra="ignore"),
        ConfigDict(extra="allow"),
        ConfigDict(strict=False),
        ConfigDict(allow_inf_nan=True),
        ConfigDict(str_strip_whitespace=True),
        ConfigDict(str_to_lower=True),
        ConfigDict(coerce_numbers_to_str=True),
        ConfigDict(regex_engine="python-re"),
        ConfigDict(hide_input_in_errors=False),
    ],
    ids=str,
)
def test_strictness_can_not_be_switched_off(config: ConfigDict) -> None:
    """A subclass that is no longer strict does not come into being."""
    with pytest.raises(LooseSchemaError):
        new_class("Loose", (Schema,), exec_body=lambda body: body.update(model_config=config))


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[int, Field(strict=False)],
        Annotated[bool, Strict(strict=False)],
        list[Annotated[float, Strict(strict=False)]] | None,
        TypeAliasType("Loose", Annotated[int, Strict(strict=False)]),
        Annotated[float, Field(allow_inf_nan=True)],
        Annotated[Decimal, Field(allow_inf_nan=True)],
    ],
    ids=["int", "bool", "in a list", "alias", "float", "decimal"],
)
def test_no_field_switches_strictness_off_for_itself(annotation: type) -> None:
    """What a model promises holds for each of its fields."""
    with pytest.raises(LooseSchemaError):
        create_model("Loose", __base__=Schema, field=(annotation, ...))


def test_a_parameter_may_be_declared_as_read_from_text() -> None:
    """In a query, every number is read from text, also one that says so."""
    search = create_model("Loose", __base__=ParameterSchema, page=(int, Field(strict=False)))
    assert search.model_validate({"page": "2"}).model_dump() == {"page": 2}


def test_other_configuration_is_free() -> None:
    """A subclass may be frozen and have aliases."""

    class Frozen(Schema):
        model_config = ConfigDict(frozen=True)

        size: int = Field(alias="Size")

    assert Frozen.model_validate({"Size": 1}).size == 1


def test_plain_models_inside_are_refused() -> None:
    """A member that takes unknown fields would make the whole loose."""

    class Plain(BaseModel):
        size: int

    @dataclass
    class Data:
        size: int

    for member in (Plain, Data, list[Plain]):
        with pytest.raises(LooseSchemaError):
            create_model("Outer", __base__=Schema, inner=(member, ...))


def test_generic_schemas_are_checked_with_their_types() -> None:
    """A page of integers is bounded and a page of any strings is not."""
    item = TypeVar("item")

    class Page(Schema, Generic[item]):
        items: list[item] = Field(max_length=2)

    assert Page[int].model_validate({"items": [1]}).items == [1]
    with pytest.raises(ValidationError):
        Page[int].model_validate({"items": ["1"]})
    with pytest.raises(UnboundedInputError):
        Page[str]


class Point(NamedTuple):
    size: int
    when: date


Size = TypeAliasType("Size", int)
Written = TypeAliasType("Written", RichText)
Nested = TypeAliasType("Nested", "int | list[Nested]")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (TypeAliasType("Name", Annotated[str, Field(max_length=9)]), "a\0"),
        (Size, 2**63),
        (Size, "1"),
        (TypeAliasType("One", Literal[1]), True),
        (TypeAliasType("Day", date), "1700000000"),
        (TypeAliasType("Kind", Level), "1"),
        (Point, ["1", "2020-01-31"]),
        (Point, [2**63, "2020-01-31"]),
        (Annotated[Nested, unbounded("a test")], [[2**63]]),
        (Annotated[Nested, unbounded("a test")], [["1"]]),
    ],
    ids=str,
)
def test_what_has_a_name_is_strict_too(annotation: type, value: object) -> None:
    """A ``type`` statement and a named tuple have the rules of what they stand for."""
    named = create_model(
        "Named", __base__=Schema, first=(annotation, ...), second=(annotation, ...)
    )
    honest = create_model("Honest", __base__=Schema, first=(annotation, ...))
    for model, body in ((named, {"first": value, "second": value}), (honest, {"first": value})):
        with pytest.raises(ValidationError):
            model.model_validate(body)


@pytest.mark.parametrize(
    ("annotation", "value", "read"),
    [
        (TypeAliasType("Day", date), "2020-01-31", date(2020, 1, 31)),
        (TypeAliasType("Id", UUID), UUID_TEXT, UUID(UUID_TEXT)),
        (TypeAliasType("Price", Annotated[Decimal, Field(max_digits=5)]), "1.5", Decimal("1.5")),
        (Point, [1, "2020-01-31"], Point(1, date(2020, 1, 31))),
        (Annotated[Nested, unbounded("a test")], [1, [2]], [1, [2]]),
    ],
    ids=str,
)
def test_what_has_a_name_reads_what_json_spells(
    annotation: type, value: object, read: object
) -> None:
    """A ``type`` statement and a named tuple take dates and UUIDs from their text."""
    named = create_model(
        "Named", __base__=Schema, first=(annotation, ...), second=(annotation, ...)
    )
    assert named.model_validate({"first": value, "second": value}).model_dump() == {
        "first": read,
        "second": read,
    }


def test_a_limit_of_one_field_is_not_that_of_others() -> None:
    """A field that narrows an alias of rich text leaves the alias as it is."""

    class Narrowed(Schema):
        narrow: Annotated[Written, Field(max_length=5)] = ""
        wide: Written = ""
        other: Written = ""

    assert Narrowed.model_validate({"wide": "b" * 12, "other": "c" * 12}).wide == "b" * 12
    with pytest.raises(ValidationError):
        Narrowed.model_validate({"narrow": "<p onclick=x></p>"})


def test_a_name_is_read_by_the_rules_of_each_model() -> None:
    """A name that a body and a query share is strict in the one and text in the other."""

    class InBody(Schema):
        first: Size
        second: Size

    class InQuery(ParameterSchema):
        first: Size
        second: Size

    for model in (InQuery, InBody):
        assert model.model_validate({"first": 1, "second": 2}).model_dump()["second"] == 2
    assert InQuery.model_validate({"first": "1", "second": "2"}).model_dump()["first"] == 1
    with pytest.raises(ValidationError):
        InBody.model_validate({"first": "1", "second": 2})


class Tree(Schema):
    size: int = 0
    children: list[Tree] = Field([], max_length=2)


def test_schemas_may_hold_themselves() -> None:
    """Strictness reaches every level of a recursive schema."""
    assert Tree.model_validate({"children": [{"size": 1}]}).children[0].size == 1
    with pytest.raises(ValidationError):
        Tree.model_validate({"children": [{"children": [{"size": "1"}]}]})


def test_subclasses_are_strict_too() -> None:
    """Fields of a parent stay strict in its child."""

    class Larger(Part):
        weight: int

    for body in ({"size": "1", "weight": 1}, {"size": 1, "weight": "1"}):
        with pytest.raises(ValidationError):
            Larger.model_validate(body)


def test_openapi_is_that_of_the_declared_types() -> None:
    """The checks around a field do not hide its type from the API's schema."""
    properties = Everything.model_json_schema()["properties"]
    assert properties["moment"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert properties["text"]["maxLength"] == 10


class Search(ParameterSchema):
    page: int = 1
    exact: bool = False
    score: float = 0.0
    level: Level | None = None
    tags: list[Line] = Field([], max_length=2)


def test_parameters_are_read_from_text() -> None:
    """In a query, numbers and booleans arrive as text."""
    search = Search.model_validate(
        {"page": "2", "exact": "true", "score": "1.5", "level": "1", "tags": ["a"]}
    )
    assert search == Search(page=2, exact=True, score=1.5, level=Level.ONE, tags=["a"])


@pytest.mark.parametrize(
    "query",
    [
        {"page": "two"},
        {"page": "2.5"},
        {"page": str(2**63)},
        {"exact": "maybe"},
        {"score": "nan"},
        {"tags": ["a", "b", "c"]},
        {"unknown": "x"},
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_are_refused(query: dict[str, object]) -> None:
    """Reading from text is no reason to take anything."""
    with pytest.raises(ValidationError):
        Search.model_validate(query)


def test_field_types_work_in_a_schema() -> None:
    """All field types live together with the schema's own checks."""

    class Account(Schema):
        email: EmailAddress
        password: Password
        account: UUIDIdentifier
        about: Text = Field("", max_length=20)

    account = Account.model_validate(
        {"email": "a@example.com", "password": "correct horse", "account": UUID_TEXT}
    )
    assert account.password.get_secret_value() == "correct horse"
    assert account.account == UUID(UUID_TEXT)
