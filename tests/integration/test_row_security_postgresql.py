"""Row-level security keeps tenants apart on a real PostgreSQL, with and without our compiler."""

# SQL is written with our own numbers.
# ruff: noqa: S608
from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from stockade.core import SystemClock, TenantId
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.storage.sql.row_security import find_head, write_file
from stockade.tenancy import (
    CrossTenantError,
    Isolation,
    OpaqueSQLError,
    TenancyError,
    TenancySettings,
)
from stockade.tenancy.migration import write_migration
from stockade.tenancy.row_security import POLICY, write_policies
from stockade.tenancy.transactions import TenantTransaction
from stockade.testing import assert_isolated, assert_isolated_async
from tests.integration.demo_server import ROOT, demo_environment
from tests.servers import PostgresDatabase
from tests.unit.tenancy.attacks import ATTACKS, Attack
from tests.unit.tenancy.models import FOREIGN, OWN, Base, Comment, Note, Tag, foreign_state, seed

pytestmark = pytest.mark.postgres

Mode = Literal["on", "raw_sql"]


@dataclass(frozen=True)
class Walled:
    """A database with all tables and policies, and the ways to it."""

    database: PostgresDatabase
    role: str
    admin: Engine

    def isolate(self, mode: Mode = "on") -> Isolation:
        """Build the isolation of the tables, with row-level security."""
        log = EventLog([MemorySink()], clock=SystemClock())
        settings = TenancySettings(row_level_security=mode, role=self.role)
        return Isolation(Base, settings=settings, events=log)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Connect as the ordinary role, which owns the tables."""
        engine = create_engine(self.database.psycopg_url)
        try:
            yield engine
        finally:
            engine.dispose()

    def execute(self, *statements: str) -> None:
        """Run statements as the administrator."""
        with self.admin.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def refill(self) -> dict[str, int]:
        """Put the database back to two tenants with a few rows each."""
        names = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
        self.execute(f"TRUNCATE {names} RESTART IDENTITY")
        with Session(self.admin) as session:
            return seed(session)

    def foreign_state(self) -> list[object]:
        """Look at the other tenant's rows from above."""
        with self.admin.connect() as connection:
            return foreign_state(connection)


@pytest.fixture
def walled(postgres_database: PostgresDatabase) -> Iterator[Walled]:
    """Tables of the ordinary role, with policies, and a role for the tenants."""
    role = f"stockade_tenants_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        connection.execute(
            sql.SQL("GRANT {} TO {}").format(
                sql.Identifier(role), sql.Identifier(postgres_database.role)
            )
        )
    owner = create_engine(postgres_database.psycopg_url)
    Base.metadata.create_all(owner)
    plan = Isolation(Base, events=EventLog([MemorySink()], clock=SystemClock())).plan
    with owner.begin() as connection:
        for statement in write_policies(plan.tables, role=role).upgrade:
            connection.exec_driver_sql(statement)
    owner.dispose()
    admin = create_engine(postgres_database.admin_dsn.replace("://", "+psycopg://", 1))
    yield Walled(postgres_database, role, admin)
    with admin.begin() as connection:
        connection.exec_driver_sql(f'DROP OWNED BY "{role}" CASCADE')
        connection.exec_driver_sql(f'DROP ROLE "{role}"')
    admin.dispose()


@pytest.fixture
async def asynchronous(walled: Walled) -> AsyncIterator[AsyncEngine]:
    """An asyncpg engine as the ordinary role."""
    engine = create_async_engine(walled.database.asyncpg_url)
    yield engine
    await engine.dispose()


def attempt(session: Session, attack: Attack, ids: dict[str, int]) -> str:
    """Run an attack, commit what it left, and say how it ended."""
    ending = "filtered"
    try:
        if "foreign" in repr(attack.run(session, ids)):
            ending = "leaked"
    except TenancyError:
        ending = "refused"
    except SQLAlchemyError:
        ending = "error"
        session.rollback()
    except Exception:  # noqa: BLE001 - a driver's own error of a statement it can't take.
        ending = "error"
        session.rollback()
    if session.is_active:
        try:
            session.commit()
        except SQLAlchemyError:
            session.rollback()
    return ending


def run_attacks(walled: Walled, engine: Engine, isolation: Isolation) -> dict[str, str]:
    """Return how each attack ended."""
    isolation.install(engine)
    factory = isolation.session_factory(engine)
    endings = {}
    for attack in ATTACKS:
        ids = walled.refill()
        before = walled.foreign_state()
        with factory(OWN) as session:
            endings[attack.name] = attempt(session, attack, ids)
        if walled.foreign_state() != before:
            endings[attack.name] = "changed"
    return endings


def test_attacks_with_both_walls(walled: Walled) -> None:
    """Every attack ends as it does without policies, or in an error of the database."""
    with walled.engine() as engine:
        endings = run_attacks(walled, engine, walled.isolate())
    expected = {attack.name: attack.ending for attack in ATTACKS}
    assert {name: end for name, end in endings.items() if end != expected[name]} == {}


def test_attacks_with_sql_text(walled: Walled) -> None:
    """With SQL text let in, nothing leaks and nothing foreign changes."""
    with walled.engine() as engine:
        endings = run_attacks(walled, engine, walled.isolate("raw_sql"))
    assert {n for n, end in endings.items() if end in {"leaked", "changed"}} == set()
    assert endings["opaque_text"] == endings["driver_sql"] == "filtered"
    assert endings["opaque_set_config"] == endings["opaque_drop"] == "refused"


def test_catalogue(walled: Walled) -> None:
    """No way of the catalogue leaks, not even the driver's own cursor."""
    with walled.engine() as engine:
        isolation = walled.isolate("raw_sql")
        isolation.install(engine)
        assert_isolated(Base, isolation.session_factory(engine), driver=True)


async def test_catalogue_through_asyncpg(walled: Walled, asynchronous: AsyncEngine) -> None:
    """The asynchronous driver is as tight."""
    isolation = walled.isolate("raw_sql")
    isolation.install(asynchronous)
    await assert_isolated_async(Base, isolation.session_factory(asynchronous))


def test_catalogue_without_our_compiler(walled: Walled) -> None:
    """The policies alone keep plain sessions of SQLAlchemy apart, once they say whose they are."""

    class Told(Session):
        pass

    @event.listens_for(Told, "after_begin")
    def _tell(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
        TenantTransaction(walled.role).enter(connection, session.info["tenant"])

    with walled.engine() as engine, pytest.raises(AssertionError) as caught:
        assert_isolated(Base, lambda tenant: Told(engine, info={"tenant": tenant}), driver=True)
    leaks = [line for line in str(caught.value).splitlines() if ": returned" in line]
    ways = {way for line in leaks for way in line.rsplit(": ", 1)[1].split(", ")}
    # What nobody asks the database for, it can't refuse.
    assert ways == {"objects_add_loaded_elsewhere", "objects_merge_unloaded"}
    assert ": changed" not in str(caught.value)
    assert ": broken" not in str(caught.value)


def test_nobody_without_a_tenant(walled: Walled) -> None:
    """A connection that says nothing, or that an earlier transaction left, sees no row."""
    walled.refill()
    with walled.engine() as engine, engine.connect() as connection:
        for _ in range(2):
            assert connection.execute(select(func.count()).select_from(Note)).scalar() == 0
            connection.rollback()
            TenantTransaction(walled.role).enter(connection, OWN)
            assert connection.execute(select(func.count()).select_from(Note)).scalar() == 2
            connection.commit()
        assert connection.exec_driver_sql("SELECT current_user").scalar() == walled.database.role


def test_pool_carries_nothing(walled: Walled) -> None:
    """The one connection of a pool serves two tenants in turn, through errors and savepoints."""
    walled.refill()
    engine = create_engine(walled.database.psycopg_url, pool_size=1, max_overflow=0)
    isolation = walled.isolate("raw_sql")
    isolation.install(engine)
    factory = isolation.session_factory(engine)
    query = text("SELECT DISTINCT tenant_id FROM note")
    for tenant in (OWN, FOREIGN) * 3:
        with factory(tenant) as session:
            assert session.scalars(query).all() == [tenant]
            with pytest.raises(DBAPIError), session.begin_nested():
                session.execute(text("SELECT 1/0"))
            assert session.scalars(query).all() == [tenant]
            session.commit()
            assert session.scalars(query).all() == [tenant]
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "SET stockade.tenant_id = 'tenant-foreign'",
        "RESET ROLE",
        "SELECT 1; RESET ROLE",
        "SELECT set_config('stockade.tenant_id', 'tenant-foreign', false)",
        "SELECT pg_catalog.\"set_config\" ('role', 'none', true)",
        "SELECT set_config/**/('role', 'none', true)",
        "SELECT U&\"set\\005fconfig\"('role', 'none', true)",
        "UPDATE pg_settings SET setting = 'none' WHERE name = 'role'",
        "DO $$ BEGIN PERFORM set_config('role', 'none', true); END $$",
        "ALTER TABLE note DISABLE ROW LEVEL SECURITY",
        "COMMIT",
        "EXECUTE something",
        "SELECT query_to_xml('SELECT * FROM note', true, true, '')",
    ],
)
def test_text_that_changes_who_asks(walled: Walled, statement: str) -> None:
    """SQL text that would change tenant, role or transaction is refused both ways."""
    with walled.engine() as engine:
        isolation = walled.isolate("raw_sql")
        isolation.install(engine)
        with isolation.session_factory(engine)(OWN) as session:
            with pytest.raises(OpaqueSQLError):
                session.execute(text(statement.replace(":", r"\:")))
            with pytest.raises(OpaqueSQLError):
                session.connection().exec_driver_sql(statement)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_transaction_ended_on_the_connection(walled: Walled, end: str) -> None:
    """Whoever ends the session's transaction below it, goes on as the same tenant and role."""
    walled.refill()
    with walled.engine() as engine:
        isolation = walled.isolate("raw_sql")
        isolation.install(engine)
        with isolation.session_factory(engine)(OWN) as session:
            connection = session.connection()
            for _ in range(3):
                getattr(connection, end)()
                assert connection.execute(text("SELECT current_user")).scalar() == walled.role
                rows = connection.execute(text("SELECT DISTINCT tenant_id FROM note"))
                assert rows.scalars().all() == [OWN]


def test_autocommit_on_a_connection(walled: Walled) -> None:
    """Without transactions the tenant and the role would be forgotten at once."""
    with walled.engine() as engine:
        isolation = walled.isolate("raw_sql")
        isolation.install(engine)
        options = {"isolation_level": "AUTOCOMMIT"}
        with isolation.session_factory(engine)(OWN) as session:
            with pytest.raises(OpaqueSQLError) as caught:
                session.connection(execution_options=options)
            assert caught.value.reason == "tenancy.autocommit"
    engine = create_engine(walled.database.psycopg_url, isolation_level="AUTOCOMMIT")
    isolation = walled.isolate("raw_sql")
    isolation.install(engine)
    with isolation.session_factory(engine)(OWN) as session, pytest.raises(OpaqueSQLError):
        session.execute(text("SELECT 1"))
    engine.dispose()


async def test_autocommit_through_asyncpg(walled: Walled, asynchronous: AsyncEngine) -> None:
    """The asynchronous driver's way to do without transactions is closed as well."""
    isolation = walled.isolate("raw_sql")
    isolation.install(asynchronous)
    async with isolation.session_factory(asynchronous)(OWN) as session:
        with pytest.raises(OpaqueSQLError):
            await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})


async def test_transaction_ended_through_asyncpg(walled: Walled, asynchronous: AsyncEngine) -> None:
    """The asynchronous driver goes on as the same tenant and role too."""
    walled.refill()
    isolation = walled.isolate("raw_sql")
    isolation.install(asynchronous)
    async with isolation.session_factory(asynchronous)(OWN) as session:
        connection = await session.connection()
        await connection.commit()
        assert (await connection.execute(text("SELECT current_user"))).scalar() == walled.role
        rows = await connection.execute(text("SELECT DISTINCT tenant_id FROM note"))
        assert rows.scalars().all() == [OWN]


def test_text_works(walled: Walled) -> None:
    """SQL text reads and writes the tenant's rows, with parameters, and loads objects."""
    walled.refill()
    with walled.engine() as engine:
        isolation = walled.isolate("raw_sql")
        isolation.install(engine)
        with isolation.session_factory(engine)(OWN) as session:
            named = text("SELECT * FROM note WHERE name LIKE :pattern ORDER BY id")
            notes = session.scalars(select(Note).from_statement(named), {"pattern": "%note"}).all()
            assert [note.name for note in notes] == ["own note"]
            changed: Any = session.execute(text("UPDATE tag SET name = 'x'"))
            assert changed.rowcount == 1
            assert session.scalars(select(Tag.name).where(text("1=1 OR 1=1"))).all() == ["x"]
            raw = session.connection().exec_driver_sql("SELECT count(*) FROM note")
            assert raw.scalar() == 2


def test_text_can_not_cross(walled: Walled) -> None:
    """What SQL text writes belongs to the tenant, and so does what it points to."""
    ids = walled.refill()
    before = walled.foreign_state()
    with walled.engine() as engine:
        isolation = walled.isolate("raw_sql")
        isolation.install(engine)
        factory = isolation.session_factory(engine)
        for statement in (
            "INSERT INTO tag (name, tenant_id) VALUES ('x', 'tenant-foreign')",
            "UPDATE tag SET tenant_id = 'tenant-foreign'",
            f"UPDATE note SET folder_id = {ids['foreign_folder']}",
            f"UPDATE note SET parent_id = {ids['foreign_note']}",
            f"INSERT INTO comment (name, note_id) VALUES ('x', {ids['foreign_note']})",
            f"INSERT INTO note_tag VALUES ({ids['own_child']}, {ids['foreign_tag']})",
            f"UPDATE reaction SET comment_id = {ids['foreign_comment']}",
        ):
            with factory(OWN) as session, pytest.raises(CrossTenantError) as caught:
                session.execute(text(statement))
            assert caught.value.reason == "tenancy.row_security"
            assert "tenant-foreign" not in str(caught.value)
    assert walled.foreign_state() == before


async def test_policies_refuse_through_asyncpg(walled: Walled, asynchronous: AsyncEngine) -> None:
    """The refusal of a policy is one of ours; a missing grant, of the same code, is none."""
    isolation = walled.isolate("raw_sql")
    isolation.install(asynchronous)
    factory = isolation.session_factory(asynchronous)
    async with factory(OWN) as session:
        with pytest.raises(CrossTenantError):
            await session.execute(
                text("INSERT INTO tag (name, tenant_id) VALUES ('x', 'tenant-foreign')")
            )
        await session.rollback()
        with pytest.raises(DBAPIError) as caught:
            await session.execute(text("SELECT rolpassword FROM pg_authid"))
        assert "row-level" not in str(caught.value)
        await session.rollback()
        assert await session.scalar(select(func.count()).select_from(Tag)) is not None


def test_reference_that_vanishes_meanwhile(walled: Walled) -> None:
    """What another transaction deletes between our look-up and the write is a refusal, no fault."""
    ids = walled.refill()
    with walled.engine() as engine:
        isolation = walled.isolate("on")
        isolation.install(engine)

        @event.listens_for(engine, "before_cursor_execute")
        def delete_first(*arguments: Any) -> None:  # noqa: ANN401 - the signature of the event
            if str(arguments[2]).startswith("INSERT INTO comment"):
                walled.execute(f"DELETE FROM note WHERE id = {free}")

        with isolation.session_factory(engine)(OWN) as session:
            note = Note(name="free", folder_id=ids["own_folder"])
            session.add(note)
            session.commit()
            free = note.id
            with pytest.raises(CrossTenantError) as caught:
                session.execute(insert(Comment).values(name="x", note_id=free))
            assert caught.value.reason == "tenancy.row_security"
            session.rollback()
            assert session.get(Note, free) is None


@pytest.mark.parametrize("mode", ["on", "raw_sql"])
async def test_start_verifies(walled: Walled, asynchronous: AsyncEngine, mode: Mode) -> None:
    """The start accepts what the migration made, through both drivers, and leaves nothing."""
    isolation = walled.isolate(mode)
    isolation.install(asynchronous)
    await isolation.canary(asynchronous)
    with walled.engine() as engine:
        other = walled.isolate(mode)
        other.install(engine)
        await other.canary(engine)
    with walled.admin.connect() as connection:
        count = "SELECT count(*) FROM pg_class WHERE starts_with(relname, 'stockade_canary')"
        assert connection.exec_driver_sql(count).scalar() == 0


BREACHES = {
    "superuser": ("ALTER ROLE {role} SUPERUSER", "superuser"),
    "bypass": ("ALTER ROLE {role} BYPASSRLS", "BYPASSRLS"),
    "disabled": ("ALTER TABLE note DISABLE ROW LEVEL SECURITY", "not enabled for note"),
    "owner": (
        "ALTER TABLE note NO FORCE ROW LEVEL SECURITY; ALTER TABLE note OWNER TO {role}",
        "owns note",
    ),
    "no_policy": ("DROP POLICY stockade_tenant ON comment", "comment has no policy"),
    "one_command": (
        "DROP POLICY {p} ON tag; CREATE POLICY {p} ON tag FOR SELECT USING (true)",
        "tag has no policy",
    ),
    "one_role": ("ALTER POLICY stockade_tenant ON tag TO {role}", "tag has no policy"),
    "no_check": ("DROP POLICY stockade_update ON note", "note has no policy stockade_update"),
    "other_models": ("COMMENT ON POLICY stockade_tenant ON note_tag IS NULL", "other models"),
    "widened": ("CREATE POLICY opener ON note USING (true)", "opener"),
    "missing": ("DROP TABLE reaction", "reaction is not in the database"),
    "view": (
        "DROP TABLE reaction; CREATE VIEW reaction AS SELECT * FROM comment",
        "reaction is no table",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
async def test_start_finds_breaches(walled: Walled, breach: str) -> None:
    """Whatever takes the role or a table from under the policies stops the start."""
    statement, expected = BREACHES[breach]
    walled.execute(statement.format(role=walled.role, p=POLICY))
    with walled.engine() as engine:
        isolation = walled.isolate()
        isolation.install(engine)
        with pytest.raises(ConfigurationError, match=expected):
            await isolation.canary(engine)


async def test_restrictive_policies_may_be_added(walled: Walled) -> None:
    """A policy that only narrows is no breach."""
    walled.execute("CREATE POLICY narrower ON note AS RESTRICTIVE USING (name <> '')")
    with walled.engine() as engine:
        isolation = walled.isolate()
        isolation.install(engine)
        await isolation.canary(engine)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE accounts (id int); GRANT SELECT ON accounts TO {role}",
        "CREATE TABLE accounts (id int, name text); GRANT SELECT (name) ON accounts TO {role}",
        "CREATE VIEW everything AS SELECT * FROM note; GRANT SELECT ON everything TO {role}",
    ],
    ids=["table", "column", "view"],
)
async def test_text_reaches_no_other_table(walled: Walled, statement: str) -> None:
    """With SQL text let in, a right on a table that isolation does not know stops the start."""
    walled.execute(statement.format(role=walled.role))
    with walled.engine() as engine:
        isolation = walled.isolate("raw_sql")
        isolation.install(engine)
        with pytest.raises(ConfigurationError, match="does not know"):
            await isolation.canary(engine)
    with walled.engine() as engine:
        isolation = walled.isolate("on")
        isolation.install(engine)
        await isolation.canary(engine)


async def test_role_that_is_not_granted(walled: Walled, asynchronous: AsyncEngine) -> None:
    """A role that can't be taken on stops the start, and a session that needs it."""
    settings = TenancySettings(row_level_security="on", role="nobody_knows")
    log = EventLog([MemorySink()], clock=SystemClock())
    isolation = Isolation(Base, settings=settings, events=log)
    with walled.engine() as engine:
        isolation.install(engine)
        with pytest.raises(ConfigurationError):
            await isolation.canary(engine)
        with isolation.session_factory(engine)(OWN) as session, pytest.raises(DBAPIError):
            session.execute(select(Note))
    other = Isolation(Base, settings=settings, events=log)
    other.install(asynchronous)
    with pytest.raises(ConfigurationError):
        await other.canary(asynchronous)


async def test_connection_that_is_gone(walled: Walled, asynchronous: AsyncEngine) -> None:
    """A connection that the server has ended is an error of SQLAlchemy's, and is not used again."""
    walled.refill()
    isolation = walled.isolate()
    isolation.install(asynchronous)
    factory = isolation.session_factory(asynchronous)
    async with factory(OWN) as session:
        await session.execute(select(Note))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'"
    walled.execute(ended.format(walled.database.role))
    async with factory(OWN) as session:
        with pytest.raises(DBAPIError):
            await session.execute(select(Note))
    async with factory(OWN) as session:
        assert len((await session.scalars(select(Note))).all()) == 2


START = """
import asyncio, json
from fastapi import FastAPI
from stockade import Settings, Stockade
from stockade.errors import ConfigurationError
from stockade.storage.sql import make_engine, upgrade_schema
from tests.unit.tenancy.models import Base

async def main():
    settings = Settings()
    engine = make_engine(settings.database_url.get_secret_value())
    await upgrade_schema(engine)
    await engine.dispose()
    stockade = Stockade(settings, models=[Base])
    stockade.install(FastAPI())
    try:
        print(json.dumps(await stockade.start()))
    except ConfigurationError as error:
        print(json.dumps({"refused": str(error)}))
    finally:
        await stockade.stop()

asyncio.run(main())
"""


def start(walled: Walled, folder: Path, **tenancy: str) -> dict[str, str]:
    """Start an application on the database, in a process that has no other models."""
    given = {f"STOCKADE_TENANCY__{name}": value for name, value in tenancy.items()}
    given |= {
        "DATABASE_URL": walled.database.dsn,
        "STOCKADE_ENVIRONMENT": "test",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
    }
    run = subprocess.run(
        [sys.executable, "-c", START],
        env=demo_environment(folder, given),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_application_says_so(walled: Walled, tmp_path: Path) -> None:
    """The start of an application verifies the policies, and says what is in force."""
    found = start(walled, tmp_path, ROW_LEVEL_SECURITY="raw_sql", ROLE=walled.role)
    assert walled.role in found["row_level_security"]
    assert "allowed" in found["row_level_security"]
    found = start(walled, tmp_path, ROW_LEVEL_SECURITY="on")
    assert "refused" in found["row_level_security"]


def test_application_keeps_text_from_its_accounts(walled: Walled, tmp_path: Path) -> None:
    """Without a role of its own, SQL text of a tenant would reach Stockade's own tables."""
    found = start(walled, tmp_path, ROW_LEVEL_SECURITY="raw_sql")
    assert "stockade_users" in found["refused"]


def test_application_without_policies(walled: Walled, tmp_path: Path) -> None:
    """An application whose migration was not run does not start."""
    walled.execute("ALTER TABLE tag DISABLE ROW LEVEL SECURITY")
    found = start(walled, tmp_path, ROW_LEVEL_SECURITY="on", ROLE=walled.role)
    assert "stockade db rls" in found["refused"]


ENVIRONMENT = """
from alembic import context
context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""


def test_migration(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    """The written migration runs up, twice over, and down again, on both drivers' server."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENVIRONMENT, encoding="utf-8")
    plan = Isolation(Base, events=EventLog([MemorySink()], clock=SystemClock())).plan
    first = write_migration(plan.tables, parent=find_head(tmp_path))
    write_file(tmp_path, first)
    write_file(tmp_path, write_migration(plan.tables, parent=find_head(tmp_path)))
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("path_separator", "os")
    engine = create_engine(postgres_database.psycopg_url)
    Base.metadata.create_all(engine)
    secured = "SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        scoped = sum(table.scoped for table in plan.tables.values())
        assert connection.exec_driver_sql(secured).scalar() == scoped
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(insert(Tag).values(name="x", tenant_id=TenantId("anybody")))
        command.downgrade(config, "-1")
        assert connection.exec_driver_sql(secured).scalar() == 0
        connection.execute(insert(Tag).values(name="x", tenant_id=TenantId("anybody")))
    engine.dispose()
