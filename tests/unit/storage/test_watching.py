"""A handler that uses guarded objects and checks none of them is refused."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import RedirectResponse, StreamingResponse
from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from stockade import ObjectAccess, current_principal, unchecked
from stockade.authorization import policy
from stockade.errors import ConfigurationError, DeniedError, UncheckedObjectError
from tests.unit.storage.guarded import ANA, BEN, KEY, Comment, Guarded, Note, Page, Tag

NAME = "authorization.object_unchecked"


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """A Stockade on a SQLite file."""
    return Guarded(tmp_path)


async def read_entity(session: AsyncSession) -> object:
    """Read an object by its key."""
    note = await session.get(Note, 1)
    return note and note.body


async def read_columns(session: AsyncSession) -> object:
    """Read a column, which makes no object."""
    return list(await session.scalars(select(Note.body)))


async def read_table(session: AsyncSession) -> object:
    """Read by the Core."""
    table = Note.__table__
    return [row.body for row in await session.execute(select(table.c.body))]


async def read_connection(session: AsyncSession) -> object:
    """Read past the ORM."""
    connection = await session.connection()
    return list((await connection.execute(select(Note.body))).scalars())


async def read_count(session: AsyncSession) -> object:
    """Learn how many there are."""
    return await session.scalar(select(func.count()).select_from(Note))


async def read_exists(session: AsyncSession) -> object:
    """Ask a question about notes in a query for something else."""
    return list(await session.scalars(select(Tag.id).where(exists().where(Note.author == "ana"))))


async def read_cte(session: AsyncSession) -> object:
    """Read through a CTE."""
    notes = select(Note.body).cte()
    return list(await session.scalars(select(notes.c.body)))


async def read_stream(session: AsyncSession) -> object:
    """Read row by row."""
    return [body async for body in await session.stream_scalars(select(Note.body))]


async def read_lazily(session: AsyncSession) -> object:
    """Read through a relationship in a thread of the session."""
    return await session.run_sync(lambda inner: len(inner.get_one(Note, 1).comments))


READS = [
    read_entity,
    read_columns,
    read_table,
    read_connection,
    read_count,
    read_exists,
    read_cte,
    read_stream,
    read_lazily,
]


@pytest.mark.parametrize("read", READS, ids=lambda read: read.__name__)
def test_a_read_without_a_check_is_held_back(guarded: Guarded, read: Any) -> None:  # noqa: ANN401 - a coroutine function
    """However a row is reached, the answer does not leave."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/")
    async def handle(session: Annotated[AsyncSession, Depends(guarded.stockade.session)]) -> object:
        return await read(session)

    @app.get("/checked")
    async def handle_checked(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> object:
        access.visible(Note)
        access.require("read", Comment(author="ana"))
        return await read(session)

    with guarded.serve(app) as client:
        answer = client.get("/", headers=guarded.headers(ANA))
        assert (answer.status_code, answer.json()["code"]) == (500, "unchecked_object")
        assert "plain" not in answer.text
        assert guarded.reasons(NAME) == [NAME]
        assert client.get("/checked", headers=guarded.headers(ANA)).status_code == 200


async def flush_new(session: AsyncSession) -> None:
    """Add an object."""
    session.add(Note(author="ben", body="new"))
    await session.commit()


async def flush_changed(session: AsyncSession) -> None:
    """Change an object."""
    (await session.get_one(Note, 1)).body = "new"
    await session.commit()


async def flush_deleted(session: AsyncSession) -> None:
    """Delete an object."""
    await session.delete(await session.get_one(Note, 2))
    await session.commit()


async def run_insert(session: AsyncSession) -> None:
    """Insert by a statement."""
    await session.execute(insert(Note).values(author="ben", body="new", hidden=False))
    await session.commit()


async def run_update(session: AsyncSession) -> None:
    """Update by a statement."""
    await session.execute(update(Note).values(body="new"))
    await session.commit()


async def run_delete(session: AsyncSession) -> None:
    """Delete by a statement of the Core, past the ORM."""
    connection = await session.connection()
    await connection.execute(delete(Note).where(Note.id == 2))
    await session.commit()


async def swallow(session: AsyncSession) -> None:
    """Go on after the refusal, and commit."""
    with suppress(DeniedError):
        await session.execute(update(Note).values(body="new"))
    await session.commit()


WRITES = [flush_new, flush_changed, flush_deleted, run_insert, run_update, run_delete, swallow]


def note_bodies(guarded: Guarded) -> list[str]:
    """Read what the database holds, past everything."""
    from sqlalchemy import create_engine

    engine = create_engine(guarded.url)
    with engine.connect() as connection:
        found = list(connection.execute(select(Note.body).order_by(Note.id)).scalars())
    engine.dispose()
    return found


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_a_write_without_a_check_never_happens(guarded: Guarded, write: Any) -> None:  # noqa: ANN401 - a coroutine function
    """A write is refused before it runs: nothing is there to undo."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.post("/")
    async def handle(session: Annotated[AsyncSession, Depends(guarded.stockade.session)]) -> None:
        await write(session)

    with guarded.serve(app) as client:
        answer = client.post("/", headers=guarded.headers(BEN))
        assert (answer.status_code, answer.json()["code"]) == (500, "unchecked_object")
    assert note_bodies(guarded) == ["plain", "hidden", "foreign"]


@pytest.mark.parametrize(
    "write", [flush_new, flush_changed, flush_deleted], ids=lambda w: w.__name__
)
def test_a_check_to_read_allows_no_write(guarded: Guarded, write: Any) -> None:  # noqa: ANN401 - a coroutine function
    """Whoever loaded one object to read it has not checked that it, or another, may be changed."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.post("/{note_id}")
    async def handle(
        _note: Annotated[Note, Depends(guarded.stockade.load(Note, "note_id"))],
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
    ) -> None:
        await write(session)

    with guarded.serve(app) as client:
        assert client.post("/1", headers=guarded.headers(BEN)).status_code == 500
    assert note_bodies(guarded) == ["plain", "hidden", "foreign"]


def test_a_check_of_one_object_allows_no_write_of_another(guarded: Guarded) -> None:
    """Each object that is changed is checked itself."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.post("/{note_id}")
    async def handle(
        note: Annotated[Note, Depends(guarded.stockade.load(Note, "note_id", action="write"))],
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
    ) -> None:
        note.body = "changed"
        (await session.get_one(Note, 2)).body = "changed"
        await session.commit()

    with guarded.serve(app) as client:
        assert client.post("/1", headers=guarded.headers(ANA)).status_code == 500
    assert note_bodies(guarded) == ["plain", "hidden", "foreign"]


def test_checked_writes_happen(guarded: Guarded) -> None:
    """What was checked is written: new, changed and deleted."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.post("/{note_id}")
    async def handle(
        note: Annotated[Note, Depends(guarded.stockade.load(Note, "note_id", action="write"))],
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> None:
        note.body = "changed"
        new = Note(author=access.principal.user_id, body="new")
        access.require("create", new)
        session.add(new)
        hidden = await session.get_one(Note, 2)
        access.require("delete", hidden)
        await session.delete(hidden)
        await session.commit()

    with guarded.serve(app) as client:
        assert client.post("/1", headers=guarded.headers(ANA)).status_code == 200
    assert sorted(note_bodies(guarded)) == ["changed", "foreign", "new"]
    assert guarded.reasons(NAME) == []


def test_a_new_object_is_checked_as_it_is(guarded: Guarded) -> None:
    """Whoever writes in another's name is refused, before the database is asked."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.post("/")
    async def handle(
        access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> None:
        access.require("create", Note(author="ana", body="new"))

    with guarded.serve(app) as client:
        assert client.post("/", headers=guarded.headers(BEN)).status_code == 403


def test_lists_show_what_the_caller_may_see(guarded: Guarded) -> None:
    """A query by the scope of the model is a check, and can only be narrowed."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/")
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> list[str]:
        query = access.visible(Note).where(Note.body != "x").order_by(Note.id)
        return [note.body for note in await session.scalars(query)]

    with guarded.serve(app) as client:
        for account, seen in ((ANA, ["plain", "hidden"]), (BEN, ["plain"])):
            assert client.get("/", headers=guarded.headers(account)).json() == seen


def test_a_check_of_one_model_is_none_of_another(guarded: Guarded) -> None:
    """Comments that are read beside a note that was checked need a check of their own."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/{note_id}")
    async def handle(
        note: Annotated[Note, Depends(guarded.stockade.load(Note, "note_id"))],
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
    ) -> int:
        found = await session.scalars(select(Comment).where(Comment.note_id == note.id))
        return len(found.all())

    with guarded.serve(app) as client:
        assert client.get("/1", headers=guarded.headers(ANA)).status_code == 500


def test_a_look_to_decide_is_no_check(guarded: Guarded) -> None:
    """`decide` says what a rule thinks, such as to show a button; it permits nothing."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/")
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> bool:
        return access.decide("write", await session.get_one(Note, 1)).granted

    with guarded.serve(app) as client:
        assert client.get("/", headers=guarded.headers(ANA)).status_code == 500


@pytest.mark.parametrize("status", [302, 404, 409, 500])
def test_no_other_answer_takes_the_place(guarded: Guarded, status: int) -> None:
    """A redirect or an error of the handler's own would tell of the object as well."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/", response_model=None)
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
    ) -> RedirectResponse:
        note = await session.get_one(Note, 2)
        if status == 302:
            return RedirectResponse(f"/{note.body}", status)
        raise HTTPException(status, note.body)

    with guarded.serve(app) as client:
        answer = client.get("/", headers=guarded.headers(BEN), follow_redirects=False)
        assert answer.status_code == 500
        assert "hidden" not in f"{answer.text}{answer.headers}"


def test_a_websocket_sends_nothing_unchecked(guarded: Guarded) -> None:
    """A message about an object that nobody has checked closes the connection."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.websocket("/live")
    async def handle(
        websocket: WebSocket,
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        _access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.send_text((await session.get_one(Note, 1)).body)

    with guarded.serve(app) as client:
        with client.websocket_connect("/live", headers=guarded.headers(ANA)) as socket:
            assert socket.receive_text() == "hello"
            with pytest.raises(WebSocketDisconnect):
                socket.receive_text()
        assert guarded.reasons(NAME) == [NAME]


def test_an_endpoint_opts_out_with_a_reason(guarded: Guarded) -> None:
    """`unchecked` names the reason on the route, and opens nothing."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/")
    @unchecked("counts notes and shows none")
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> object:
        return await read_count(session)

    with guarded.serve(app) as client:
        assert client.get("/", headers=guarded.headers(ANA)).json() == 2
        assert client.get("/").status_code == 401
    (plan,) = [plan for plan in guarded.stockade.plans() if plan.route == "/"]
    assert plan.policy.unchecked == ("counts notes and shows none",)


@pytest.mark.parametrize("reason", ["", "  ", None, 3])
def test_an_opt_out_needs_a_reason(reason: Any) -> None:  # noqa: ANN401 - whatever is written
    """An exception without a reason is a mistake."""
    with pytest.raises(ConfigurationError):
        unchecked(reason)


@pytest.mark.parametrize(("mode", "events"), [("warn", [NAME]), ("off", [])])
def test_other_modes_are_said_at_the_start(tmp_path: Path, mode: str, events: list[str]) -> None:
    """Where nothing is refused, the start says so, and a warning is an event."""
    guarded = Guarded(tmp_path, authorization={"object_checks": mode})
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.post("/")
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        _access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> object:
        await flush_new(session)
        return await read_count(session)

    with guarded.serve(app) as client:
        assert client.post("/", headers=guarded.headers(ANA)).json() == 3
    assert guarded.reasons(NAME) == events
    (started,) = guarded.sink.named("application.started")
    said = started.details["object_checks"] if mode == "warn" else started.details["off"]
    assert ("warn" if mode == "warn" else "object_checks") in said
    for event in guarded.sink.named(NAME):
        assert event.details == {"models": "Note"}
        assert event.user_id == "ana"


def test_models_without_rules_are_named(guarded: Guarded) -> None:
    """A model that belongs to tenants needs rules or a reason; the start says which has neither."""
    with guarded.serve(FastAPI()) as client:
        client.get("/")
    (started,) = guarded.sink.named("application.started")
    named = started.details["models_without_policy"].split(", ")
    # Models of other tests that belong to tenants are found as well.
    assert "Pair" in named
    assert "Page" not in named


async def test_models_without_rules_can_stop_the_start(tmp_path: Path) -> None:
    """With the strict setting nothing starts before each model has rules or a reason."""
    import anyio.to_thread

    guarded = await anyio.to_thread.run_sync(
        lambda: Guarded(tmp_path, authorization={"models_without_policy": "refuse"})
    )
    guarded.stockade.install(FastAPI())
    with pytest.raises(ConfigurationError):
        await guarded.stockade.start()
    await guarded.stockade.stop()


def test_a_model_that_gets_rules_late_is_guarded(guarded: Guarded) -> None:
    """Rules that a late import registers hold from then on."""
    app = FastAPI(dependencies=[Depends(current_principal)])
    late: type[Any] = type("Late", (), {})

    @app.get("/")
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        _access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> int:
        return len((await session.scalars(select(Tag.id))).all())

    with guarded.serve(app) as client:
        assert client.get("/", headers=guarded.headers(ANA)).status_code == 200
        before = guarded.stockade._databases.guards()
        policy(late, "read")(lambda _principal, _instance: True)
        assert guarded.stockade._databases.guards() is not before


def test_what_is_read_while_streaming_is_recorded_no_more(guarded: Guarded) -> None:
    """A stream that has begun can't be recalled, but its next write is refused."""
    app = FastAPI(dependencies=[Depends(current_principal)])
    refused = []

    @app.get("/")
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
        _access: Annotated[ObjectAccess, Depends(guarded.stockade.access)],
    ) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "begun"
            try:
                await flush_new(session)
            except UncheckedObjectError:
                refused.append(True)

        return StreamingResponse(parts())

    with guarded.serve(app) as client:
        assert client.get("/", headers=guarded.headers(ANA)).text == "begun"
    assert refused == [True]


def test_a_stream_breaks_off_before_it_shows_what_is_unchecked(guarded: Guarded) -> None:
    """What is read while a stream runs does not leave, and nobody takes the rest for complete."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/")
    async def handle(
        session: Annotated[AsyncSession, Depends(guarded.stockade.session)],
    ) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "begun"
            yield (await session.get_one(Note, 1)).body

        return StreamingResponse(parts())

    guarded.stockade.install(app)
    with TestClient(app) as client, pytest.raises(RuntimeError):
        client.get("/", headers=guarded.headers(ANA))
    assert guarded.reasons(NAME) == [NAME]


def test_a_crash_is_a_plain_error(guarded: Guarded) -> None:
    """A handler that fails after an unchecked read answers as any that fails."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/")
    async def handle(session: Annotated[AsyncSession, Depends(guarded.stockade.session)]) -> None:
        raise RuntimeError((await session.get_one(Note, 2)).body)

    with guarded.serve(app) as client:
        answer = client.get("/", headers=guarded.headers(BEN))
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "hidden" not in answer.text


def test_pages_and_comments_are_watched_apart(guarded: Guarded) -> None:
    """An application has no more to say than to load what it shows."""
    app = FastAPI(dependencies=[Depends(current_principal)])

    @app.get("/{page_id}/{key}")
    async def handle(
        page: Annotated[Page, Depends(guarded.stockade.load(Page, "page_id"))],
        comment: Annotated[Comment, Depends(guarded.stockade.load(Comment, "key"))],
    ) -> str:
        return page.body + comment.author

    with guarded.serve(app) as client:
        assert client.get(f"/fine/{KEY}", headers=guarded.headers(ANA)).json() == "fineana"
        assert client.get(f"/fine/{uuid4()}", headers=guarded.headers(ANA)).status_code == 404
