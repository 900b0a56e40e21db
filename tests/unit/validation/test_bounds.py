"""Whatever may be of any size is found, however it was declared."""

from __future__ import annotations

import json
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from fastapi import UploadFile
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    FiniteFloat,
    HttpUrl,
    InstanceOf,
    IPvAnyAddress,
    Json,
    NameEmail,
    PlainValidator,
    PositiveInt,
    RootModel,
    Secret,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    conint,
    conlist,
    constr,
)
from typing_extensions import TypeAliasType, TypedDict

from stockade.errors import ConfigurationError
from stockade.validation import (
    HTTPURL,
    EmailAddress,
    FileName,
    Identifier,
    Int32,
    Int64,
    Line,
    Money,
    Page,
    PageSize,
    Password,
    PersonName,
    PhoneNumber,
    PublicHTTPURL,
    Slug,
    SortBy,
    Text,
    Token,
    Username,
    UUIDIdentifier,
    unbounded,
)
from stockade.validation.bounds import find_unbounded, require_bounded
from stockade.validation.errors import UnboundedInputError


class Node(BaseModel):
    name: str
    children: list[Node] = Field(max_length=3)


class Short(BaseModel):
    model_config = ConfigDict(str_max_length=10)

    name: str


class Finite(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    size: float
    sizes: Annotated[list[float], Field(max_length=2)]


class AroundFinite(Finite):
    inner: Size


class Size(BaseModel):
    size: float


class Inner(BaseModel):
    name: str


class AroundShort(BaseModel):
    model_config = ConfigDict(str_max_length=10)

    inner: Inner
    record: Record


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")


class Row(TypedDict):
    name: str


class Point(NamedTuple):
    name: str


@dataclass
class Record:
    name: str


class Late(BaseModel):
    model_config = ConfigDict(defer_build=True)

    name: str


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Cat(BaseModel):
    kind: Literal["cat"]


Alias = TypeAliasType("Alias", list[str])


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, [("", "str")]),
        # Text such as "nan" and "1e999" is read as a number that is not finite.
        (float, [("", "float")]),
        (Annotated[float, Field(ge=0)], [("", "float")]),
        (AroundFinite, [("inner.size", "float")]),
        # A model inside has a configuration of its own, and takes strings of any length.
        (AroundShort, [("inner.name", "str")]),
        (bytes, [("", "bytes")]),
        (Any, [("", "any")]),
        (object, [("", "any")]),
        (list[bool], [("", "list")]),
        (list[str], [("", "list"), ("[]", "str")]),
        (dict[str, bool], [("", "dict"), ("{key}", "str")]),
        (Mapping[Identifier, str], [("", "dict"), ("{value}", "str")]),
        (set[bool], [("", "set")]),
        (frozenset[bool], [("", "frozenset")]),
        (Iterable[bool], [("", "generator")]),
        (tuple[bool, ...], [("", "tuple")]),
        (tuple[bool, str], [("[1]", "str")]),
        (str | bool, [("", "str")]),
        (str | None, [("", "str")]),
        (Annotated[str, Field(min_length=1)], [("", "str")]),
        (Annotated[str, Field(pattern="^a+$")], [("", "str")]),
        (Annotated[str, AfterValidator(str.strip)], [("", "str")]),
        (Annotated[str, PlainValidator(str)], [("", "function-plain")]),
        (UploadFile, [("", "function-plain")]),
        (list[UploadFile], [("", "list"), ("[]", "function-plain")]),
        (Annotated[list[str], Field(max_length=3)], [("[]", "str")]),
        (Decimal, [("", "decimal")]),
        (Annotated[Decimal, Field(ge=0, le=1)], [("", "decimal")]),
        (SecretStr, [("", "str")]),
        (Secret[str], [("", "str")]),
        (AnyUrl, [("", "url")]),
        (Path, [("", "str")]),
        (re.Pattern, [("", "function-plain")]),
        (Json, [("", "json")]),
        (int, [("", "int")]),
        (Annotated[int, Field(ge=0)], [("", "int")]),
        (Annotated[int, Field(lt=9)], [("", "int")]),
        (Annotated[int, Field(multiple_of=2)], [("", "int")]),
        (list[PositiveInt], [("", "list"), ("[]", "int")]),
        (Json[list[bool]], [("", "json"), ("", "list")]),
        (Node, [("name", "str")]),
        (Extra, [("", "extra")]),
        (Row, [("name", "str")]),
        (Point, [("name", "str")]),
        (Record, [("name", "str")]),
        (Late, [("name", "str")]),
        (RootModel[str], [("", "str")]),
        (Alias, [("", "list"), ("[]", "str")]),
        (Annotated[Dog | Cat, Field(discriminator="kind")], [("<dog>.name", "str")]),
        (list[Node], [("", "list"), ("[].name", "str")]),
        (Annotated[Any, AfterValidator(json.dumps)], [("", "any")]),
    ],
    ids=str,
)
def test_unbounded_input_is_found(annotation: object, expected: list[tuple[str, str]]) -> None:
    """Everything that has no upper bound is named with its place."""
    assert [(each.path, each.kind) for each in find_unbounded(annotation)] == expected


@pytest.mark.parametrize(
    "annotation",
    [
        Int64,
        Annotated[Int32, Field(ge=1)],
        conint(gt=0, lt=9),
        Annotated[int | None, Field(ge=0, le=9)],
        FiniteFloat,
        Annotated[float, Field(gt=0, le=9)],
        Finite,
        bool,
        None,
        UUID,
        Literal["a"],
        IPv4Address,
        IPv6Network,
        IPvAnyAddress,
        EmailStr,
        NameEmail,
        HttpUrl,
        Identifier,
        Slug,
        Username,
        Line,
        Text,
        EmailAddress,
        Password,
        UUIDIdentifier,
        FileName,
        HTTPURL,
        Money,
        Page,
        PageSize,
        PersonName,
        PhoneNumber,
        PublicHTTPURL,
        Token,
        Annotated[str, SortBy("title")],
        Line | None,
        tuple[Int32, Int32],
        Annotated[str, Field(max_length=3)],
        Annotated[str, StringConstraints(max_length=3)],
        constr(max_length=3),
        conlist(Int32, max_length=3),
        Annotated[str | None, Field(max_length=3)],
        Annotated[str, BeforeValidator(str), Field(max_length=3)],
        Annotated[str, AfterValidator(str), Field(max_length=3)],
        Annotated[str, Field(max_length=3), AfterValidator(str)],
        Annotated[SecretStr, Field(max_length=3)],
        Annotated[AnyUrl, Field(max_length=3)],
        Annotated[Sequence[Int32], Field(max_length=3)],
        Annotated[Decimal, Field(max_digits=3)],
        Annotated[dict[Line, Int32], Field(max_length=3)],
        Annotated[tuple[Int32, ...], Field(max_length=3)],
        Short,
        Cat,
    ],
    ids=str,
)
def test_bounded_input_passes(annotation: object) -> None:
    """Each way to bound a value is known."""
    assert find_unbounded(annotation) == []


@pytest.mark.parametrize(
    "annotation", [deque[int], Counter[Line], OrderedDict[Line, int], Fraction], ids=str
)
def test_kinds_that_pydantic_names_differently_are_found(annotation: object) -> None:
    """These have core schemas of their own only since Pydantic 2.14."""
    assert find_unbounded(annotation)


def test_a_limit_does_not_reach_inside() -> None:
    """A list of three is bounded, the strings in it are not."""
    found = find_unbounded(Annotated[Sequence[str], Field(max_length=3)])
    assert [(each.path, each.kind) for each in found] == [("[]", "str")]


def test_instances_of_what_json_holds_are_unbounded() -> None:
    """A check of the class alone bounds nothing that a request can carry."""
    assert find_unbounded(InstanceOf[list[int]])
    assert find_unbounded(InstanceOf[object])


def test_excuses_cover_all_that_is_inside() -> None:
    """A field with a reason is not reported, and its neighbours are."""

    class Webhook(BaseModel):
        payload: Annotated[dict[str, Any], unbounded("the sender decides; stored as it is")]
        other: str

    assert [each.path for each in find_unbounded(Webhook)] == ["other"]


def test_excuses_hold_in_any_order() -> None:
    """An excuse stands before and behind other metadata."""
    assert find_unbounded(Annotated[str, unbounded("why"), Field(min_length=1)]) == []
    assert find_unbounded(Annotated[str, Field(min_length=1), unbounded("why")]) == []


def test_an_excuse_needs_a_reason() -> None:
    """An empty reason is none."""
    with pytest.raises(UnboundedInputError):
        unbounded(" ")


def test_type_adapters_are_taken_as_they_are() -> None:
    """The adapter that validates is the one that is looked at."""
    assert find_unbounded(TypeAdapter(Annotated[str, Field(max_length=3)])) == []
    assert find_unbounded(TypeAdapter(Late, config=None))


def test_hints_say_what_to_do() -> None:
    """Each finding tells how to mend it."""
    (found,) = find_unbounded(str)
    assert "max_length" in found.hint


def test_require_bounded_names_everything() -> None:
    """One error names the place and all that is wrong there."""

    class Body(BaseModel):
        first: str
        second: list[int]

    with pytest.raises(ConfigurationError) as caught:
        require_bounded(Body, where="POST /notes")
    for part in ("POST /notes", "first (str)", "second (list)"):
        assert part in str(caught.value)
    require_bounded(Line, where="GET /")
