"""SQL text passes in a block of unsafe_raw(), and nowhere else; the rest stays isolated in it."""

# SQLAlchemy's statements have no common type.
# ruff: noqa: ANN401
from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import create_engine, delete, event, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_scoped_session, create_async_engine
from sqlalchemy.orm import Session, contains_eager, joinedload, load_only, scoped_session

from stockade.errors import ConfigurationError
from stockade.tenancy import (
    CrossTenantError,
    OpaqueSQLError,
    TenancyError,
    TenantSession,
    TenantSessionFactory,
    unsafe_raw,
)
from stockade.tenancy.raw import UnsafeRaw, declared
from tests.unit.tenancy.attacks import ATTACKS, OPAQUE, Attack, table_of
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import (
    FOREIGN,
    OWN,
    Base,
    Comment,
    Folder,
    Note,
    Reaction,
    Tag,
    foreign_state,
    isolate,
    seed,
)
from tests.unit.tenancy.test_attacks import NOT_IN_SQLITE

TRIED = unsafe_raw("tried by the tests of this module")
OTHER = unsafe_raw("tried inside of the other one")
# Calls in functions by its name would stop each start of an application in this process.
HIDDEN = [unsafe_raw]
NAMES = text("SELECT name FROM note ORDER BY id")
TEXTS = {name for name in OPAQUE if name.startswith(("text", "literal", "operator"))} | {
    "statement_hint",
    "table_hint",
    "unary_operator",
}
DDL = {"ddl", "drop"}


def ddl(statement: str) -> Any:
    """Return DDL that was written by hand."""
    return sa.DDL(statement)  # type: ignore[no-untyped-call]


def read(session: Session) -> list[Any]:
    """Read the notes of everybody by SQL text."""
    return list(session.scalars(NAMES))


@pytest.fixture
async def factory(tmp_path: Path) -> AsyncIterator[TenantSessionFactory]:
    """Sessions on a SQLite file, through aiosqlite."""
    system = create_engine(f"sqlite:///{tmp_path / 'db'}")
    Base.metadata.create_all(system)
    with Session(system) as session:
        seed(session)
    system.dispose()
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'db'}")
    isolation = isolate()
    isolation.install(engine)
    yield isolation.session_factory(engine)
    await engine.dispose()


# What passes, and until when.


def test_text_passes_in_the_block_alone(database: Database) -> None:
    """Before and after the block the very same statement is refused, though it was compiled."""
    with database.factory(OWN) as session:
        for _ in range(3):
            with pytest.raises(OpaqueSQLError):
                read(session)
            with TRIED(session):
                assert "foreign note" in read(session)
            with pytest.raises(OpaqueSQLError):
                read(session)


@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.parametrize("by", ["session", "connection"])
def test_kinds_of_text(database: Database, name: str, by: str) -> None:
    """What is refused for its text gets to the database in the block, and is refused after it."""
    statement = OPAQUE[name]()
    with database.factory(OWN) as session:
        run = session.execute if by == "session" else session.connection().execute
        with TRIED(session), contextlib.suppress(SQLAlchemyError, CrossTenantError):
            # Some text is no SQL, and objects of others are refused as they are read.
            run(statement).all()
        with pytest.raises(OpaqueSQLError):
            run(statement)


def test_driver_sql(database: Database) -> None:
    """SQL for the driver passes in the block alone."""
    with database.factory(OWN) as session:
        connection = session.connection()
        with TRIED(session):
            assert len(connection.exec_driver_sql("SELECT name FROM note").all()) == 5
        with pytest.raises(OpaqueSQLError):
            connection.exec_driver_sql("SELECT name FROM note")


def test_ddl(database: Database) -> None:
    """Tables are made in the block alone, as an object and as text."""
    table = sa.Table("made", sa.MetaData(), sa.Column("a", sa.Integer, server_default=text("3")))
    with database.factory(OWN) as session:
        with TRIED(session):
            session.execute(sa.schema.CreateTable(table))
            session.execute(ddl("INSERT INTO made DEFAULT VALUES"))
            assert session.scalar(text("SELECT a FROM made")) == 3
        for statement in (sa.schema.DropTable(table), ddl("DROP TABLE made")):
            with pytest.raises(OpaqueSQLError):
                session.execute(statement)


@pytest.mark.parametrize("name", sorted(set(OPAQUE) - TEXTS - DDL))
def test_what_stays_refused(database: Database, name: str) -> None:
    """What is not text is refused in the block as well: unknown tables, compilers, functions."""
    with database.factory(OWN) as session, TRIED(session), pytest.raises(OpaqueSQLError):
        session.execute(OPAQUE[name]())


RAW_BY_ITSELF = {
    "driver_sql",
    "reflection",
    "drop_all",
    "loader_criteria_operator",
    "delete_text",
    "update_text",
    "update_operator",
    "upsert_text_where",
    "insert_prefix",
}


@pytest.mark.parametrize(
    "attack",
    [
        each
        for each in ATTACKS
        if "opaque_" not in each.name and each.name.removeprefix("connection_") not in RAW_BY_ITSELF
    ],
    ids=lambda attack: attack.name,
)
def test_attack_in_a_block(attack: Attack, database: Database) -> None:
    """What is written with the ORM or the Core ends in a block as it does outside."""
    before = database.look(foreign_state)
    with database.factory(OWN) as session, TRIED(session):
        ending = "filtered"
        try:
            assert "foreign" not in repr(attack.run(session, database.ids))
            session.commit()
        except TenancyError:
            ending = "refused"
            if session.is_active:
                session.commit()
        except SQLAlchemyError:
            ending = "error"
            session.rollback()
    assert ending == ("error" if attack.name in NOT_IN_SQLITE else attack.ending)
    assert database.look(foreign_state) == before


@pytest.mark.parametrize(
    "condition",
    [
        text("1=1 OR 1=1"),
        sa.and_(text("1=1 OR 1=1"), text("1=1 OR 1=1")),
        sa.or_(text("1=1 OR 1=1"), text("1=0")),
        Note.name.op("= '' OR 1 =")(1),
    ],
)
def test_condition_in_text_does_not_reach_out(database: Database, condition: Any) -> None:
    """An OR in the text of a condition stays in its brackets: the tenant is asked for besides."""
    before = database.look(foreign_state)
    with database.factory(OWN) as session, TRIED(session):
        assert set(session.scalars(select(Note.tenant_id).where(condition))) == {OWN}
        changed: Any = session.execute(
            update(Note)
            .where(condition)
            .values(name="x")
            .execution_options(synchronize_session=False)
        )
        assert changed.rowcount == 2
        condition = sa.true() if "note" in str(condition) else condition
        session.execute(delete(table_of(Reaction)).where(condition))
        found = upsert(table_of(Tag)).values(id=database.ids["foreign_tag"], name="x")
        session.execute(
            found.on_conflict_do_update(index_elements=["id"], set_={"name": "x"}, where=condition)
        )
        session.commit()
    assert database.look(foreign_state) == before


# How long a block lasts, and for whom.


def test_nested_blocks(database: Database) -> None:
    """The end of an inner block leaves the outer one open."""
    with database.factory(OWN) as session:
        with TRIED(session):
            with OTHER(session):
                read(session)
            read(session)
        with pytest.raises(OpaqueSQLError):
            read(session)
    assert [e.details["why"] for e in database.sink.named("tenancy.raw_sql")] == [
        OTHER.reason,
        TRIED.reason,
    ]


def test_exception_ends_the_block(database: Database) -> None:
    """A block that is left by an exception is closed and recorded."""
    with database.factory(OWN) as session:
        with pytest.raises(ZeroDivisionError), TRIED(session):
            assert 1 / (len(read(session)) - 5)
        with pytest.raises(OpaqueSQLError):
            read(session)
    assert len(database.sink.named("tenancy.raw_sql")) == 1


def test_block_that_is_never_left(database: Database) -> None:
    """A block that was entered by hand ends with its function at the latest."""

    def enter(session: TenantSession) -> object:
        block = TRIED(session)
        block.__enter__()
        read(session)
        return block

    with database.factory(OWN) as session:
        kept = enter(session)
        assert kept
        with pytest.raises(OpaqueSQLError):
            read(session)


def test_block_is_used_once(database: Database) -> None:
    """A block that is kept does not open again."""
    with database.factory(OWN) as session:
        block = TRIED(session)
        with block:
            pass
        with pytest.raises(RuntimeError), block:
            pass
        with pytest.raises(OpaqueSQLError):
            read(session)


def test_other_session(database: Database) -> None:
    """A block is for the session that it was opened with."""
    with database.factory(OWN) as session, database.factory(OWN) as other:
        with TRIED(session), pytest.raises(OpaqueSQLError):
            read(other)
        with TRIED(other):
            read(other)


def test_suspended_generator(database: Database) -> None:
    """A generator lets text in while it runs, and not while its caller does."""

    def names(session: TenantSession) -> Generator[str, None, None]:
        with TRIED(session):
            for _ in range(2):
                yield from read(session)[:1]

    with database.factory(OWN) as session:
        running = names(session)
        assert next(running) == "own note"
        with pytest.raises(OpaqueSQLError) as caught:
            read(session)
        assert "not around" in str(caught.value)
        assert next(running) == "own note"
        running.close()
        assert not session.raw_blocks


def test_context_manager_around_a_block(database: Database) -> None:
    """A context manager that hides a block opens nothing for those who use it."""

    @contextlib.contextmanager
    def hidden(session: TenantSession) -> Iterator[None]:
        with TRIED(session):
            yield

    with database.factory(OWN) as session, hidden(session), pytest.raises(OpaqueSQLError):
        read(session)


def test_exit_stack(database: Database) -> None:
    """An ExitStack opens a block for the function that has the stack."""
    with database.factory(OWN) as session:
        with contextlib.ExitStack() as stack:
            stack.enter_context(TRIED(session))
            read(session)
        with pytest.raises(OpaqueSQLError):
            read(session)


def test_other_thread(database: Database) -> None:
    """A thread that uses the same session meanwhile is not inside of the block."""
    with database.factory(OWN) as session:
        session.connection()
        with TRIED(session), ThreadPoolExecutor(1) as pool:
            with pytest.raises(OpaqueSQLError):
                pool.submit(read, session).result()
            read(session)


def test_transactions_in_a_block(database: Database) -> None:
    """A block outlives the transactions in it, and a savepoint outlives a block."""
    with database.factory(OWN) as session:
        with TRIED(session):
            savepoint = session.begin_nested()
            read(session)
        with pytest.raises(OpaqueSQLError):
            read(session)
        savepoint.rollback()
        with TRIED(session):
            for end in (session.commit, session.rollback, session.close):
                read(session)
                end()
            with session.begin_nested():
                read(session)
        with pytest.raises(OpaqueSQLError):
            read(session)
        session.rollback()
        with pytest.raises(OpaqueSQLError):
            read(session)


def test_result_that_is_read_late(database: Database) -> None:
    """A result goes on after its block: its statement was let in. Another one is not."""
    with database.factory(OWN) as session:
        with TRIED(session):
            late = session.execute(NAMES, execution_options={"yield_per": 1})
            next(late)
        assert len(late.all()) == 4
        with pytest.raises(OpaqueSQLError):
            read(session)


def test_lazy_loads_and_autoflush(database: Database) -> None:
    """What the ORM does by itself in a block is isolated, and writes the tenant."""
    with database.factory(OWN) as session:
        with TRIED(session):
            session.add(Tag(name="added"))
            assert session.scalar(text("SELECT tenant_id FROM tag WHERE name = 'added'")) == OWN
            folder = session.get_one(Folder, database.ids["own_folder"])
            assert {note.tenant_id for note in folder.notes} == {OWN}
            session.add(Note(name="x", folder_id=database.ids["foreign_folder"]))
            with pytest.raises(CrossTenantError):
                read(session)
            session.rollback()
        assert session.scalars(select(Tag.name)).all() == ["own tag"]


def test_statements_of_both_kinds_are_cached_apart(database: Database) -> None:
    """What was compiled in a block is not what the session uses outside, and the other way."""
    compiled = []

    def note(_c: object, _cursor: object, _s: str, _p: object, context: Any, _m: bool) -> None:
        compiled.append(type(context.compiled))

    event.listen(database.engine, "before_cursor_execute", note)
    with database.factory(OWN) as session:
        for _ in range(2):
            session.execute(select(Note))
            with TRIED(session):
                session.execute(select(Note))
    assert compiled[0] is compiled[2]
    assert compiled[1] is compiled[3]
    assert compiled[0] is not compiled[1]


# Objects.


@pytest.mark.parametrize(
    "statement",
    [
        select(Note).from_statement(text("SELECT * FROM note ORDER BY id")),
        select(Note).from_statement(
            text("SELECT id, tenant_id, name, folder_id FROM note ORDER BY id").columns(
                Note.id, Note.tenant_id, Note.name, Note.folder_id
            )
        ),
        select(Note)
        .where(Note.parent_id.is_(None))
        .suffix_with("UNION ALL SELECT id, name, folder_id, parent_id, tenant_id FROM note"),
        select(Note).from_statement(text("UPDATE note SET name = name RETURNING *")),
    ],
    ids=["text", "columns", "suffix", "returning"],
)
@pytest.mark.parametrize("late", [False, True])
def test_foreign_object_from_text(database: Database, statement: Any, late: bool) -> None:
    """No object of another tenant gets into the session, and none can be asked for by key."""
    with database.factory(OWN) as session:
        with TRIED(session):
            result = session.scalars(statement, execution_options={"yield_per": 1})
            assert next(result).tenant_id == OWN
            if not late:
                with pytest.raises(CrossTenantError):
                    result.all()
        if late:
            with pytest.raises(CrossTenantError):
                result.all()
        for instance in session:
            assert isinstance(instance, Note)
            assert instance.tenant_id == OWN
        for name in ("foreign_note", "foreign_child", "foreign_crossing"):
            assert session.get(Note, database.ids[name]) is None


def test_own_objects_from_text(database: Database) -> None:
    """Own objects from text are objects like any other, after the block too."""
    own = text("SELECT * FROM note WHERE tenant_id = :tenant ORDER BY id")
    with database.factory(OWN) as session:
        with TRIED(session):
            query = select(Note).from_statement(own)
            first = session.scalars(query, {"tenant": OWN}).first()
        assert first is not None
        assert [tag.name for tag in first.tags] == ["own tag"]
        first.name = "changed"
        session.commit()
        assert session.scalars(select(Note.name).where(Note.id == first.id)).one() == "changed"
        # Objects that do not show their tenant may still come from isolated queries.
        session.expunge_all()
        assert len(session.scalars(select(Note).options(load_only(Note.name))).all()) == 2


@pytest.mark.parametrize(
    "statement",
    [
        select(Note).from_statement(text("SELECT id, name, folder_id FROM note")),
        select(Note).from_statement(text("SELECT id, name FROM note").columns(Note.id, Note.name)),
        select(Comment).from_statement(text("SELECT * FROM comment")),
        select(Comment).suffix_with("UNION SELECT * FROM comment"),
        select(Note)
        .from_statement(text("SELECT * FROM note JOIN comment ON note_id = note.id"))
        .options(contains_eager(Note.comments)),
        select(Note).options(load_only(Note.name)).suffix_with("UNION SELECT id, name FROM note"),
        select(sa.orm.aliased(Comment)).suffix_with("UNION SELECT * FROM comment"),
    ],
    ids=["column_missing", "columns_missing", "no_column", "suffix", "eager", "partly", "alias"],
)
def test_objects_that_do_not_show_their_tenant(database: Database, statement: Any) -> None:
    """Objects are not made of rows of text that nothing proves to be the tenant's."""
    with database.factory(OWN) as session, TRIED(session):
        with pytest.raises(OpaqueSQLError) as caught:
            session.scalars(statement).all()
        assert caught.value.reason == "tenancy.unverifiable_object"
        assert not list(session)
        # The refusal has left nothing behind on the connection.
        assert len(session.execute(text("SELECT id, name FROM note")).all()) == 5


def test_legacy_query_and_alias(database: Database) -> None:
    """The older query, and an alias of a sub-query in text, are no ways around the comparison."""
    columns = text("SELECT * FROM note").columns(*table_of(Note).columns)
    alias = sa.orm.aliased(Note, columns.subquery())
    with database.factory(OWN) as session, TRIED(session):
        for attempt in (
            session.query(Note).from_statement(text("SELECT * FROM note")),
            session.query(alias),
            session.query(Note).from_statement(text("SELECT * FROM note")).populate_existing(),
        ):
            with pytest.raises(CrossTenantError):
                attempt.all()
        with pytest.raises(OpaqueSQLError):
            session.query(Comment).from_statement(text("SELECT * FROM comment")).all()
        assert session.get(Note, database.ids["foreign_note"]) is None


def test_parts_of_text_in_queries_for_objects(database: Database) -> None:
    """A condition in text is no reason to refuse objects, with whatever is loaded beside them."""
    with database.factory(OWN) as session, TRIED(session):
        query = select(Note).where(text("note.name LIKE 'own%'")).options(joinedload(Note.comments))
        assert len(session.scalars(query).unique().all()) == 2
        comments = session.scalars(select(Comment).where(text("1=1 OR 1=1"))).all()
        assert [comment.name for comment in comments] == ["own comment"]


# Asynchronous sessions.


async def test_async_session(factory: TenantSessionFactory) -> None:
    """A plain with is enough; statements, streams and run_sync() are inside of it."""
    async with factory(OWN) as session:
        with TRIED(session):
            assert len((await session.scalars(NAMES)).all()) == 5
            assert len(await session.run_sync(read)) == 5
            stream = await session.stream_scalars(NAMES)
            assert len(await stream.all()) == 5
            connection = await session.connection()
            assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1

            async def deeper() -> int:
                await asyncio.sleep(0)
                return len((await session.scalars(NAMES)).all())

            assert await deeper() == 5
        with pytest.raises(OpaqueSQLError):
            await session.scalars(NAMES)
        with pytest.raises(OpaqueSQLError):
            await session.run_sync(read)


async def test_block_inside_run_sync(factory: TenantSessionFactory) -> None:
    """A block may be opened in run_sync(), and ends there."""

    def run(session: Session) -> int:
        with TRIED(session):
            return len(read(session))

    async with factory(OWN) as session:
        assert await session.run_sync(run) == 5
        with pytest.raises(OpaqueSQLError):
            await session.scalars(NAMES)


async def test_other_tasks(factory: TenantSessionFactory) -> None:
    """Other tasks are outside of the block, also those that were begun in it."""
    async with factory(OWN) as session:

        async def look() -> str:
            try:
                await session.scalars(NAMES)
            except OpaqueSQLError:
                return "refused"
            return "let in"

        waiting = asyncio.ensure_future(asyncio.sleep(0))
        with TRIED(session):
            assert await asyncio.create_task(look()) == "refused"
            await waiting
            assert await look() == "let in"


async def test_tasks_in_turn(factory: TenantSessionFactory) -> None:
    """Tasks with blocks and tasks without, in turn, each get what is theirs."""

    async def work(number: int) -> bool:
        ends = []
        async with factory(OWN) as session:
            for _ in range(3):
                await asyncio.sleep(0)
                try:
                    if number % 2:
                        with TRIED(session):
                            await asyncio.sleep(0)
                            await session.scalars(NAMES)
                    else:
                        await session.scalars(NAMES)
                    ends.append(True)
                except OpaqueSQLError:
                    ends.append(False)
        return ends == [bool(number % 2)] * 3

    assert all(await asyncio.gather(*(work(number) for number in range(40))))


async def test_async_generator(factory: TenantSessionFactory) -> None:
    """An asynchronous generator lets text in while it runs, and not while its caller does."""

    async def names(session: Any) -> AsyncIterator[str]:
        with TRIED(session):
            for _ in range(2):
                async for name in await session.stream_scalars(NAMES):
                    yield name

    async with factory(OWN) as session:
        seen = 0
        async for _ in names(session):
            seen += 1
            if seen in {1, 7}:
                with pytest.raises(OpaqueSQLError):
                    await session.scalars(NAMES)
        assert seen == 10


async def test_cancelled_task(factory: TenantSessionFactory) -> None:
    """A task that is cancelled in its block leaves it closed."""
    async with factory(OWN) as session:

        async def hang() -> None:
            with TRIED(session):
                await session.scalars(NAMES)
                inside.set()
                await asyncio.Event().wait()

        inside = asyncio.Event()
        task = asyncio.create_task(hang())
        await inside.wait()
        with pytest.raises(OpaqueSQLError):
            await session.scalars(NAMES)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not session.sync_session.raw_blocks  # type: ignore[attr-defined]


# Declarations.


@pytest.mark.parametrize("reason", ["", "       ", "short", "x" * 201, "two\nlines of it", None, 9])
def test_reason(reason: Any) -> None:
    """A reason is one line of some length."""
    with pytest.raises(ConfigurationError, match="reason"):
        HIDDEN[0](reason)


def test_declared_in_a_function() -> None:
    """What a function declares is refused, with the place and the way to write it."""
    with pytest.raises(ConfigurationError, match="test_declared_in_a_function") as caught:
        HIDDEN[0]("declared too deep to be known")
    assert "top of a module" in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "unsafe_raw('run from text by exec()')",
        "(lambda: unsafe_raw('run from a lambda'))()",
        "class A:\n    def make():\n        return unsafe_raw('made in a method')\n    B = make()",
    ],
)
def test_declared_out_of_sight(source: str) -> None:
    """Text that is run, and functions that are called at the top, are no declarations either."""
    with pytest.raises(ConfigurationError):
        exec(source, {"unsafe_raw": unsafe_raw, "__name__": "made"})  # noqa: S102


def test_declared_in_a_class(tmp_path: Path) -> None:
    """The body of a class is as good as that of its module."""
    path = tmp_path / "repository.py"
    code = compile("class A:\n    RAW = unsafe_raw('for its own methods')", str(path), "exec")
    names: dict[str, Any] = {"unsafe_raw": unsafe_raw, "__name__": "repository"}
    exec(code, names)  # noqa: S102
    made = names["A"].RAW
    assert (made.module, made.file, made.line) == ("repository", str(path), 2)
    assert made in declared()


def test_declared_after_the_start(database: Database) -> None:
    """What was not there when the application started lets nothing in."""
    database.isolation.seal_raw_sql()
    late = UnsafeRaw("made behind its back", module="late", file="late.py", line=1)
    with database.factory(OWN) as session:
        with pytest.raises(OpaqueSQLError) as caught:
            late(session)
        assert caught.value.reason == "tenancy.raw_undeclared"
        with TRIED(session):
            read(session)
    assert database.sink.named("tenancy.refused")[-1].reason == "tenancy.raw_undeclared"


def test_sessions_of_nobody(database: Database) -> None:
    """A session that is not isolated needs no block, and gets none."""
    with Session(database.system) as session, pytest.raises(TypeError):
        TRIED(session)
    with pytest.raises(TypeError):
        TRIED(None)  # type: ignore[arg-type]


def test_scoped_session(database: Database) -> None:
    """A registry of sessions stands for the one that it gives."""
    sessions: Any = scoped_session(lambda: database.factory(OWN))  # type: ignore[arg-type]
    with TRIED(sessions):
        read(sessions)
    with pytest.raises(OpaqueSQLError):
        read(sessions)
    sessions.remove()


async def test_async_scoped_session(factory: TenantSessionFactory) -> None:
    """A registry of asynchronous sessions does as well."""
    sessions: Any = async_scoped_session(
        lambda: factory(OWN),  # type: ignore[arg-type]
        scopefunc=asyncio.current_task,
    )
    with TRIED(sessions):
        assert len((await sessions.scalars(NAMES)).all()) == 5
    await sessions.remove()


# Events.


def test_event(database: Database) -> None:
    """A block is one event: why, where, whose, how much, which, and that nothing holds it."""
    secret = "SELECT name FROM note WHERE name = 'secret'"
    with database.factory(OWN) as session, TRIED(session):
        for _ in range(3):
            read(session)
        session.execute(text(secret))
        session.execute(select(Note))
    [found] = database.sink.named("tenancy.raw_sql")
    assert found.reason == "tenancy.raw_sql"
    assert found.details["why"] == TRIED.reason
    assert found.details["declared"] == f"{__name__}:{TRIED.line}"
    assert found.details["used"].startswith(f"{__name__}:")
    assert (found.details["tenant"], found.details["statements"]) == (OWN, "4")
    assert found.details["held_by"] == "nothing"
    prints = found.details["fingerprints"].split(",")
    assert [len(each) for each in prints] == [12, 12]
    assert "secret" not in repr(found)


def test_no_event_for_nothing(database: Database) -> None:
    """A block that has let nothing in is no event."""
    with database.factory(OWN) as session, TRIED(session):
        session.execute(select(func.count()).select_from(Note))
        session.execute(insert(Tag).values(name="x"))
    assert database.sink.named("tenancy.raw_sql") == []


def test_block_without_an_end(database: Database) -> None:
    """A block of very many statements tells of itself each thousand, with few fingerprints."""
    with database.factory(OWN) as session, TRIED(session):
        connection = session.connection()
        for number in range(1001):
            connection.exec_driver_sql(f"SELECT {number}")
    found = database.sink.named("tenancy.raw_sql")
    assert [event.details["statements"] for event in found] == ["1000", "1"]
    assert found[0].details["fingerprints"].count(",") == 7


def test_no_way_by_the_compiled_cache(database: Database) -> None:
    """A cache of statements that the caller brings along lets nothing out of the block."""
    cache: dict[Any, Any] = {}
    options: Callable[[], dict[str, Any]] = lambda: {"compiled_cache": cache}  # noqa: E731
    with database.factory(OWN) as session:
        with TRIED(session):
            session.execute(NAMES, execution_options=options())
            session.execute(select(Note).where(text("1=1")), execution_options=options())
        for statement in (NAMES, select(Note).where(text("1=1"))):
            with pytest.raises(OpaqueSQLError):
                session.execute(statement, execution_options=options())
    with database.factory(FOREIGN) as session, pytest.raises(OpaqueSQLError):
        session.execute(NAMES, execution_options=options())
