"""Parameters through the front door: one value is one value, and a pointer names its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, File, Form, Header, Query, Security
from fastapi.security import APIKeyQuery
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from stockade import public
from stockade.validation import Line, ParameterSchema, Schema
from tests.unit.gate.apps import Protected, serve

Word = Annotated[str, Field(max_length=20)]
Number = Annotated[int, Field(ge=0, le=99)]


class Circle(Schema):
    kind: Literal["circle"]
    # A tag is the name of a field as well.
    square: Number = 1


class Square(Schema):
    kind: Literal["square"]
    side: Number


class Drawing(Schema):
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]] = Field(max_length=3)
    either: Circle | Word | None = None


class Filters(ParameterSchema):
    page: Number = 1
    tags: list[Line] = Field(default_factory=list, max_length=3)


class Signs(BaseModel):
    user_agent: Number = 1


def make_app() -> FastAPI:
    """Make an application that takes parameters in every way."""
    app = FastAPI()

    @app.post("/drawings")
    @public("test")
    async def draw(drawing: Drawing) -> None: ...

    @app.post("/shapes")
    @public("test")
    async def shape(shape: Circle | Square) -> None: ...

    @app.get("/notes")
    @public("test")
    async def notes(filters: Annotated[Filters, Query()]) -> int:
        return filters.page

    @app.get("/signs")
    @public("test")
    async def signs(signs: Annotated[Signs, Header()]) -> int:
        return signs.user_agent

    def read_tenant(x_tenant: Annotated[Word, Header()] = "") -> str:
        return x_tenant

    @app.get("/plain", dependencies=[Depends(read_tenant)])
    @public("test")
    async def plain(
        q: Word = "",
        ids: Annotated[list[Number] | None, Query(max_length=3)] = None,
        theme: Annotated[Word, Cookie()] = "",
    ) -> list[int]:
        return ids or []

    @app.post("/forms")
    @public("test")
    async def forms(
        title: Annotated[Word, Form()],
        tags: Annotated[list[Word], Form(max_length=3)],
        file: Annotated[bytes, File(max_length=20)] = b"",
    ) -> list[str]:
        return [title, *tags, file.decode()]

    router = APIRouter(dependencies=[Security(APIKeyQuery(name="key", auto_error=False))])

    @router.get("/either")
    @public("test")
    async def either(key: Word = "") -> str:
        return key

    app.include_router(router, prefix="/one")
    app.include_router(router, prefix="/two", dependencies=[Depends(read_tenant)])
    return app


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """Serve the application."""
    with serve(make_app(), Protected()) as client:
        yield client


def errors_of(answer: object) -> set[tuple[str, str]]:
    """Return place and code of each problem."""
    assert answer.status_code == 422, answer.text  # type: ignore[attr-defined]  # any response
    return {(each["pointer"], each["code"]) for each in answer.json()["errors"]}  # type: ignore[attr-defined]  # any response


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "/drawings",
            {"shapes": [{"kind": "circle", "square": "x"}]},
            {("/body/shapes/0/square", "int_type")},
        ),
        (
            "/drawings",
            {"shapes": [{"kind": "square", "side": 1, "secret": 1}]},
            {("/body/shapes/0/*", "extra_forbidden")},
        ),
        (
            "/drawings",
            {"shapes": [], "either": {"kind": "circle", "square": 100}},
            {("/body/either/square", "less_than_equal"), ("/body/either", "string_type")},
        ),
        (
            "/drawings",
            {"drawing": {}},
            {("/body/drawing", "extra_forbidden")} | {("/body/shapes", "missing")},
        ),
        (
            "/shapes",
            {"kind": "circle", "side": 1},
            {("/body/side", "extra_forbidden"), ("/body/kind", "literal_error")},
        ),
    ],
)
def test_pointers_lead_into_the_body_that_was_sent(
    client: TestClient, path: str, body: object, expected: set[tuple[str, str]]
) -> None:
    """Branches and tags of unions are no places of it."""
    assert errors_of(client.post(path, json=body)) == expected


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("page=x", "/query/page"), ("secret=1", "/query/*"), ("tags=a&tags=%07", "/query/tags/1")],
)
def test_pointers_name_parameters(client: TestClient, query: str, pointer: str) -> None:
    """Those that the application has."""
    assert {place for place, _ in errors_of(client.get(f"/notes?{query}"))} == {pointer}


def test_headers_are_named_as_they_are_sent(client: TestClient) -> None:
    """A model says it in Python."""
    answer = client.get("/signs", headers={"user-agent": "secret"})
    assert errors_of(answer) == {("/header/user-agent", "int_parsing")}


@pytest.mark.parametrize(
    ("path", "headers", "pointer"),
    [
        ("/plain?q=a&q=b", [], "/query/q"),
        ("/plain?q=a&%71=b", [], "/query/q"),
        ("/notes?page=1&page=2", [], "/query/page"),
        ("/plain", [("x-tenant", "a"), ("X-Tenant", "b")], "/header/x-tenant"),
        ("/plain", [("cookie", "theme=a; theme=b")], "/cookie/theme"),
    ],
)
def test_of_one_value_there_are_not_two(
    client: TestClient, path: str, headers: list[tuple[str, str]], pointer: str
) -> None:
    """Which of them counts is nobody's guess."""
    assert errors_of(client.get(path, headers=headers)) == {(pointer, "repeated")}


def test_lists_take_several_values(client: TestClient) -> None:
    """And parameters that nobody reads do no harm."""
    assert client.get("/plain?ids=1&ids=2&other=1&other=2").json() == [1, 2]
    assert client.get("/notes?tags=a&tags=b").status_code == 200


@pytest.mark.parametrize("multipart", [False, True])
@pytest.mark.parametrize("name", ["title", "file"])
def test_of_one_field_there_are_not_two(client: TestClient, name: str, multipart: bool) -> None:
    """In either kind of form, and a file is a field."""
    fields = [("title", "a"), ("tags", "b"), ("tags", "c"), (name, "d"), (name, "e")]
    if multipart:
        answer = client.post("/forms", files=[(key, (None, value)) for key, value in fields])
        assert errors_of(answer) == {(f"/body/{name}", "repeated")}
        return
    kind = {"content-type": "application/x-www-form-urlencoded"}
    body = "&".join(f"{key}={value}" for key, value in fields)
    assert client.post("/forms", content=body, headers=kind).status_code == 415


def test_a_form_takes_lists(client: TestClient) -> None:
    """Fields that are lists come as often as they like."""
    fields = [("title", (None, "a")), ("tags", (None, "b")), ("tags", (None, "c"))]
    answer = client.post("/forms", files=[*fields, ("file", ("x.txt", b"d"))])
    assert answer.json() == ["a", "b", "c", "d"]


def test_one_endpoint_in_two_places_is_described_in_both(client: TestClient) -> None:
    """Whatever its routers add to it."""
    long = "x" * 21
    for prefix in ("one", "two"):
        assert errors_of(client.get(f"/{prefix}/either?key={long}")) == {
            ("/query/key", "string_too_long")
        }
    answer = client.get("/two/either", headers={"x-tenant": long})
    assert errors_of(answer) == {("/header/x-tenant", "string_too_long")}
