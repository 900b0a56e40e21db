"""A model stands where its values can be read from, or the start ends."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any

import pytest
from fastapi import Body, Cookie, Depends, FastAPI, Form, Header, Query
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from stockade import Settings, Stockade, public
from stockade.errors import ConfigurationError
from stockade.validation import Line, ParameterSchema, Schema
from stockade.validation.errors import LooseSchemaError


class Level(IntEnum):
    ONE = 1


class Search(ParameterSchema):
    page: int = 1
    exact: bool = False


class Filter(ParameterSchema):
    title: Line = ""


class Note(Schema):
    size: int = 1


class Name(Schema):
    title: Line = ""
    price: Annotated[Decimal, Field(max_digits=5)] = Decimal(1)


class Rank(Schema):
    levels: list[Level] = Field(default=[], max_length=2)


class Sizes(Schema):
    sizes: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, max_length=2)


class Plain(BaseModel):
    x_size: int = Field(default=1, ge=0, le=9)


class Exact(BaseModel, extra="forbid"):
    x_size: int = Field(default=1, ge=0, le=9)


def start(annotation: Any, **settings: Any) -> TestClient:  # noqa: ANN401 - whatever is declared
    """Return a client of an application with one endpoint that takes something."""
    app = FastAPI()
    Stockade(Settings(environment="test", validation=settings)).install(app)

    def take(value: object) -> object:
        return value

    take.__annotations__["value"] = annotation
    app.post("/take", dependencies=[public("a test")])(take)
    return TestClient(app)


@pytest.mark.parametrize(
    "annotation",
    [
        Search,
        Filter,
        Annotated[list[Search], Field(max_length=2)],
        Search | None,
        Annotated[Search, Body(embed=True)],
        Annotated[Note, Query()],
        Annotated[Note, Form()],
        Annotated[Rank, Query()],
        Annotated[Sizes, Query()],
        Annotated[Search, Header()],
        Annotated[Search, Cookie()],
        Annotated[Name, Header()],
        Annotated[Exact, Header()],
        Annotated[Exact, Cookie()],
    ],
    ids=[
        *("body", "body of text", "list", "optional", "embedded", "query", "form", "enumeration"),
        *("list in query", "header", "cookie", "header of text", "plain header", "plain cookie"),
    ],
)
@pytest.mark.parametrize("unbounded", ["refuse", "warn"])
def test_a_model_in_the_wrong_place_stops_the_start(annotation: object, unbounded: str) -> None:
    """What would convert in silence, or refuse each request, is told at the start."""
    with pytest.raises(ConfigurationError), start(annotation, unbounded=unbounded):
        """Nothing is served."""


@pytest.mark.parametrize(
    ("annotation", "request_"),
    [
        (Note, {"json": {"size": 2}}),
        (Annotated[Search, Query()], {"params": {"page": "2"}}),
        (Annotated[Search, Form()], {"data": {"page": "2"}}),
        (Annotated[Name, Query()], {"params": {"title": "a", "price": "1.5"}}),
        (Annotated[Name, Depends()], {"params": {"title": "a"}}),
        (Annotated[Plain, Header()], {"headers": {"x-size": "2"}}),
        (Annotated[Plain, Cookie()], {"headers": {"cookie": "x_size=2; other=3"}}),
    ],
    ids=["body", "query", "form", "query of text", "dependency", "header", "cookie"],
)
def test_a_model_in_its_place_is_read(annotation: object, request_: dict[str, Any]) -> None:
    """What stands where it belongs takes what is sent there."""
    with start(annotation) as client:
        assert client.post("/take", **request_).status_code == 200


def test_a_schema_holds_no_model_of_parameters() -> None:
    """A number in a body is no text, however deep it is."""
    with pytest.raises(LooseSchemaError):

        class Outer(Schema):
            inner: list[Search] = Field(max_length=2)

    class Query(ParameterSchema):
        inner: Search | None = None

    assert Query.model_validate({"inner": {"page": "2"}}).inner == Search(page=2)
