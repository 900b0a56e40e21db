"""A caller sorts by the columns on the list, and by nothing else."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stockade.errors import ConfigurationError, InvalidInputError
from stockade.validation import ParameterSchema, SortBy, SortOrder
from stockade.validation.errors import FieldTypeError, LooseSchemaError

BY = SortBy("created_at", "title", "author.name")
COLUMNS = TypeAdapter(Annotated[str, BY])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("title", SortOrder("title", descending=False)),
        ("-title", SortOrder("title", descending=True)),
        ("-created_at", SortOrder("created_at", descending=True)),
        ("author.name", SortOrder("author.name", descending=False)),
    ],
)
def test_columns_on_the_list_are_taken(value: str, expected: SortOrder) -> None:
    """A value comes back as it was sent, and parts into column and direction."""
    accepted = COLUMNS.validate_python(value)
    assert accepted == value
    assert BY.parse(accepted) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-",
        "--title",
        "+title",
        " title",
        "title ",
        "title\n",
        "TITLE",
        "titl",
        "title,created_at",
        "title desc",
        "title; DROP TABLE notes",
        "password_hash",
        "__class__",
        "author",
        "author.password",
        "author.name.__class__",
        "1",
        "(SELECT 1)",
        "title\0",
        "t\u0456tle",
        "\uff0dtitle",
    ],
)
def test_nothing_else_is_taken(value: str) -> None:
    """No other column, no SQL and no other spelling is taken, nor parsed."""
    with pytest.raises(ValidationError) as caught:
        COLUMNS.validate_python(value)
    assert [error["type"] for error in caught.value.errors()] == ["literal_error"]
    with pytest.raises(InvalidInputError) as refused:
        BY.parse(value)
    assert refused.value.code == "invalid_input"
    assert value not in str(refused.value) or value in {"", "-"}


@pytest.mark.parametrize(
    "columns",
    [
        (),
        ("title", "title"),
        ("",),
        ("-title",),
        ("title desc",),
        ("title;",),
        ("lower(title)",),
        ("author.",),
        ("1",),
        ("titl\u00e9",),
        ("title\n",),
    ],
    ids=repr,
)
def test_lists_that_can_not_be_meant_are_refused(columns: tuple[str, ...]) -> None:
    """A list without columns, or with what is no name of one, stops the start."""
    with pytest.raises(FieldTypeError) as caught:
        SortBy(*columns)
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.code == "field_type"


def test_columns_are_chosen_by_text() -> None:
    """It stands on a string."""
    with pytest.raises(LooseSchemaError):
        TypeAdapter(Annotated[int, BY])


def test_lists_are_equal_by_their_columns() -> None:
    """Two declarations of one list are one key in a mapping, and one parameter to FastAPI."""
    assert SortBy("a", "b") == SortBy("a", "b")
    assert hash(SortBy("a", "b")) == hash(SortBy("a", "b"))
    assert SortBy("a", "b") != SortBy("b", "a")


def test_clients_see_the_list() -> None:
    """The JSON schema says what may be sent."""
    shown = TypeAdapter(Annotated[str, SortBy("title")]).json_schema()
    assert shown == {"type": "string", "enum": ["title", "-title"]}


def test_the_length_of_the_field_holds() -> None:
    """What a field says beside the list is not lost."""

    class Model(BaseModel):
        by: Annotated[str, SortBy("id", "title")] = Field(max_length=3)

    assert Model(by="-id").by == "-id"
    with pytest.raises(ValidationError):
        Model(by="title")


class Listing(ParameterSchema):
    sort: list[Annotated[str, BY]] = Field(default=["-created_at"], max_length=2)


app = FastAPI()


@app.get("/plain")
def read_plain(sort: Annotated[str, BY] = "-created_at") -> SortOrder:
    """Sort by a parameter."""
    return BY.parse(sort)


def test_it_works_as_a_parameter() -> None:
    """An endpoint has a default, takes what is on the list, and refuses the rest."""
    client = TestClient(app)
    assert client.get("/plain").json() == ["created_at", True]
    assert client.get("/plain?sort=title").json() == ["title", False]
    assert client.get("/plain?sort=password").status_code == 422


def test_several_columns_are_a_list() -> None:
    """A list of columns has its own limit."""
    assert Listing.model_validate({"sort": ["title", "-created_at"]}).sort[0] == "title"
    for wrong in (["nope"], ["title"] * 3):
        with pytest.raises(ValidationError):
            Listing.model_validate({"sort": wrong})


@given(st.text(max_size=20))
def test_an_order_is_always_on_the_list(value: str) -> None:
    """Whatever is parsed names a column of the list."""
    try:
        order = BY.parse(value)
    except InvalidInputError:
        return
    assert order.column in BY.columns
