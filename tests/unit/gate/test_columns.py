"""A route whose body takes what its columns don't hold stops the start."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Form
from pydantic import BaseModel, Field
from sqlalchemy import MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.testclient import TestClient

from stockade import Settings, Stockade, public
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.gate.requests import RouteExcuse
from stockade.tenancy import TenantScoped
from stockade.validation.bounds import unbounded
from stockade.validation.columns import stores
from stockade.validation.schema import Schema
from stockade.validation.types import Line
from tests.unit.gate.apps import Protected


class Base(DeclarativeBase):
    pass


class ScopedBase(DeclarativeBase):
    pass


class Pamphlet(Base):
    __tablename__ = "pamphlets"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))


class Circular(TenantScoped, ScopedBase):
    __tablename__ = "circulars"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))


class PamphletCreate(Schema):
    title: Line


class CircularCreate(Schema):
    title: Line


class Leaf(Schema):
    title: Line = Field(max_length=200)


class Batch(Schema):
    pamphlets: list[PamphletCreate] = Field(max_length=3)


@stores(Pamphlet)
class Imported(Schema):
    title: Line = Field(max_length=200)
    origin: Line


@stores(Pamphlet, elsewhere=("nothing",))
class Mistaken(Schema):
    title: Line = Field(max_length=200)


class Hook(BaseModel):
    payload: Annotated[dict[str, Any], unbounded("the sender decides")]


class PamphletIn(Leaf):
    pass


async def start(app: FastAPI, *, models: list[Any] | None = None, **settings: Any) -> Stockade:  # noqa: ANN401 - any setting
    """Install and start."""
    stockade = Stockade(
        Settings(environment="test", **settings),
        models=[Base] if models is None else models,
        sinks=[MemorySink()],
    )
    stockade.install(app)
    try:
        await stockade.start()
    finally:
        await stockade.stop()
    return stockade


async def refusal(app: FastAPI, **options: Any) -> list[str]:  # noqa: ANN401 - as for start
    """Return the lines with which the start is refused."""
    with pytest.raises(ConfigurationError) as caught:
        await start(app, **options)
    return str(caught.value).splitlines()


def accept(annotation: Any, path: str = "/pamphlets") -> FastAPI:  # noqa: ANN401 - any annotation
    """Make an application with one route that takes a body."""
    app = FastAPI()

    async def create(given: annotation) -> None: ...

    create.__annotations__["given"] = annotation
    app.post(path)(public("for the tests")(create))
    return app


async def test_a_body_that_overflows_stops_the_start() -> None:
    """One line names the route, the field and the column, and says what to write."""
    (line,) = await refusal(accept(PamphletCreate))
    for part in (
        "POST /pamphlets",
        "PamphletCreate.title",
        "pamphlets.title",
        "Field(max_length=200)",
    ):
        assert part in line


@pytest.mark.parametrize(
    "annotation",
    [
        Batch,
        PamphletCreate | None,
        Annotated[list[PamphletCreate], Field(max_length=2)] | Leaf,
        Annotated[PamphletCreate, Form()],
    ],
    ids=["nested", "optional", "union", "form"],
)
async def test_bodies_are_found_inside_of_others(annotation: object) -> None:
    """It makes no difference where in a body a schema is."""
    lines = await refusal(accept(annotation))
    assert any("PamphletCreate.title" in line for line in lines)


async def test_bodies_of_dependencies_are_found() -> None:
    """A dependency can ask for a body as well."""

    async def read(given: PamphletCreate) -> PamphletCreate:
        return given

    app = FastAPI()
    router = APIRouter()

    @router.post("/pamphlets")
    @public("for the tests")
    async def create(given: Annotated[PamphletCreate, Depends(read)]) -> None: ...

    app.include_router(router, prefix="/v1")
    (line,) = await refusal(app)
    assert "POST /v1/pamphlets" in line


async def test_models_that_belong_to_tenants_are_found_by_themselves() -> None:
    """As for isolation, nobody has to name their base."""
    (line,) = await refusal(accept(CircularCreate), models=[])
    assert "circulars.title" in line


async def test_models_of_nobody_are_not_known() -> None:
    """A base that was not handed over has no columns to compare with."""
    stockade = await start(accept(PamphletCreate), models=[])
    assert stockade.warnings() == []


async def test_collections_of_tables_have_no_names() -> None:
    """Where only tables are known, there is no model to pair with."""
    await start(accept(PamphletCreate), models=[MetaData()])


async def test_declared_pairs_need_no_base() -> None:
    """A schema that says where it is stored is compared to the last doubt."""
    (line,) = await refusal(accept(Imported), models=[])
    assert "Imported.origin" in line


async def test_mistaken_declarations_stop_the_start() -> None:
    """An exception for a field that does not exist is told with the route."""
    (line,) = await refusal(accept(Mistaken))
    assert "POST /pamphlets" in line
    assert "nothing" in line


async def test_a_body_that_fits_is_served() -> None:
    """What was compared is in the record of the start."""
    app, sink = accept(PamphletIn), MemorySink()
    stockade = Stockade(Settings(environment="test"), models=[Base], sinks=[sink])
    stockade.install(app)
    with TestClient(app) as client:
        assert client.post("/pamphlets", json={"title": "a"}).status_code == 200
    (started,) = [event for event in sink if event.name == "application.started"]
    assert started.details["columns_compared"] == "PamphletIn: Pamphlet"


async def test_mismatches_can_be_let_pass() -> None:
    """For the time of a migration, a setting makes warnings of them."""
    stockade = await start(accept(PamphletCreate), validation={"columns": "warn"})
    (line,) = stockade.warnings()
    assert "pamphlets.title" in line


async def test_letting_unbounded_input_pass_lets_no_overflow_pass() -> None:
    """The two settings are apart."""

    class PamphletInput(BaseModel):
        title: str

    (line,) = await refusal(accept(PamphletInput), validation={"unbounded": "warn"})
    assert "pamphlets.title" in line


def test_a_route_that_comes_later_is_refused() -> None:
    """A late route is not served, and the others are."""
    app, protected = accept(Leaf, "/leaves"), Protected()
    stockade = Stockade(Settings(environment="test"), models=[Base], sinks=[protected.sink])
    stockade.install(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/leaves", json={"title": "a"}).status_code == 200

        @app.post("/late")
        @public("for the tests")
        async def late(given: PamphletCreate) -> None: ...

        assert client.post("/late", json={"title": "a"}).status_code == 500
        assert client.post("/leaves", json={"title": "a"}).status_code == 200
    assert "gate.rebind_failed" in protected.names()


async def test_excuses_are_collected() -> None:
    """Each excuse is known with its route, its place and its reason, wherever it stands."""
    app = FastAPI()

    @app.post("/hooks")
    @public("for the tests")
    async def receive(given: Hook, text: Annotated[str, unbounded("shown only")] = "") -> None: ...

    stockade = await start(app)
    excuses = [each for each in stockade.excuses() if isinstance(each, RouteExcuse)]
    assert [(each.place, each.kind, each.reason) for each in excuses] == [
        ("query.text", "str", "shown only"),
        ("body.given.payload", "dict", "the sender decides"),
    ]
    assert all("POST /hooks" in each.route for each in excuses)


async def test_before_the_start_nothing_is_excused() -> None:
    """What has not been looked at is in no list."""
    stockade = Stockade(Settings(environment="test"), sinks=[MemorySink()])
    assert not [each for each in stockade.excuses() if isinstance(each, RouteExcuse)]
    assert stockade.warnings() == []
