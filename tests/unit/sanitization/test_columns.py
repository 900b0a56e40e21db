"""A column of rich text is sanitized by every way in, and says under which policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    MetaData,
    String,
    bindparam,
    create_engine,
    func,
    insert,
    inspect,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column
from sqlalchemy.schema import CreateTable

from stockade.core import SystemClock, TenantId
from stockade.errors import InvalidInputError
from stockade.events import EventLog, MemorySink
from stockade.sanitization import (
    HTMLPolicy,
    SanitizationError,
    UnsafePolicyError,
    find_policy,
    sanitize_html,
)
from stockade.sanitization.columns import (
    RichTextColumn,
    RichTextColumnError,
    RichTextTypeError,
    RichTextVersionError,
    outdated,
    rich_text_version,
)
from stockade.tenancy import Isolation, TenantScoped
from tests.servers import PostgresDatabase

TENANT = TenantId("tenant-1")
DIRTY = "<p onclick=x>a</p><script>alert(1)</script>"
CLEAN = "<p>a</p>"
STAMP = "article/2"


class Base(DeclarativeBase):
    pass


class Note(TenantScoped, Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(40))
    title: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[str | None] = mapped_column(RichTextColumn("article", length=200))
    body_policy: Mapped[str | None] = rich_text_version("body")
    summary: Mapped[str | None] = mapped_column("summary_html", RichTextColumn())
    summary_policy: Mapped[str | None] = rich_text_version("summary_html")


@dataclass(frozen=True)
class Write:
    """A way into the database, and what is in it then."""

    name: str
    write: Callable[[Session], object]
    body: str | None
    version: str | None
    isolated: bool = True


def flush(**values: Any) -> Callable[[Session], object]:  # noqa: ANN401 - whatever a model takes.
    """Write a new object."""

    def write(session: Session) -> None:
        session.add(Note(id=1, tenant_id=TENANT, **values))
        session.flush()

    return write


def change(*steps: Callable[[Note], object]) -> Callable[[Session], object]:
    """Write a clean object below a version of its own, then change it in steps."""

    def write(session: Session) -> None:
        session.add(Note(id=1, tenant_id=TENANT, body="old", body_policy="article/1"))
        session.flush()
        note = session.get_one(Note, 1)
        for step in steps:
            step(note)
            session.flush()

    return write


def assign(**values: object) -> Callable[[Note], object]:
    """Set attributes of an object."""

    def step(note: Note) -> None:
        for name, value in values.items():
            setattr(note, name, value)

    return step


def execute(
    make: Callable[[], Any],
    parameters: Any = None,  # noqa: ANN401 - what the Core takes
    *,
    old: bool = False,
) -> Callable[[Session], object]:
    """Execute a statement, on a row that is there or on none."""

    def write(session: Session) -> None:
        if old:
            flush(body="old", body_policy="article/1", title=DIRTY)(session)
        session.execute(make(), parameters)

    return write


def core(
    make: Callable[[], Any],
    parameters: Any = None,  # noqa: ANN401 - what the Core takes
    *,
    old: bool = False,
) -> Callable[[Session], object]:
    """Execute a statement below the ORM."""

    def write(session: Session) -> None:
        if old:
            flush(body="old", body_policy="article/1")(session)
        session.connection().execute(make(), parameters)

    return write


TABLE: Any = Note.__table__
ROW = {"id": 1, "tenant_id": TENANT}

WRITES = [
    Write("flush", flush(body=DIRTY), CLEAN, STAMP),
    Write("flush without", flush(title="a"), None, STAMP),
    Write("flush of an expression", flush(body=func.upper("x")), "X", None),
    Write(
        "insert of the ORM", execute(lambda: insert(Note).values(**ROW, body=DIRTY)), CLEAN, STAMP
    ),
    Write(
        "bulk insert of the ORM",
        execute(lambda: insert(Note), [{**ROW, "body": DIRTY}, {**ROW, "id": 2, "body": DIRTY}]),
        CLEAN,
        STAMP,
    ),
    Write("insert", core(lambda: insert(TABLE).values(**ROW, body=DIRTY)), CLEAN, STAMP),
    Write(
        "insert by parameters", core(lambda: insert(TABLE), {**ROW, "body": DIRTY}), CLEAN, STAMP
    ),
    Write(
        "executemany",
        core(lambda: insert(TABLE), [{**ROW, "body": DIRTY}, {**ROW, "id": 2, "body": "<b>x"}]),
        CLEAN,
        STAMP,
    ),
    Write(
        "insert of several rows",
        core(lambda: insert(TABLE).values([{**ROW, "body": DIRTY}, {**ROW, "id": 2, "body": ""}])),
        CLEAN,
        STAMP,
        isolated=False,
    ),
    Write(
        "insert of several rows, one computed",
        core(
            lambda: insert(TABLE).values(
                [{**ROW, "body": DIRTY}, {**ROW, "id": 2, "body": func.upper("x")}]
            )
        ),
        CLEAN,
        None,
        isolated=False,
    ),
    Write(
        "insert of a bound parameter",
        core(lambda: insert(TABLE).values(**ROW, body=bindparam("b")), {"b": DIRTY}),
        CLEAN,
        STAMP,
    ),
    Write(
        "insert of a literal of another type",
        core(lambda: insert(TABLE).values(**ROW, body=literal(DIRTY, String()))),
        DIRTY,
        None,
    ),
    Write(
        "insert of a literal of another policy",
        core(lambda: insert(TABLE).values(**ROW, body=literal(DIRTY, RichTextColumn("comment")))),
        CLEAN,
        None,
    ),
    Write(
        "insert of an expression",
        core(lambda: insert(TABLE).values(**ROW, body=literal("<s").concat("cript>"))),
        "<script>",
        None,
    ),
    Write(
        "insert from a select",
        core(
            lambda: insert(TABLE).from_select(
                ["id", "tenant_id", "body"], select(literal(1), literal("t"), literal("<script>"))
            )
        ),
        "<script>",
        None,
        isolated=False,
    ),
    Write("change", change(assign(body=DIRTY)), CLEAN, STAMP),
    Write("change to nothing", change(assign(body=None)), None, STAMP),
    Write("change of another attribute", change(assign(title="b")), "old", "article/1"),
    Write("two changes", change(assign(body=DIRTY), assign(title="b")), CLEAN, STAMP),
    Write("change to an expression", change(assign(body=func.upper("x"))), "X", None),
    Write(
        "a change after an expression",
        change(assign(body=func.upper("x")), assign(title="b")),
        "X",
        None,
    ),
    Write("update", execute(lambda: update(Note).values(body=DIRTY), old=True), CLEAN, STAMP),
    Write(
        "update by attribute",
        execute(lambda: update(Note).values({Note.body: DIRTY}), old=True),
        CLEAN,
        STAMP,
    ),
    Write(
        "update in order",
        execute(
            lambda: update(Note).ordered_values((Note.title, "b"), (Note.body, DIRTY)), old=True
        ),
        CLEAN,
        STAMP,
    ),
    Write(
        "update of another column",
        execute(lambda: update(Note).values(title="b"), old=True),
        "old",
        "article/1",
    ),
    Write(
        "update to another column's value",
        execute(lambda: update(Note).values(body=Note.title), old=True),
        DIRTY,
        None,
    ),
    Write(
        "update to null", execute(lambda: update(Note).values(body=null()), old=True), None, None
    ),
    Write(
        "bulk update by primary key",
        execute(lambda: update(Note), [{"id": 1, "body": DIRTY}], old=True),
        CLEAN,
        STAMP,
    ),
    Write(
        "update by parameters",
        core(
            lambda: update(TABLE).where(TABLE.c.id == bindparam("i")),
            [{"i": 1, "body": DIRTY}, {"i": 2, "body": ""}],
            old=True,
        ),
        CLEAN,
        STAMP,
    ),
    Write(
        "update of both",
        core(lambda: update(TABLE).values(title=DIRTY, body=DIRTY), old=True),
        CLEAN,
        STAMP,
    ),
    Write(
        "update inside a select",
        core(
            lambda: select(update(TABLE).values(body=DIRTY).returning(TABLE.c.id).cte("changed")),
            old=True,
        ),
        CLEAN,
        None,
        isolated=False,
    ),
]


def isolate(engine: Any) -> Isolation:  # noqa: ANN401 - both kinds of engine
    """Put tenant isolation in force on an engine."""
    isolation = Isolation(Base, events=EventLog([MemorySink()], clock=SystemClock()))
    isolation.install(engine)
    return isolation


def stored(session: Session) -> tuple[str | None, str | None]:
    """Return what is in the first row."""
    session.flush()
    row = session.execute(select(TABLE.c.body, TABLE.c.body_policy).where(TABLE.c.id == 1)).one()
    return row.body, row.body_policy


def run(session: Session, write: Write) -> None:
    """Write, and compare what is there then."""
    write.write(session)
    assert stored(session) == (write.body, write.version), write.name


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An empty SQLite database."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on an empty SQLite database."""
    with Session(engine) as session:
        yield session


def _name(write: Write) -> str:
    return write.name


# A changing statement in a WITH clause is PostgreSQL's.
@pytest.mark.parametrize("write", [w for w in WRITES if "inside" not in w.name], ids=_name)
def test_every_way_in(session: Session, write: Write) -> None:
    """A bound value is sanitized and recorded; an expression is recorded as unknown."""
    run(session, write)


ISOLATED = [write for write in WRITES if write.isolated]


@pytest.mark.parametrize("write", ISOLATED, ids=_name)
def test_every_way_in_under_isolation(engine: Engine, write: Write) -> None:
    """Tenant isolation and the column don't get into each other's way."""
    with isolate(engine).session_factory(engine)(TENANT) as session:
        run(session, write)


@pytest.fixture
def postgres(postgres_database: PostgresDatabase) -> Iterator[Engine]:
    """An empty PostgreSQL database."""
    engine = create_engine(postgres_database.psycopg_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.mark.postgres
def test_every_way_in_on_postgresql(postgres: Engine) -> None:
    """On PostgreSQL all ways end as they do on SQLite."""
    for write in WRITES:
        with Session(postgres) as session:
            run(session, write)


@pytest.fixture
async def factory(postgres: Engine, postgres_database: PostgresDatabase) -> AsyncIterator[Any]:
    """Sessions of tenants through asyncpg."""
    engine = create_async_engine(postgres_database.asyncpg_url)
    yield isolate(engine).session_factory(engine)
    await engine.dispose()


@pytest.mark.postgres
async def test_every_way_in_through_asyncpg(factory: Any) -> None:  # noqa: ANN401
    """The asynchronous driver and isolation change nothing."""
    for write in ISOLATED:
        async with factory(TENANT) as session:
            await session.run_sync(run, write)


def test_none_stays_none(session: Session) -> None:
    """A missing text is not an empty one."""
    flush(body=None)(session)
    assert stored(session) == (None, STAMP)


def test_reading_changes_nothing(session: Session) -> None:
    """What an older version of the application stored is read as it is stored."""
    flush(body="")(session)
    session.execute(text("UPDATE note SET body = :raw"), {"raw": DIRTY})
    session.expire_all()
    assert session.get_one(Note, 1).body == DIRTY


def test_each_text_has_its_own_version(session: Session) -> None:
    """Two texts of a table are recorded apart, also where an attribute has another name."""
    flush(body=DIRTY, summary=DIRTY)(session)
    session.execute(update(Note).values(summary=func.upper("x")))
    note = session.scalars(select(Note).execution_options(populate_existing=True)).one()
    assert (note.body_policy, note.summary_policy, note.summary) == (STAMP, None, "X")


@pytest.mark.parametrize("find", ["like", "equals", "concat"])
def test_what_is_compared_stays_as_it_is(session: Session, find: str) -> None:
    """A search for markup finds markup."""
    flush(body="")(session)
    session.execute(text("UPDATE note SET body = '<script>'"))
    condition = {
        "like": Note.body.like("%<script>%"),
        "equals": Note.body == "<script>",
        "concat": Note.body + "<b>" == "<script><b>",
    }[find]
    assert session.scalars(select(Note.id).where(condition)).all() == [1]


def upsert(dialect: Any, *, recorded: bool) -> Any:  # noqa: ANN401 - modules of SQLAlchemy
    """Return an upsert of a dirty text."""
    statement = dialect.insert(Note).values(**ROW, body=DIRTY)
    new = statement.excluded
    values = {"body": new.body, "body_policy": new.body_policy} if recorded else {"body": DIRTY}
    return statement.on_conflict_do_update(index_elements=["id"], set_=values)


@pytest.mark.parametrize("recorded", [False, True])
def test_an_upsert(session: Session, recorded: bool) -> None:
    """An upsert is sanitized, and recorded where its SET says so."""
    flush(body="old", body_policy="article/1")(session)
    session.execute(upsert(sqlite, recorded=recorded))
    assert stored(session) == (CLEAN, STAMP if recorded else "article/1")


@pytest.mark.postgres
def test_an_upsert_on_postgresql(postgres: Engine) -> None:
    """An upsert on PostgreSQL ends as on SQLite."""
    with Session(postgres) as session:
        flush(body="old", body_policy="article/1")(session)
        session.execute(upsert(postgresql, recorded=True))
        assert stored(session) == (CLEAN, STAMP)


def test_literals_in_sql_are_sanitized() -> None:
    """A statement with its values written out holds sanitized text."""
    statement = insert(TABLE).values(**ROW, title=None, summary_html=None, body=DIRTY)
    written = str(
        statement.compile(compile_kwargs={"literal_binds": True}, dialect=sqlite.dialect())
    )
    assert CLEAN in written
    assert "script" not in written


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"<p>{SECRET}" + "x" * 200, "sanitization.too_long"),
        (f"<p>{SECRET}" + "&" * 180, "sanitization.too_long"),
        (f"<p>{SECRET}\ud800</p>", "sanitization.not_unicode"),
    ],
    ids=["long", "grown", "surrogate"],
)
@pytest.mark.parametrize("door", ["flush", "insert", "update", "executemany"])
def test_refusals_repeat_nothing(session: Session, value: str, reason: str, door: str) -> None:
    """A value that can't be stored is refused with a reason, and is in no error or cause of it."""
    doors: dict[str, Callable[[], object]] = {
        "flush": lambda: flush(body=value)(session),
        "insert": lambda: session.execute(insert(Note).values(**ROW, body=value)),
        "update": lambda: session.execute(update(Note).values(body=value)),
        "executemany": lambda: session.execute(insert(Note), [{**ROW, "body": value}] * 2),
    }
    with pytest.raises(RichTextColumnError) as caught:
        doors[door]()
    assert caught.value.reason == reason
    assert isinstance(caught.value, InvalidInputError)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error!r} {error}"
        error = None if error.__suppress_context__ else error.__context__


def test_the_limit_is_that_of_the_column(session: Session) -> None:
    """The error says how long a value may be."""
    with pytest.raises(SanitizationError) as caught:
        flush(body="x" * 201)(session)
    assert caught.value.limit == 200
    session.rollback()
    flush(body="x" * 200)(session)


def test_complex_values_are_refused(session: Session) -> None:
    """What can't be sanitized within bounds of work is not stored."""
    with pytest.raises(RichTextColumnError) as caught:
        flush(summary="<div>" * 10_000)(session)
    assert caught.value.reason == "sanitization.too_complex"


@pytest.mark.parametrize("value", [5, b"<script>", ["<script>"]], ids=["int", "bytes", "list"])
def test_only_text_is_stored(session: Session, value: object) -> None:
    """A value that is no text is refused without being repeated."""
    with pytest.raises(RichTextTypeError) as caught:
        flush(body=value)(session)
    assert isinstance(caught.value, TypeError)
    assert "script" not in str(caught.value)


@given(st.text(max_size=60))
def test_column_and_function_agree(value: str) -> None:
    """A column stores what the function returns, and refuses what the function refuses."""
    column, dialect = RichTextColumn(length=60), sqlite.dialect()
    try:
        expected = sanitize_html(value)
    except SanitizationError as error:
        reason = error.reason
    else:
        if len(expected) <= 60:
            assert column.process_bind_param(value, dialect) == expected
            assert column.process_bind_param(expected, dialect) == expected
            return
        reason = "sanitization.too_long"
    with pytest.raises(RichTextColumnError) as caught:
        column.process_bind_param(value, dialect)
    assert caught.value.reason == reason


def identifiers(session: Session, condition: Any) -> list[int]:  # noqa: ANN401
    """Return the ids of the notes for which a condition holds."""
    return list(session.scalars(select(Note.id).where(condition).order_by(Note.id)))


def fill(session: Session) -> None:
    """Write one note of each kind of version."""
    for key, (body, version) in enumerate(
        [("a", STAMP), ("b", "article/1"), ("c", None), ("d", "default/2"), (None, None)], start=1
    ):
        session.add(Note(id=key, tenant_id=TENANT, body=body))
        session.flush()
        session.execute(update(Note).where(Note.id == key).values(body_policy=version))


def test_outdated_texts_are_found(session: Session) -> None:
    """Text of an older version, another policy or unknown origin is found; none is not."""
    fill(session)
    assert identifiers(session, outdated(Note.body)) == [2, 3, 4]
    assert session.scalars(select(TABLE.c.id).where(outdated(TABLE.c.body))).all() == [2, 3, 4]


def test_outdated_texts_of_an_alias_are_found(session: Session) -> None:
    """The condition follows the alias."""
    fill(session)
    note = aliased(Note)
    query = select(note.id).where(outdated(note.body), note.id > 2)
    assert session.scalars(query).all() == [3, 4]


def test_outdated_texts_are_found_under_isolation(engine: Engine) -> None:
    """The condition is understood by tenant isolation, and stays within the tenant."""
    with Session(engine) as session:
        fill(session)
        session.add(Note(id=9, tenant_id="tenant-2", body=func.upper("x")))
        session.commit()
    with isolate(engine).session_factory(engine)(TENANT) as session:
        assert identifiers(session, outdated(Note.body)) == [2, 3, 4]


def test_outdated_texts_are_written_again(session: Session) -> None:
    """Writing a text to its own column sanitizes it and brings its version up to date."""
    flush(body="")(session)
    session.execute(text("UPDATE note SET body = :raw, body_policy = 'article/1'"), {"raw": DIRTY})
    key, body = session.execute(select(Note.id, Note.body).where(outdated(Note.body))).one()
    session.execute(update(Note).where(Note.id == key, Note.body == body).values(body=body))
    assert stored(session) == (CLEAN, STAMP)
    assert identifiers(session, outdated(Note.body)) == []


def test_an_older_process_is_seen(engine: Engine) -> None:
    """While a release rolls out, what an older process writes is outdated for the newer one."""

    class Newer(DeclarativeBase):
        pass

    class NewerNote(Newer):
        __tablename__ = "note"

        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[str | None] = mapped_column(
            RichTextColumn(replace(find_policy("article"), version=3), length=200)
        )
        body_policy: Mapped[str | None] = rich_text_version("body")

    with Session(engine) as session:
        flush(body="a")(session)
        session.execute(update(NewerNote).values(body="b"))
        assert session.scalars(select(NewerNote.id).where(outdated(NewerNote.body))).all() == []
        session.execute(update(Note).values(body="c"))
        assert session.scalars(select(NewerNote.id).where(outdated(NewerNote.body))).all() == [1]


class Wrong(DeclarativeBase):
    pass


class Misnamed(Wrong):
    __tablename__ = "misnamed"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(RichTextColumn())
    version: Mapped[str | None] = rich_text_version("text")


class Plain(Wrong):
    __tablename__ = "plain"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]
    version: Mapped[str | None] = rich_text_version("body")


class Endless(Wrong):
    __tablename__ = "endless"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(
        RichTextColumn(HTMLPolicy(name="x" * 100, tags=frozenset({"p"})))
    )
    version: Mapped[str | None] = rich_text_version("body")


@pytest.mark.parametrize("model", [Misnamed, Plain, Endless])
def test_wrong_version_columns_are_refused(model: Any) -> None:  # noqa: ANN401 - any model
    """A version column that can't work lets no row be written, and repeats nothing of it."""
    engine = create_engine("sqlite://")
    Wrong.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(model(body=SECRET))
        with pytest.raises(RichTextVersionError) as caught:
            session.flush()
        session.rollback()
        with pytest.raises(RichTextVersionError):
            session.execute(update(model).values(body=SECRET))
    engine.dispose()
    assert SECRET not in str(caught.value)
    with pytest.raises(UnsafePolicyError):
        outdated(model.body)


def test_a_column_without_a_version_has_no_condition() -> None:
    """Nobody is told that nothing is outdated where nothing is recorded."""
    with pytest.raises(RichTextVersionError):
        outdated(Note.title)


@pytest.mark.parametrize("length", [0, -1, 1_000_001])
def test_lengths_are_bounded(length: int) -> None:
    """A column has a length that its policy takes."""
    with pytest.raises(UnsafePolicyError):
        RichTextColumn(length=length)


def test_unknown_policies_stop_the_start() -> None:
    """A misspelt policy fails when the model is defined."""
    with pytest.raises(UnsafePolicyError):
        RichTextColumn("no such policy")


@pytest.mark.parametrize("dialect", [sqlite.dialect, postgresql.dialect], ids=["sqlite", "pg"])
def test_the_database_bounds_the_column_too(dialect: type[Dialect]) -> None:
    """A column with a length is a VARCHAR of that length."""
    ddl = str(CreateTable(TABLE).compile(dialect=dialect()))
    assert "body VARCHAR(200)" in ddl
    assert "summary_html TEXT" in ddl


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """Return what Alembic would migrate."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def test_alembic_sees_no_change(engine: Engine) -> None:
    """Tables that are as the models say need no migration."""
    with engine.connect() as connection:
        assert differences(connection, Base.metadata) == []


@pytest.mark.postgres
def test_alembic_sees_no_change_on_postgresql(postgres: Engine) -> None:
    """Tables that are as the models say need no migration."""
    with postgres.connect() as connection:
        assert differences(connection, Base.metadata) == []


def test_alembic_sees_another_length(engine: Engine) -> None:
    """A changed length is migrated."""

    class Longer(DeclarativeBase):
        pass

    class LongerNote(Longer):
        __tablename__ = "misnamed"

        id: Mapped[int] = mapped_column(primary_key=True)
        body: Mapped[str] = mapped_column(RichTextColumn(length=300))

    with engine.connect() as connection:
        connection.execute(
            text("CREATE TABLE misnamed (id INTEGER PRIMARY KEY, body VARCHAR(200) NOT NULL)")
        )
        kinds = [d[0][0] for d in differences(connection, Longer.metadata) if isinstance(d, list)]
        assert "modify_type" in kinds


def test_migrations_need_no_policy() -> None:
    """What Alembic writes for a column makes the same column, whatever its policy is called."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        operations = produce_migrations(context, Base.metadata).upgrade_ops
        assert operations is not None
        written = render_python_code(operations)
    engine.dispose()
    assert "stockade.sanitization.columns.RichTextColumn(length=200)" in written
    assert "sa.Column('body_policy', sa.String(length=100), nullable=True)" in written


def test_the_version_is_read_again_after_an_update(session: Session) -> None:
    """The object of the ORM shows what the database holds."""
    flush(body="a", body_policy="article/1")(session)
    note = session.get_one(Note, 1)
    note.body = DIRTY
    session.flush()
    assert "body_policy" in inspect(note).expired_attributes
    assert note.body_policy == STAMP
