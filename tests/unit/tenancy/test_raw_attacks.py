"""Ways around the edges of a block of unsafe_raw()."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text

from stockade.tenancy import OpaqueSQLError, TenantSession, unsafe_raw
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import OWN, Note

TRIED = unsafe_raw("tried around the edges of blocks")
NAMES = text("SELECT name FROM note")


def test_task_that_runs_inside_of_the_function(database: Database) -> None:
    """Another task is not in the block, though the function that holds it is below it."""

    async def other(session: TenantSession) -> None:
        await asyncio.sleep(0)
        session.scalars(NAMES).all()

    async def own(session: TenantSession) -> None:
        with TRIED(session):
            session.scalars(NAMES).all()

    with database.factory(OWN) as session:
        session.connection()
        with TRIED(session):
            with pytest.raises(OpaqueSQLError):
                asyncio.run(other(session))
            asyncio.run(own(session))
            assert session.scalars(NAMES).all()


def test_callback_of_an_event_loop_inside_of_the_function(database: Database) -> None:
    """A callback of a loop belongs to nobody."""
    caught: list[BaseException] = []

    def called(session: TenantSession, done: asyncio.Event) -> None:
        try:
            session.scalars(NAMES).all()
        except OpaqueSQLError as error:
            caught.append(error)
        done.set()

    async def wait(session: TenantSession) -> None:
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon(called, session, done)
        await done.wait()

    with database.factory(OWN) as session:
        session.connection()
        with TRIED(session):
            asyncio.run(wait(session))
    assert len(caught) == 1


def test_listener_that_asks_in_between(database: Database) -> None:
    """Rows are looked at although another statement ran on the connection before them."""
    with database.factory(OWN) as session:
        connection = session.connection()
        asked: list[str] = []

        def ask(
            used: Connection,
            _cursor: object,
            statement: str,
            _parameters: object,
            _context: Any,  # noqa: ANN401
            _many: bool,
        ) -> None:
            if not asked and "folder_id" in statement:
                asked.append(statement)
                used.execute(select(Note.id)).all()

        event.listen(connection.engine, "before_cursor_execute", ask)
        query = select(Note).from_statement(text("SELECT id, name, folder_id FROM note"))
        query = select(Note).from_statement(text("SELECT id, name, folder_id FROM note"))
        with TRIED(session), pytest.raises(OpaqueSQLError) as caught:
            session.scalars(query).all()
        assert asked
        assert caught.value.reason == "tenancy.unverifiable_object"
        assert not list(session)
