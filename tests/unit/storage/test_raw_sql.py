"""Handlers let SQL text in on record, and answer for the objects that it may touch."""

from pathlib import Path
from typing import Annotated, Any, Literal

import anyio.to_thread
import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from stockade import ObjectAccess, TenantCrossing, current_principal, unchecked, unsafe_raw
from stockade.core import TenantId
from stockade.errors import ForbiddenError
from stockade.tenancy import OpaqueSQLError
from tests.clock import FrozenClock
from tests.unit.storage.guarded import ADA, ANA, ROOT, Comment, Guarded, Note, Page, Tag
from tests.unit.storage.test_crossing import WHY, as_root, make_crossing

COUNT = unsafe_raw("counts rows by hand; the query has no input")
SIGNED_IN = [Depends(current_principal)]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """A Stockade on a SQLite file."""
    return Guarded(tmp_path)


def serve_counts(guarded: Guarded) -> FastAPI:
    """Make an application with SQL text in it."""
    app = FastAPI()
    session_of = Annotated[AsyncSession, Depends(guarded.stockade.session)]

    async def count(session: AsyncSession, statement: str) -> Any:  # noqa: ANN401
        with COUNT(session):
            return await session.scalar(text(statement))

    @app.get("/counted", dependencies=SIGNED_IN)
    @unchecked("tells how many there are, and nothing of them")
    async def counted(session: session_of) -> int:
        return int(await count(session, "SELECT count(*) FROM note"))

    @app.get("/unchecked", dependencies=SIGNED_IN)
    async def forgotten(session: session_of) -> int:
        return int(await count(session, "SELECT count(*) FROM tag"))

    @app.get("/some", dependencies=SIGNED_IN)
    async def some(
        session: session_of, access: Annotated[ObjectAccess, Depends(guarded.stockade.access)]
    ) -> int:
        await session.scalars(access.visible(Note))
        return int(await count(session, "SELECT count(*) FROM note"))

    @app.get("/all", dependencies=SIGNED_IN)
    async def every(
        session: session_of, access: Annotated[ObjectAccess, Depends(guarded.stockade.access)]
    ) -> int:
        await session.scalars(access.visible(Note))
        access.require("read", await session.get_one(Page, "fine"))
        access.require("read", (await session.scalars(select(Comment))).one())
        return int(await count(session, "SELECT count(*) FROM note"))

    @app.post("/changed", dependencies=SIGNED_IN)
    async def changed(session: session_of, statement: Literal["update", "with", "ddl"]) -> None:
        known = {
            "update": "UPDATE note SET body = 'x'",
            "with": "WITH a AS (SELECT 1) UPDATE note SET body = 'x'",
            "ddl": "DROP TABLE note",
        }
        await count(session, known[statement])
        await session.commit()

    @app.get("/after", dependencies=SIGNED_IN)
    async def after(session: session_of) -> None:
        with COUNT(session):
            pass
        await session.scalar(text("SELECT count(*) FROM note"))

    @app.get("/crossing")
    async def crossing(
        crossing: Annotated[TenantCrossing, Depends(guarded.stockade.cross_tenant)],
    ) -> int:
        async with crossing(TenantId("globex"), reason=WHY) as session:
            return int(await count(session, "SELECT count(*) FROM tag"))

    return app


def test_blocks_in_handlers(guarded: Guarded) -> None:
    """A block is an event of its request; what it may touch is answered for, or held back."""
    app = serve_counts(guarded)
    with guarded.serve(app) as client:
        ana = guarded.headers(ANA)
        assert client.get("/counted", headers=ana).json() == 3
        for path in ("/unchecked", "/some"):
            answer = client.get(path, headers=ana)
            assert (answer.status_code, answer.json()["code"]) == (500, "unchecked_object")
        assert client.get("/all", headers=ana).json() == 3
        assert client.get("/after", headers=guarded.headers(ADA)).status_code == 500
    events = guarded.sink.named("tenancy.raw_sql")
    assert [(event.route, event.user_id) for event in events] == [
        (path, "ana") for path in ("/counted", "/unchecked", "/some", "/all")
    ]
    assert all(event.request_id for event in events)
    assert {event.details["tenant"] for event in events} == {"acme"}
    assert guarded.reasons("tenancy.refused") == ["tenancy.opaque_sql"]


@pytest.mark.parametrize("statement", ["update", "with", "ddl"])
def test_writes_are_refused_before_they_run(guarded: Guarded, statement: str) -> None:
    """Text that may write runs only where every model with rules was checked."""
    with guarded.serve(serve_counts(guarded)) as client:
        headers = guarded.headers(ANA)
        answer = client.post("/changed", params={"statement": statement}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (500, "unchecked_object")
        assert client.get("/counted", headers=headers).json() == 3


def test_block_in_another_tenant(guarded: Guarded) -> None:
    """A block of a crossing says who crosses, and into which tenant."""
    with guarded.serve(serve_counts(guarded)) as client:
        assert client.get("/crossing", headers=guarded.headers(ROOT)).status_code == 500
    [event] = guarded.sink.named("tenancy.raw_sql")
    assert (event.user_id, event.details["tenant"], event.route) == ("root", "globex", "/crossing")


async def test_block_ends_with_the_time_of_a_crossing(tmp_path: Path) -> None:
    """An open block gives a crossing no more time."""
    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    clock = FrozenClock()
    crossing = make_crossing(guarded, clock, as_root())
    async with crossing(TenantId("acme"), reason=WHY) as session:
        with COUNT(session):
            assert await session.scalar(text("SELECT count(*) FROM tag")) == 1
            clock.advance(360)
            with pytest.raises(ForbiddenError):
                await session.scalar(text("SELECT count(*) FROM tag"))
    await guarded.stockade._databases.close()


async def test_several_statements_are_no_read(tmp_path: Path) -> None:
    """A SELECT with something behind it counts as a write."""
    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    watch = guarded.stockade._watches
    assert watch is not None
    from stockade.core.exchange import Exchange
    from stockade.errors import UncheckedObjectError

    made = watch.of(Exchange(None, "r", "c", "http", 1))
    assert made is not None
    made.touch_text("SELECT 1")
    for statement in ("SELECT 1; DELETE FROM note", "/* SELECT */ DELETE FROM note"):
        with pytest.raises(UncheckedObjectError):
            made.touch_text(statement)


def test_the_start_names_what_is_declared(guarded: Guarded) -> None:
    """The event of the start says where text is let in, and that nothing holds it."""
    with guarded.serve(serve_counts(guarded)):
        pass
    [started] = guarded.sink.named("application.started")
    assert f"{__name__}:{COUNT.line}" in started.details["raw_sql"]
    assert started.details["raw_sql"].endswith("; held by nothing")


async def test_sealed_at_the_start(tmp_path: Path) -> None:
    """What is declared after the start lets nothing in, and the session goes on."""
    from stockade.tenancy.raw import UnsafeRaw

    guarded = await anyio.to_thread.run_sync(Guarded, tmp_path)
    guarded.stockade.install(FastAPI())
    await guarded.stockade.start()
    late = UnsafeRaw("declared too late", module="late", file="late.py", line=3)
    async with guarded.stockade._databases.make_session(TenantId("acme")) as session:
        with pytest.raises(OpaqueSQLError):
            late(session)
        assert (await session.scalars(select(Tag.id))).all() == [1]
    await guarded.stockade.stop()
