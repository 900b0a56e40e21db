"""Pages of a list are counted from one, and are not too many."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient
from pydantic import Field, TypeAdapter, ValidationError

from stockade.validation import Page, PageSize, ParameterSchema
from stockade.validation.errors import LooseSchemaError
from stockade.validation.types import IntegerFormat


class Paging(ParameterSchema):
    page: Page = 1
    size: PageSize = 20


app = FastAPI()


@app.get("/plain")
def read_plain(page: Page = 1, size: PageSize = 20) -> list[int]:
    """Read single parameters."""
    return [page, size]


@app.get("/model")
def read_model(paging: Annotated[Paging, Query()]) -> list[int]:
    """Read a model of parameters."""
    return [paging.page, paging.size]


client = TestClient(app)


@pytest.mark.parametrize("path", ["/plain", "/model"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [1, 20]),
        ("?page=2", [2, 20]),
        ("?page=10000&size=100", [10_000, 100]),
        ("?size=1", [1, 1]),
    ],
)
def test_pages_are_read_from_the_query(path: str, query: str, expected: list[int]) -> None:
    """Both ways to declare parameters read numbers and keep defaults."""
    assert client.get(path + query).json() == expected


@pytest.mark.parametrize("path", ["/plain", "/model"])
@pytest.mark.parametrize(
    "query",
    [
        "?page=0",
        "?page=-1",
        "?page=10001",
        "?page=1e3",
        "?page=9" + "9" * 100,
        "?page=",
        "?page=1.5",
        "?page=%D9%A1",
        "?size=0",
        "?size=101",
        "?size=true",
    ],
)
def test_pages_out_of_range_are_refused(path: str, query: str) -> None:
    """A page that costs too much, or is none, is refused."""
    assert client.get(path + query).status_code == 422


def test_a_field_sets_another_maximum() -> None:
    """A list that may be longer, or has to be shorter, says so on the field."""

    class Long(ParameterSchema):
        size: PageSize = Field(default=50, le=500)
        short: PageSize = Field(default=5, le=50)
        open: PageSize = Field(default=5, lt=200)
        later: PageSize = Field(default=5, ge=0)
        page: Annotated[Page, Field(le=10)] = 1

    assert Long.model_validate({"size": "500", "open": "199"}).size == 500
    for wrong in (
        {"size": "501"},
        {"size": "0"},
        {"short": "51"},
        {"open": "200"},
        {"later": "0"},
        {"later": "101"},
        {"page": "11"},
    ):
        with pytest.raises(ValidationError):
            Long.model_validate(wrong)


def test_pages_are_whole_numbers() -> None:
    """The format stands on an integer, and so do the limits of the JSON schema."""
    with pytest.raises(LooseSchemaError):
        TypeAdapter(Annotated[float, IntegerFormat(1, 5)])
    assert TypeAdapter(Page).json_schema() == {"type": "integer", "minimum": 1, "maximum": 10_000}
