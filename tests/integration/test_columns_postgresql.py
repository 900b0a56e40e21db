"""What the check of columns says is what a real PostgreSQL does."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from math import isclose
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    NaiveDatetime,
    ValidationError,
    create_model,
)
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    Connection,
    Date,
    DateTime,
    Double,
    Engine,
    Enum,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    Uuid,
    create_engine,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine
from starlette.testclient import TestClient

from stockade import Settings, Stockade, public
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.gate.binder import INSTALLED
from stockade.sanitization import RichText
from stockade.validation.columns import check_columns
from stockade.validation.schema import Schema
from stockade.validation.types import EmailAddress, Line
from tests.servers import PostgresDatabase

pytestmark = pytest.mark.postgres


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


class Base(DeclarativeBase):
    pass


TYPES: list[TypeEngine[Any]] = [
    *(String(length) for length in (1, 2, 3, 5, 254)),
    *(Text(), SmallInteger(), Integer(), BigInteger(), Double(), REAL(), Boolean()),
    *(Numeric(*digits) for digits in ((), (3,), (3, 2), (5, 2), (8, 4), (2, 2))),
    *(DateTime(), DateTime(timezone=True), Date(), Time(), Time(timezone=True), Interval()),
    *(Uuid(), LargeBinary(), ARRAY(String(2)), ARRAY(SmallInteger), Enum(Colour)),
]
_numbers = count()


def make_model(type_: TypeEngine[Any]) -> type[Any]:
    """Make a model with one column of a type."""
    number = next(_numbers)
    body = {
        "__tablename__": f"held_{number}",
        "__module__": __name__,
        "__annotations__": {"id": Mapped[int], "value": Mapped[Any]},
        "id": mapped_column(Integer, primary_key=True),
        "value": mapped_column(type_, nullable=True),
    }
    return type(f"Held{number}", (Base,), body)


MODELS = {type_: make_model(type_) for type_ in TYPES}

# Values at the edges of everything that is declared below; a schema refuses what is none of its.
LENGTHS = (0, 1, 2, 3, 5, 254)
TEXTS = [each * length for each in ("a", "😀", "&", "İ", "ΐ") for length in LENGTHS]
INTEGERS = sorted(
    {
        sign * 2**bits + step
        for bits in (0, 3, 15, 31, 63)
        for sign in (-1, 1)
        for step in (-1, 0, 1)
    }
    | {9, 99, 100, 999, 1000}
)
DECIMALS = [
    *("0", "9", "0.99", "9.99", "9.995", "9.999", "99.994", "99.995", "999", "999.99", "999.995"),
    *("1000", "9999.9999", "0.999", "0.995", "-9.99", "-9.995", "-999.99", "1E+2", "1E-4", "1E+6"),
]
FLOATS = [
    0.0,
    0.5,
    9.99,
    9.995,
    99.994,
    99.996,
    999.5,
    999.99,
    1e5,
    1e38,
    1e39,
    1e300,
    1e-300,
    -9.996,
]
EDGES: list[Any] = [
    *TEXTS,
    *INTEGERS,
    *DECIMALS,
    *FLOATS,
    *(True, False, "a@b.cd", "red", "green", "00000000-0000-0000-0000-000000000000"),
    *("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "0001-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00+05:30"),
    *("0001-01-01", "9999-12-31", "00:00:00", "23:59:59.999999", "12:00:00+23:59", "12:00:00Z"),
    *(
        "P999999999D",
        "-P999999999D",
        ["a", "aa"],
        ["aaa"],
        [2**15],
        [-(2**15), 2**15 - 1],
        [["aa"]],
    ),
]


def upper_limit(most: int, *, upper: bool) -> object:
    """Return an annotation of text that is bounded, and perhaps grows behind it."""
    bounded = Annotated[str, Field(max_length=most)]
    return Annotated[bounded, AfterValidator(str.upper)] if upper else bounded


def bounded(kind: type, bounds: tuple[Any, Any], *, places: int | None = None) -> object:
    """Return an annotation of numbers between two bounds."""
    digits = None if places is None else 20
    limits = Field(ge=min(bounds), le=max(bounds), max_digits=digits, decimal_places=places)
    return Annotated[kind, limits]


def pairs(edges: list[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Draw two bounds."""
    return st.tuples(st.sampled_from(edges), st.sampled_from(edges))


TEXT_FIELDS = st.builds(upper_limit, st.integers(0, 6), upper=st.booleans())
INTEGER_FIELDS = st.builds(lambda bounds: bounded(int, bounds), pairs(INTEGERS))
FLOAT_FIELDS = st.builds(lambda bounds: bounded(float, bounds), pairs(FLOATS))
PLACES = st.integers(0, 5)
DECIMAL_FIELDS = st.builds(
    lambda digits, places: Annotated[
        Decimal, Field(max_digits=digits, decimal_places=min(digits, places))
    ],
    st.integers(1, 9),
    PLACES,
) | st.builds(
    lambda bounds, places: bounded(Decimal, bounds, places=places),
    pairs([Decimal(each) for each in DECIMALS]),
    PLACES,
)
Pair = Annotated[str, Field(max_length=2)]
OTHERS: list[object] = [
    *(Line, EmailAddress, bool, float, int, UUID, Colour, Literal["red"], Literal["red", "x"]),
    *(datetime, AwareDatetime, NaiveDatetime, date, time, timedelta),
    *(Annotated[RichText, Field(max_length=most)] for most in (2, 5)),
    Annotated[bytes, Field(max_length=5)],
    Annotated[list[Pair], Field(max_length=3)],
    Annotated[list[Annotated[str, Field(max_length=3)]], Field(max_length=3)],
    Annotated[list[Annotated[int, Field(ge=-(2**15), le=2**15 - 1)]], Field(max_length=3)],
    Annotated[list[int], Field(max_length=3)],
    Annotated[list[Annotated[list[Pair], Field(max_length=3)]], Field(max_length=3)],
]


def of(*classes: type[TypeEngine[Any]]) -> st.SearchStrategy[TypeEngine[Any]]:
    """Draw a type of some kinds."""
    return st.sampled_from([type_ for type_ in TYPES if isinstance(type_, classes)])


NUMBER_TYPES = of(Integer, Numeric, Double, REAL)
CASES = st.one_of(
    st.tuples(TEXT_FIELDS, of(String)),
    st.tuples(INTEGER_FIELDS, NUMBER_TYPES),
    st.tuples(FLOAT_FIELDS, NUMBER_TYPES),
    st.tuples(DECIMAL_FIELDS, NUMBER_TYPES),
    st.tuples(st.sampled_from(OTHERS), st.sampled_from(TYPES)),
)


@pytest.fixture
def engine(postgres_database: PostgresDatabase) -> Iterator[Engine]:
    """A database with a table for each type."""
    engine = create_engine(postgres_database.psycopg_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def make_schema(annotation: Any) -> type[Schema]:  # noqa: ANN401 - any annotation
    """Make a schema with one field."""
    return create_model("Held", __base__=Schema, value=(annotation, ...))


def accepted(schema: type[Schema]) -> Iterator[Any]:
    """Yield what a schema makes of those edges that it accepts."""
    for edge in EDGES:
        try:
            yield schema.model_validate({"value": edge}).value  # type: ignore[attr-defined]  # made above
        except ValidationError:
            continue


def fails(connection: Connection, model: type[Any], value: object) -> bool:
    """Tell whether the database refuses a value, or keeps another one."""
    transaction = connection.begin_nested()
    try:
        key = connection.execute(insert(model).values(value=value).returning(model.id)).scalar_one()
        kept = connection.execute(select(model.value).where(model.id == key)).scalar_one()
    except (DBAPIError, StatementError):
        return True
    finally:
        transaction.rollback()
    return differs(value, kept)


def differs(given: object, kept: object) -> bool:
    """Tell whether a value was changed; decimals and floats are near each other at best."""
    if isinstance(given, float) and isinstance(kept, float):
        return not isclose(given, kept, rel_tol=1e-6)
    if isinstance(given, datetime) and isinstance(kept, datetime) and kept.tzinfo is None:
        # asyncpg keeps the first and the last instant as infinities, which have no zone.
        return given.replace(tzinfo=None) != kept
    if isinstance(given, time) and isinstance(kept, time):
        # TIME has no zone, and Pydantic no time without one: docs/explanation/validation.md.
        return given.replace(tzinfo=None) != kept
    if type(given) is date and isinstance(kept, datetime):
        return given != kept.date()
    if isinstance(given, float | Decimal) and type(given) is not type(kept):
        return False
    return given != kept


SETTINGS = settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@SETTINGS
@given(CASES)
def test_what_passes_the_check_never_overflows(
    engine: Engine, case: tuple[object, TypeEngine[Any]]
) -> None:
    """Whatever a declared pair that passes accepts is held by the column, and unchanged."""
    annotation, type_ = case
    schema, model = make_schema(annotation), MODELS[type_]
    assume(not check_columns(Base, {schema: model}))
    with engine.connect() as connection:
        for value in accepted(schema):
            # A UUID is text to those who make text of it.
            stored = str(value) if annotation is UUID and isinstance(type_, String) else value
            assert not fails(connection, model, stored), value


@SETTINGS
@given(st.one_of(st.tuples(TEXT_FIELDS, of(String)), st.tuples(INTEGER_FIELDS, of(Integer))))
def test_what_the_check_reports_does_overflow(
    engine: Engine, case: tuple[object, TypeEngine[Any]]
) -> None:
    """No alarm is false: some value passes the schema and not the database."""
    annotation, type_ = case
    schema, model = make_schema(annotation), MODELS[type_]
    assume(check_columns(Base, {schema: model}))
    with engine.connect() as connection:
        assert any(fails(connection, model, value) for value in accepted(schema))


async def test_the_other_driver_agrees(engine: Engine, postgres_database: PostgresDatabase) -> None:
    """What passes is held through asyncpg as well, which takes no value of another type."""
    asynchronous = create_async_engine(postgres_database.asyncpg_url)
    fixed: list[object] = [
        *OTHERS,
        *(Annotated[str, Field(max_length=most)] for most in (1, 5, 254)),
        *(bounded(int, (-(2**bits), 2**bits - 1)) for bits in (15, 31, 63)),
        *(bounded(float, bounds) for bounds in ((0.0, 9.99), (0.5, 99.994), (-9.99, 999.5))),
        *(
            Annotated[Decimal, Field(max_digits=digits, decimal_places=places)]
            for digits, places in ((2, 2), (3, 0), (3, 2), (5, 2), (8, 4))
        ),
    ]
    held = 0
    try:
        async with asynchronous.connect() as connection:
            for annotation in fixed:
                schema = make_schema(annotation)
                for model in MODELS.values():
                    if annotation is UUID or check_columns(Base, {schema: model}):
                        continue
                    for value in accepted(schema):
                        async with connection.begin_nested() as savepoint:
                            statement = insert(model).values(value=value).returning(model.id)
                            key = (await connection.execute(statement)).scalar_one()
                            kept = await connection.execute(
                                select(model.value).where(model.id == key)
                            )
                            assert not differs(value, kept.scalar_one()), value
                            await savepoint.rollback()
                        held += 1
    finally:
        await asynchronous.dispose()
    assert held > 500


class Headline(Base):
    __tablename__ = "headlines"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))


class HeadlineCreate(Schema):
    title: Line = Field(max_length=300)


class HeadlineInput(Schema):
    title: Line = Field(max_length=200)


def make_app(database: PostgresDatabase, body: type[Any], columns: str) -> FastAPI:
    """Make an application that stores a body as it comes."""
    app = FastAPI()
    stockade = Stockade(
        Settings(environment="test", validation={"columns": columns}),
        models=[Base],
        sinks=[MemorySink()],
    )
    stockade.install(app)
    writing = create_async_engine(database.asyncpg_url, poolclass=NullPool)

    async def session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(writing) as opened:
            yield opened

    async def create(given: Any, session: AsyncSession = Depends(session)) -> None:  # noqa: ANN401 - set below
        session.add(Headline(**given.model_dump()))
        await session.commit()

    create.__annotations__ |= {"given": body, "session": AsyncSession}
    app.post("/headlines")(public("for the tests")(create))
    return app


def post(client: TestClient, length: int) -> int:
    """Send a title of some length and return the status."""
    return client.post("/headlines", json={"title": "😀" * length}).status_code


def test_without_the_check_a_value_overflows(
    engine: Engine, postgres_database: PostgresDatabase
) -> None:
    """Let pass by the setting, 201 characters are an error of the server."""
    app = make_app(postgres_database, HeadlineCreate, "warn")
    with TestClient(app, raise_server_exceptions=False) as client:
        assert [post(client, length) for length in (200, 201, 300, 301)] == [200, 500, 500, 422]


async def test_with_the_check_the_application_does_not_start(
    postgres_database: PostgresDatabase,
) -> None:
    """The same application is refused, with the line to write."""
    app = make_app(postgres_database, HeadlineCreate, "refuse")
    with pytest.raises(ConfigurationError) as caught:
        await getattr(app, INSTALLED).start()
    assert "Field(max_length=200)" in str(caught.value)


def test_with_that_line_nothing_overflows(
    engine: Engine, postgres_database: PostgresDatabase
) -> None:
    """Mended, what the column does not hold is refused as what it is: input that does not fit."""
    app = make_app(postgres_database, HeadlineInput, "refuse")
    with TestClient(app, raise_server_exceptions=False) as client:
        assert [post(client, length) for length in (0, 200, 201)] == [200, 200, 422]
