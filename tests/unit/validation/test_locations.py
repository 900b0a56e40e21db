"""A location is read along its schema: branches are no places, names of senders no words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    validate_call,
)
from typing_extensions import TypedDict

from stockade.validation.locations import Locations


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["cat"]
    # Both tags are names of fields as well.
    cat: int = 0
    dog: int = 0


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["dog"]
    named: int = Field(0, alias="Cat")
    mate: Dog | Cat | None = None


Tagged = Annotated[Cat | Dog, Field(discriminator="kind")]
Called = Annotated[
    Annotated[Cat, Tag("x")] | Annotated[Dog, Tag("y")],
    Discriminator(lambda value: "x" if value.get("kind") == "cat" else "y"),
]


class Pair(NamedTuple):
    left: int
    right: int


class Row(TypedDict):
    size: int


@dataclass
class Point:
    x: int
    row: Row | None = None


class Spelled(BaseModel):
    model_config = ConfigDict(extra="forbid")

    one: int = Field(0, validation_alias="uno")
    many: int = Field(0, validation_alias=AliasChoices("b", AliasPath("outer", 1, "c")))  # type: ignore[pydantic-alias]  # a path is what is tried


class Open(BaseModel):
    __pydantic_extra__: dict[str, int]  # type: ignore[mutable-override]  # as Pydantic wants it
    model_config = ConfigDict(extra="allow")


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")

    left: Tree | int | None = None
    right: list[Tree] = Field(default_factory=list)


def pointers(annotation: object, value: object) -> set[str]:
    """Return where the errors of a value are."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)  # type: ignore[arg-type]  # any annotation
    locations = Locations.of(adapter)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value)
    return {locations.point(error["loc"]) for error in caught.value.errors()}


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        pytest.param(Tagged, {"kind": "cat", "cat": "x"}, {"/cat"}, id="tag-and-field"),
        pytest.param(Tagged, {"kind": "cat", "dog": "x"}, {"/dog"}, id="other-tag"),
        pytest.param(Tagged, {"kind": "cat", "more": 1}, {"/*"}, id="extra-behind-a-tag"),
        pytest.param(Tagged, {"kind": "cow"}, {""}, id="unknown-tag"),
        pytest.param(Called, {"kind": "dog", "Cat": "x"}, {"/Cat"}, id="callable-tag"),
        pytest.param(list[Tagged], [{"kind": "cat", "cat": "x"}], {"/0/cat"}, id="tags-in-list"),
        pytest.param(Dog, {"kind": "dog", "mate": 7}, {"/mate"}, id="union-itself"),
        pytest.param(
            Dog,
            {"kind": "dog", "mate": {"kind": 1, "Cat": "x"}},
            {"/mate/kind", "/mate/Cat"},
            id="branches",
        ),
        pytest.param(
            Dog,
            {"kind": "dog", "mate": {"kind": "dog", "mate": {"kind": "dog", "Cat": "x"}}},
            {"/mate/mate/Cat", "/mate/mate/kind", "/mate/kind", "/mate/mate"},
            id="nested-branches",
        ),
        pytest.param(int | str, None, {""}, id="scalars"),
        pytest.param(list[int] | dict[str, int], ["x"], {"/0", ""}, id="list-or-mapping"),
        pytest.param(dict[str, int], {"secret": "x"}, {"/*"}, id="mapping"),
        pytest.param(dict[int, int], {"secret": 1}, {"/*"}, id="key-of-a-mapping"),
        pytest.param(dict[str, Point], {"secret": {"x": "y"}}, {"/*/x"}, id="in-a-mapping"),
        pytest.param(Point, {"x": 1, "row": {"size": "x"}}, {"/row/size"}, id="dataclass"),
        pytest.param(Pair, {"left": "x", "right": 1}, {"/left"}, id="named-tuple"),
        pytest.param(Pair, ["x", 1], {"/left"}, id="named-tuple-by-position"),
        pytest.param(tuple[int, Row], [1, {"size": "x"}], {"/1/size"}, id="tuple"),
        pytest.param(tuple[Row, ...], [{}, {"size": 1}], {"/0/size"}, id="open-tuple"),
        pytest.param(set[int], ["x"], {"/0"}, id="set"),
        pytest.param(Spelled, {"uno": "x"}, {"/uno"}, id="alias"),
        pytest.param(Spelled, {"outer": [0, {"c": "x"}]}, {"/outer/1/c"}, id="alias-path"),
        pytest.param(Spelled, {"one": 1}, {"/one"}, id="extra-with-a-name-of-ours"),
        pytest.param(Open, {"secret": "x"}, {"/*"}, id="open-model"),
        pytest.param(
            Tree,
            {"right": [{"left": {"right": [{"secret": 1}]}}]},
            {"/right/0/left/right/0/*", "/right/0/left"},
            id="recursive",
        ),
    ],
)
def test_pointers_name_places_of_the_value(
    annotation: object, value: object, expected: set[str]
) -> None:
    """A program finds the value that its pointer names, and no word of the sender's is shown."""
    assert pointers(annotation, value) == expected


def test_arguments_are_named() -> None:
    """The arguments of a call have names, whether they were given by name or by position."""

    @validate_call
    def call(first: int, *, second: int) -> int:
        return first + second

    adapter: TypeAdapter[Any] = TypeAdapter(call)  # type: ignore[arg-type]  # a function is one
    with pytest.raises(ValidationError) as caught:
        call("x", second="y")  # type: ignore[arg-type]  # what is tried
    found = {Locations.of(adapter).point(error["loc"]) for error in caught.value.errors()}
    assert found == {"/first", "/second"}


REQUEST = Locations.of_request(
    [
        ("query", ("page",), int),
        ("header", ("X-Token",), int),
        ("header", ("headers",), Spelled),
        ("body", ("item",), Tagged),
        ("body", ("a/b~c",), int),
    ]
)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (("query", "page"), "/query/page"),
        (("query", "secret"), "/query/*"),
        (("query", "page", "secret"), "/query/page"),
        (("body", "item", "cat", "cat"), "/body/item/cat"),
        (("body", "cat", "cat"), "/body/cat"),
        (("body", "a/b~c"), "/body/a~1b~0c"),
        (("body", 17), "/body"),
        (("header", "x-token"), "/header/*"),
        (("header", "X-Token"), "/header/X-Token"),
        (("header", "uno"), "/header/uno"),
        (("cookie", "secret"), "/*"),
        (("secret",), "/*"),
        ((), ""),
        ((None, b"x"), ""),
    ],
)
def test_locations_of_a_request_begin_with_a_place(
    location: tuple[object, ...], expected: str
) -> None:
    """A parameter is found under its name, and a body as it is or under the parameter's name."""
    assert REQUEST.point(location) == expected


def test_headers_are_named_as_they_are_sent() -> None:
    """A model says ``user_agent``, and whoever sends a header knows ``user-agent``."""

    class Headers(BaseModel):
        user_agent: int

    locations = Locations.of_request([("header", ("headers",), Headers)])
    assert locations.point(("header", "user-agent")) == "/header/user-agent"
    assert locations.point(("header", "secret-agent")) == "/header/*"


def test_a_deep_location_is_read_in_little_time() -> None:
    """A schema that holds itself in two ways has 2 ** 60 readings, and is entered once a part."""
    location = ("left", "Tree") * 60 + ("secret",)
    assert Locations.of(Tree).point(location) == "/left" * 60 + "/*"


def test_a_reference_to_nothing_ends_the_pointer() -> None:
    """What answers a mistake of the sender's makes none of its own."""
    field = {"schema": {"type": "definition-ref", "schema_ref": "gone"}}
    locations = Locations({"type": "typed-dict", "fields": {"a": field}})
    assert locations.point(("a", "b")) == "/a"
