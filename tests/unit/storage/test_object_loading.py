"""An object that a path names is loaded, isolated and checked in one step."""

import re
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import Float, create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, joinedload, mapped_column

from stockade import Stockade
from stockade.errors import ConfigurationError
from stockade.validation import Identifier
from tests.unit.storage.guarded import (
    ADA,
    ANA,
    BEN,
    EVE,
    KEY,
    ROOT,
    Base,
    Comment,
    Guarded,
    Note,
    Page,
    Pair,
    Tag,
)


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """A Stockade on a SQLite file."""
    return Guarded(tmp_path)


def application(stockade: Stockade) -> FastAPI:
    """Make an application that loads everything it touches."""
    app = FastAPI()

    @app.get("/notes/{note_id}")
    async def read(note: Annotated[Note, Depends(stockade.load(Note, "note_id"))]) -> str:
        return note.body

    @app.put("/notes/{note_id}")
    async def write(
        note: Annotated[Note, Depends(stockade.load(Note, "note_id", action="write", lock=True))],
        session: Annotated[AsyncSession, Depends(stockade.session)],
    ) -> str:
        note.body = "changed"
        await session.commit()
        return note.body

    @app.get("/comments/{key}")
    async def comment(found: Annotated[Comment, Depends(stockade.load(Comment, "key"))]) -> str:
        return found.author

    @app.get("/notes/{note_id}/comments/{key}")
    async def nested(
        found: Annotated[Comment, Depends(stockade.load(Comment, "key", within="note_id"))],
    ) -> str:
        return found.author

    @app.get("/ids/{page_id}")
    async def identified(
        found: Annotated[Page, Depends(stockade.load(Page, "page_id", key=Identifier))],
    ) -> str:
        return found.body

    @app.get("/pages/{page_id}")
    async def page(found: Annotated[Page, Depends(stockade.load(Page, "page_id"))]) -> str:
        return found.body

    return app


@pytest.mark.parametrize(
    ("account", "path", "status"),
    [
        (ANA, "/notes/1", 200),
        (BEN, "/notes/1", 200),
        (ANA, "/notes/2", 200),
        (BEN, "/notes/2", 404),
        (ADA, "/notes/2", 404),
        (ANA, "/notes/3", 404),
        (EVE, "/notes/3", 200),
        (EVE, "/notes/1", 404),
        (ANA, "/notes/4", 404),
        (ROOT, "/notes/1", 403),
        (ANA, f"/comments/{KEY}", 200),
        (ANA, f"/comments/{str(KEY).upper()}", 200),
        (BEN, f"/comments/{KEY}", 404),
        (EVE, f"/comments/{KEY}", 404),
        (ANA, f"/notes/1/comments/{KEY}", 200),
        (ANA, f"/notes/2/comments/{KEY}", 404),
        (ANA, f"/notes/3/comments/{KEY}", 404),
        (ANA, f"/notes/01/comments/{KEY}", 404),
        (ANA, f"/notes/+1/comments/{KEY}", 404),
        (ANA, f"/notes/1%20/comments/{KEY}", 404),
        (ANA, f"/notes/None/comments/{KEY}", 404),
        (BEN, f"/notes/1/comments/{KEY}", 404),
        (ANA, "/ids/fine", 200),
        (ANA, "/pages/fine", 200),
        (EVE, "/pages/fine", 404),
        (ANA, "/pages/Fine", 404),
        (ANA, "/pages/fine%20", 404),
    ],
)
def test_who_reads_what(guarded: Guarded, account: Any, path: str, status: int) -> None:  # noqa: ANN401 - an Account
    """What is hidden, another tenant's or not there is answered alike."""
    with guarded.serve(application(guarded.stockade)) as client:
        answer = client.get(path, headers=guarded.headers(account))
        assert answer.status_code == status
        if status == 404:
            missing = client.get("/nothing", headers=guarded.headers(account)).json()
            assert answer.json() | {"request_id": ""} == missing | {"request_id": ""}


@pytest.mark.parametrize(
    "path",
    [
        "/notes/+1",
        "/notes/01",
        "/notes/1.0",
        "/notes/1_0",
        "/notes/%D9%A1",
        "/notes/1%20",
        "/notes/true",
        "/notes/0x1",
        "/notes/9999999999999999999999",
        "/notes/2147483648",
        f"/comments/{KEY.hex}",
        f"/comments/%7B{KEY}%7D",
        f"/comments/urn:uuid:{KEY}",
        "/comments/1",
        "/pages/" + "a" * 37,
        "/pages/fine%0A",
        "/ids/fine.",
        "/ids/fine'",
    ],
)
def test_a_key_has_one_spelling(guarded: Guarded, path: str) -> None:
    """What int() or UUID() would repair is refused before anything is loaded."""
    with guarded.serve(application(guarded.stockade)) as client:
        answer = client.get(path, headers=guarded.headers(ANA))
        assert answer.status_code == 422
        assert guarded.reasons("web.server_error") == []


@pytest.mark.parametrize(
    ("account", "path", "status"),
    [
        (ANA, "/notes/1", 200),
        (ADA, "/notes/1", 200),
        (BEN, "/notes/1", 403),
        (BEN, "/notes/2", 404),
        (EVE, "/notes/1", 404),
        (ADA, "/notes/3", 404),
    ],
)
def test_who_writes_what(guarded: Guarded, account: Any, path: str, status: int) -> None:  # noqa: ANN401 - an Account
    """Who may read and not write is forbidden to; whoever may not read does not learn more."""
    with guarded.serve(application(guarded.stockade)) as client:
        answer = client.put(path, headers=guarded.headers(account))
        assert answer.status_code == status
        body = client.get("/notes/1", headers=guarded.headers(ANA)).json()
        assert body == ("changed" if status == 200 else "plain")


@pytest.mark.parametrize("page", ["truthy", "none", "one", "coroutine", "raises"])
def test_a_rule_that_does_not_decide_shows_nothing(guarded: Guarded, page: str) -> None:
    """An answer that is merely truthy, a coroutine and an error end in 500 without the object."""
    with guarded.serve(application(guarded.stockade)) as client:
        answer = client.get(f"/pages/{page}", headers=guarded.headers(ANA))
        assert answer.status_code == 500
        assert page not in answer.text


@pytest.mark.parametrize(("path", "status"), [("1", 500), ("2", 404), ("3", 404), ("4", 404)])
def test_what_a_loader_joins_is_nothing_where_nothing_is_found(
    guarded: Guarded, path: str, status: int
) -> None:
    """A missing object is a 404, also where its query joins others; what is found needs a check."""
    app = FastAPI()
    loader = guarded.stockade.load(
        Comment, "key", within="note_id", options=[joinedload(Comment.note)]
    )

    @app.get("/{note_id}/{key}")
    async def read(found: Annotated[Comment, Depends(loader)]) -> str:
        return found.author

    with guarded.serve(app) as client:
        answer = client.get(f"/{path}/{KEY}", headers=guarded.headers(ANA))
        assert answer.status_code == status
        missing = client.get(f"/{path}/{UUID(int=1)}", headers=guarded.headers(ANA))
        assert missing.status_code == 404


def test_what_was_touched_before_a_loader_stays_touched(guarded: Guarded) -> None:
    """A loader that finds nothing excuses nothing that another dependency has read."""
    app = FastAPI()

    async def peek(session: Annotated[AsyncSession, Depends(guarded.stockade.session)]) -> None:
        await session.scalars(select(Note))

    @app.get("/{key}", dependencies=[Depends(peek)])
    async def read(
        found: Annotated[Comment, Depends(guarded.stockade.load(Comment, "key"))],
    ) -> str:
        return found.author

    with guarded.serve(app) as client:
        answer = client.get(f"/{UUID(int=1)}", headers=guarded.headers(ANA))
        assert (answer.status_code, answer.json()["code"]) == (500, "unchecked_object")


def test_refusals_are_recorded(guarded: Guarded) -> None:
    """The event log tells apart what the client can't."""
    with guarded.serve(application(guarded.stockade)) as client:
        for path in ("/notes/2", "/notes/4"):
            client.get(path, headers=guarded.headers(BEN))
        client.put("/notes/1", headers=guarded.headers(BEN))
    assert guarded.reasons("authorization.refused") == [
        "authorization.object_hidden",
        "authorization.object_missing",
        "authorization.object_refused",
    ]


def test_a_loader_asks_for_a_caller(guarded: Guarded) -> None:
    """A route that loads is closed to strangers without another word."""
    with guarded.serve(application(guarded.stockade)) as client:
        assert client.get("/notes/1").status_code == 401


class Odd(Base):
    __tablename__ = "odd"

    id: Mapped[float] = mapped_column(Float, primary_key=True)


@pytest.mark.parametrize("model", [Pair, Odd, int], ids=["composite", "float", "unmapped"])
def test_a_key_that_a_path_cannot_name_is_refused(guarded: Guarded, model: type[Any]) -> None:
    """A composite key and a key of another type are refused where the route is written."""
    with pytest.raises(ConfigurationError) as caught:
        guarded.stockade.load(model, "key")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "parameter", "action"),
    [
        (Note, "note", "read"),
        (Note, "note_i", "read"),
        (Note, "note_id", "wirte"),
        (Note, "note_id", "Read"),
        (Tag, "note_id", "read"),
    ],
    ids=["other-name", "prefix", "misspelt", "case", "no-rules"],
)
async def test_a_wrong_name_stops_the_start(
    tmp_path: Path, model: type[Any], parameter: str, action: str
) -> None:
    """A parameter that the path lacks, and an action without a rule, are found at the start."""
    import anyio.to_thread

    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    router = APIRouter(prefix="/notes/{note_id}")

    @router.get("")
    async def read(
        found: Annotated[object, Depends(guarded.stockade.load(model, parameter, action=action))],
    ) -> str:
        return str(found)

    app = FastAPI()
    app.include_router(router)
    guarded.stockade.install(app)
    with pytest.raises(ConfigurationError):
        await guarded.stockade.start()
    await guarded.stockade.stop()


@pytest.mark.parametrize("within", ["page_id", "note", "author", "comments", "hidden()"])
async def test_a_parent_that_is_not_there_stops_the_start(tmp_path: Path, within: str) -> None:
    """What an object is compared with is a parameter of the path and a column of the model."""
    import anyio.to_thread

    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    app = FastAPI()
    loader = guarded.stockade.load(Comment, "key", within=within)

    @app.get("/notes/{note}/{comments}/{key}")
    async def read(found: Annotated[Comment, Depends(loader)]) -> str:
        return found.author

    guarded.stockade.install(app)
    with pytest.raises(ConfigurationError, match=re.escape(within)):
        await guarded.stockade.start()
    await guarded.stockade.stop()


def test_a_prefix_may_hold_the_parameter(guarded: Guarded) -> None:
    """The whole path counts, with the prefixes of routers."""
    router = APIRouter(prefix="/notes/{note_id}")

    @router.get("/body")
    async def read(note: Annotated[Note, Depends(guarded.stockade.load(Note, "note_id"))]) -> str:
        return note.body

    app = FastAPI()
    app.include_router(router)
    with guarded.serve(app) as client:
        assert client.get("/notes/1/body", headers=guarded.headers(ANA)).json() == "plain"


@pytest.mark.postgres
def test_a_locked_row_stays_as_it_was_checked(tmp_path: Path, postgres_url: str) -> None:
    """Between check and use nobody else can change the row, also not its owner."""
    guarded = Guarded(tmp_path, url=postgres_url)
    app = FastAPI()
    elsewhere = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    held = []

    @app.put("/notes/{note_id}")
    async def write(
        note: Annotated[
            Note, Depends(guarded.stockade.load(Note, "note_id", action="write", lock=True))
        ],
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
    ) -> None:
        row = select(Note.id).where(Note.id == note.id).with_for_update(nowait=True)
        with elsewhere.connect() as connection, pytest.raises(OperationalError):
            connection.execute(row)
        held.append(note.id)
        note.body = "changed"
        await session.commit()

    with guarded.serve(app) as client:
        assert client.put("/notes/1", headers=guarded.headers(ANA)).status_code == 200
    elsewhere.dispose()
    assert held == [1]
