"""A field that the caller may not see is not sent."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, TypeAdapter, computed_field
from typing_extensions import TypedDict

from stockade import current_principal, public, require_fresh, require_role
from stockade.authorization import visible_to
from stockade.authorization.masking import masks_in
from stockade.core import Principal, UserId
from stockade.core.acting import ACTING
from stockade.errors import ConfigurationError
from tests.unit.gate.apps import ADMIN, MEMBER, ROOT, Protected, serve

ROLES = {"member": ["hr:person:read"], "admin": ["hr:salary:read"], "owner": []}
SECRET = 48_151_623


class Person(BaseModel):
    name: str
    salary: Annotated[int, visible_to("hr:salary:read")]
    bonus: Annotated[int, visible_to("hr:salary:read")] = SECRET
    grade: Annotated[int, Field(gt=0), visible_to(require_role("admin"))] = SECRET
    iban: int = visible_to("hr:salary:read")

    @computed_field(exclude_if=visible_to("hr:salary:read").exclude_if)  # type: ignore[prop-decorator]
    @property
    def yearly(self) -> int:
        """Follow from what is hidden."""
        return self.salary


class Team(BaseModel):
    lead: Person
    people: list[Person]
    by_name: dict[str, Person]


@dataclass
class Row:
    name: str
    salary: Annotated[int, visible_to("hr:salary:read")]


class Item(TypedDict):
    name: str
    salary: Annotated[int, visible_to("hr:salary:read")]


PERSON = Person(name="ana", salary=SECRET, iban=SECRET)
TEAM = Team(lead=PERSON, people=[PERSON], by_name={"ana": PERSON})


def application() -> FastAPI:  # noqa: C901 - one route for each kind of answer
    """Make an application that answers in every way that FastAPI has."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/model")
    async def model() -> Person:
        return PERSON

    @app.get("/sync")
    def sync() -> Person:
        return PERSON

    @app.get("/nested")
    async def nested() -> Team:
        return TEAM

    @app.get("/list")
    async def listed() -> list[Person]:
        return [PERSON]

    @app.get("/none")
    async def optional() -> Person | None:
        return PERSON

    @app.get("/dict", response_model=Person)
    async def plain() -> dict[str, object]:
        return {"name": "ana", "salary": SECRET, "iban": SECRET}

    @app.get("/unset", response_model_exclude_unset=True)
    async def unset() -> Person:
        return PERSON

    @app.get("/include", response_model_include={"name", "salary"})
    async def include() -> Person:
        return PERSON

    @app.get("/by-hand")
    async def by_hand() -> JSONResponse:
        return JSONResponse(PERSON.model_dump(mode="json"))

    @app.get("/row")
    async def row() -> Row:
        return Row("ana", SECRET)

    @app.get("/item")
    async def item() -> Item:
        return {"name": "ana", "salary": SECRET}

    return app


PATHS = [
    "/model",
    "/sync",
    "/nested",
    "/list",
    "/none",
    "/dict",
    "/unset",
    "/include",
    "/by-hand",
    "/row",
    "/item",
]


def test_only_who_may_see_a_field_gets_it() -> None:
    """The name and the value are missing for others, at any depth and in every kind of answer."""
    protected = Protected(authorization={"roles": ROLES})
    with serve(application(), protected) as client:
        for path in PATHS:
            for account, sees in ((MEMBER, False), (ADMIN, True), (ROOT, True), (MEMBER, False)):
                text = client.get(path, headers=protected.headers(account)).text
                assert "ana" in text, path
                assert (str(SECRET) in text) is sees, path
                assert ("salary" in text) is sees, path


def test_a_stranger_sees_nothing_hidden() -> None:
    """On an open route nobody is known, also right after somebody was."""
    app = FastAPI()

    @app.get("/open")
    @public("shows names")
    async def open_route() -> Person:
        return PERSON

    @app.get("/closed", dependencies=[Depends(current_principal)])
    async def closed() -> Person:
        return PERSON

    protected = Protected(authorization={"roles": ROLES})
    with serve(app, protected) as client:
        assert "salary" in client.get("/closed", headers=protected.headers(ADMIN)).json()
        answer = client.get("/open", headers=protected.headers(ADMIN))
        assert answer.json() == {"name": "ana"}


def test_without_a_request_nothing_hidden_is_shown() -> None:
    """A script or a worker serializes for nobody; a task can say for whom it does."""
    assert PERSON.model_dump() == {"name": "ana"}
    assert PERSON.model_dump_json() == '{"name":"ana"}'
    boss = Principal(user_id=UserId("boss"), email="", permissions=frozenset({"hr:salary:read"}))
    acting = ACTING.set(boss)
    try:
        assert set(PERSON.model_dump()) == {"name", "salary", "bonus", "iban", "yearly"}
    finally:
        ACTING.reset(acting)


def test_a_masked_field_may_be_missing_by_the_schema() -> None:
    """Who reads the OpenAPI document learns that the field may be left out."""
    schema = Person.model_json_schema(mode="serialization")
    assert "salary" in schema["properties"]
    assert "salary" not in schema["required"]
    assert "name" in schema["required"]


@pytest.mark.parametrize(
    "make",
    [
        visible_to,
        lambda: visible_to("salary"),
        lambda: visible_to(require_fresh(timedelta(minutes=5))),
    ],
    ids=["nothing", "misspelt", "fresh"],
)
def test_a_mask_that_cannot_be_meant_is_refused(make: Any) -> None:  # noqa: ANN401 - a callable
    """A mask asks for roles and permissions, and for at least one."""
    with pytest.raises(ConfigurationError):
        make()


class Misspelt(BaseModel):
    name: Annotated[str, visible_to("hr:salary:raed")]


class Deep(BaseModel):
    inner: list[Misspelt]


class OnItems(BaseModel):
    names: list[Annotated[str, visible_to("hr:salary:read")]]


class Overridden(BaseModel):
    name: Annotated[str, visible_to("hr:salary:read"), Field(exclude_if=bool)]


@pytest.mark.parametrize(
    "answer",
    [
        Misspelt,
        Deep,
        OnItems,
        Overridden,
        Annotated[str, visible_to("hr:salary:read")],
        list[Annotated[str, visible_to("hr:salary:read")]],
    ],
    ids=["misspelt", "deep", "items", "overridden", "whole", "list"],
)
async def test_a_mask_that_would_hide_nothing_stops_the_start(answer: Any) -> None:  # noqa: ANN401 - an annotation
    """A permission that nobody has, and a mask where nothing reads it, are found at the start."""
    app = FastAPI(dependencies=[Depends(current_principal)])
    app.add_api_route("/", lambda: None, response_model=answer)
    protected = Protected(authorization={"roles": ROLES})
    protected.stockade.install(app)
    with pytest.raises(ConfigurationError):
        await protected.stockade.start()


def test_masks_are_found_at_any_depth() -> None:
    """Every masked field of an answer is looked at, also in models that refer to themselves."""

    class Node(BaseModel):
        name: Annotated[str, visible_to("a:b:c")]
        children: list["Node"]

    found = {name for each in masks_in(TypeAdapter(Node).core_schema) for name in each.permissions}
    assert found == {"a:b:c"}
    assert len(list(masks_in(TypeAdapter(Team).core_schema))) >= 4
