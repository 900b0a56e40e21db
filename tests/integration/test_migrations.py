"""Bring Stockade's tables to the newest version on SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DateTime, TextClause, bindparam, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from stockade.errors import ConfigurationError, StoreError
from stockade.storage.sql import Base, check_schema, make_engine, upgrade_schema
from stockade.storage.sql import migrate as migrate_module
from stockade.storage.sql.migrate import VERSION_TABLE

TABLES = {
    "stockade_api_clients",
    "stockade_api_secrets",
    "stockade_invitations",
    "stockade_identities",
    "stockade_known_devices",
    "stockade_passkeys",
    "stockade_recovery_codes",
    "stockade_one_time_links",
    "stockade_limits",
    "stockade_limit_bans",
    "stockade_limit_places",
    "stockade_limit_refusals",
    "stockade_limit_units",
    "stockade_sessions",
    "stockade_spent",
    "stockade_users",
    "stockade_tenants",
    "stockade_totp",
    "stockade_memberships",
}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/stockade.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on an empty database."""
    opened = make_engine(url)
    yield opened
    await opened.dispose()


async def tables_of(engine: AsyncEngine) -> set[str]:
    """Return the names of all tables."""
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda inner: inspect(inner).get_table_names())
    return set(names)


async def test_an_upgrade_makes_the_tables(engine: AsyncEngine) -> None:
    """An empty database is not ready, and one upgrade makes it so."""
    with pytest.raises(ConfigurationError) as caught:
        await check_schema(engine)
    assert "stockade db upgrade" in str(caught.value)
    await upgrade_schema(engine)
    await check_schema(engine)
    assert await tables_of(engine) == {*TABLES, VERSION_TABLE}


async def test_an_upgrade_can_be_repeated(engine: AsyncEngine) -> None:
    """A database of the newest version stays as it is."""
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO stockade_tenants (id, name) VALUES ('a', 'A')"))
    await upgrade_schema(engine)
    async with engine.connect() as connection:
        count = await connection.execute(text("SELECT count(*) FROM stockade_tenants"))
        assert count.scalar_one() == 1


async def test_models_and_migrations_agree(engine: AsyncEngine) -> None:
    """What the migrations make is what the models say: nothing is left to generate."""

    def compare(connection: Connection) -> Any:  # noqa: ANN401 - operations of Alembic
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    await upgrade_schema(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_names_of_constraints_agree(engine: AsyncEngine) -> None:
    """Every constraint has the name of the models, so that a later migration can change it."""

    def read(connection: Connection) -> set[str | None]:
        found = inspect(connection)
        names: set[str | None] = set()
        for table in TABLES:
            names.add(found.get_pk_constraint(table)["name"])
            names |= {key["name"] for key in found.get_foreign_keys(table)}
            names |= {key["name"] for key in found.get_unique_constraints(table)}
            names |= {index["name"] for index in found.get_indexes(table)}
        return names

    await upgrade_schema(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(read) >= {
            "pk_stockade_users",
            "pk_stockade_tenants",
            "pk_stockade_memberships",
            "uq_stockade_users_email",
            "fk_stockade_memberships_user_id",
            "fk_stockade_memberships_tenant_id",
            "ix_stockade_memberships_tenant_id",
            "pk_stockade_one_time_links",
            "uq_stockade_one_time_links_digest",
            "fk_stockade_one_time_links_user_id",
            "ix_stockade_one_time_links_user_id",
            "ix_stockade_one_time_links_expires_at",
        }


async def test_an_upgrade_can_be_taken_back(engine: AsyncEngine) -> None:
    """A downgrade leaves none of our tables."""
    await upgrade_schema(engine)

    def downgrade(connection: Connection) -> None:
        command.downgrade(migrate_module._make_config(connection), "base")

    async with engine.begin() as connection:
        await connection.run_sync(downgrade)
    assert await tables_of(engine) == {VERSION_TABLE}
    await upgrade_schema(engine)
    await check_schema(engine)


_LINK: Final = (
    "INSERT INTO stockade_one_time_links (purpose, subject, email, user_id, tenant_id, role,"
    " digest, state, created_at, expires_at) VALUES (:purpose, :subject, :email, :user_id,"
    " :tenant_id, :role, :digest, '', :created_at, :expires_at)"
)
_INVITATION: Final = (
    "INSERT INTO stockade_invitations (id, tenant_id, email, role, digest, created_by, created_at,"
    " expires_at) VALUES (:id, 'a', :email, 'admin', :digest, 'u', :created_at, :expires_at)"
)


async def test_open_invitations_are_carried_over(engine: AsyncEngine) -> None:
    """Into one table, the newer of two; what is over stays behind, and other links stay links."""
    await move(engine, "0010")
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    moment = {"created_at": now - hour, "expires_at": now + hour}
    link = {"purpose": "invitation", "user_id": "u", "tenant_id": "a", "role": "member", **moment}
    links = [
        {**link, "subject": "a one", "email": "one@x", "digest": "1"},
        {**link, "subject": "a old", "email": "old@x", "digest": "2", "expires_at": now - hour},
        {**link, "subject": "a newer", "email": "newer@x", "digest": "3", "created_at": now},
        {**link, "subject": "a older", "email": "older@x", "digest": "4"},
        {**link, "subject": "lost", "email": "lost@x", "digest": "5", "user_id": None},
        {**link, "purpose": "register", "subject": "r", "email": "r@x", "digest": "6", "role": None}
        | {"tenant_id": None, "user_id": None},
    ]
    kept = [
        {"id": "n", "email": "newer@x", "digest": "7", **moment},
        {"id": "o", "email": "older@x", "digest": "8", **moment, "created_at": now},
    ]
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO stockade_tenants (id, name) VALUES ('a', 'A')"))
        await connection.execute(
            text(
                "INSERT INTO stockade_users"
                " VALUES ('u', 'u@x', 'user', '', true, 0, '2026-01-01', true)"
            )
        )
        for each in links:
            await connection.execute(_typed(_LINK), each)
        for each in kept:
            await connection.execute(_typed(_INVITATION), each)
        for table, digest in (("used_challenges", "c"), ("used_challenges", "b"), ("spent", "b")):
            insert = f"INSERT INTO stockade_{table} VALUES ('{digest}', :expires_at)"  # noqa: S608 - a test
            await connection.execute(_typed(insert), {"expires_at": now + hour})
    await upgrade_schema(engine)
    found = (
        "SELECT email, digest, role, mailed, created_by FROM stockade_invitations ORDER BY email"
    )
    async with engine.connect() as connection:
        rows = [tuple(row) for row in await connection.execute(text(found))]
        left = (await connection.execute(text("SELECT digest FROM stockade_one_time_links"))).all()
        spent = await connection.execute(text("SELECT digest FROM stockade_spent ORDER BY digest"))
        assert [row.digest for row in spent] == ["b", "c"]
    assert rows == [
        ("newer@x", "3", "member", True, "u"),
        ("older@x", "8", "admin", False, "u"),
        ("one@x", "1", "member", True, "u"),
    ]
    assert [row.digest for row in left] == ["6"]
    await move(engine, "0010")
    async with engine.connect() as connection:
        count = "SELECT count(*) FROM stockade_invitations"
        assert await connection.scalar(text(count)) == 3
        used = "SELECT count(*) FROM stockade_used_challenges"
        assert await connection.scalar(text(used)) == 2
        count = "SELECT count(*) FROM stockade_one_time_links WHERE tenant_id IS NULL"
        assert await connection.scalar(text(count)) == 1
    await upgrade_schema(engine)
    async with engine.connect() as connection:
        count = "SELECT count(*) FROM stockade_invitations"
        assert await connection.scalar(text(count)) == 3


def _typed(statement: str) -> TextClause:
    names = [name for name in ("created_at", "expires_at") if f":{name}" in statement]
    moments = [bindparam(name, type_=DateTime(timezone=True)) for name in names]
    return text(statement).bindparams(*moments)


async def move(engine: AsyncEngine, version: str) -> None:
    """Go to a version, up or down."""

    def run(connection: Connection) -> None:
        config = migrate_module._make_config(connection)
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        way = command.upgrade if context.get_current_revision() is None else command.downgrade
        way(config, version)

    async with engine.begin() as connection:
        await connection.run_sync(run)


async def test_processes_may_upgrade_at_once(url: str) -> None:
    """Of several replicas that start together one upgrades, and the others wait for it."""
    engines = [make_engine(url) for _ in range(8)]
    await asyncio.gather(*(upgrade_schema(engine) for engine in engines))
    for engine in engines:
        await check_schema(engine)
        await engine.dispose()


async def test_a_failed_upgrade_leaves_nothing(engine: AsyncEngine) -> None:
    """A migration that breaks half-way takes back what it did, so that it can be tried again."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE stockade_memberships (id INTEGER)"))
    with pytest.raises(StoreError):
        await upgrade_schema(engine)
    assert await tables_of(engine) - {VERSION_TABLE} == {"stockade_memberships"}
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE stockade_memberships"))
    await upgrade_schema(engine)
    await check_schema(engine)


@pytest.mark.parametrize("version", ["0000", "9999"])
async def test_another_version_stops_the_start(engine: AsyncEngine, version: str) -> None:
    """Tables of an older or a newer release are not used as if they fitted."""
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE stockade_alembic_version SET version_num = :version"),
            {"version": version},
        )
    with pytest.raises(ConfigurationError) as caught:
        await check_schema(engine)
    assert version in str(caught.value)


async def test_an_applications_own_versions_are_left_alone(engine: AsyncEngine) -> None:
    """Stockade's version stands in a table of its own, beside the application's."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        await connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    await upgrade_schema(engine)
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT version_num FROM alembic_version"))
        assert found.scalar_one() == "theirs"


async def test_members_go_with_their_account(engine: AsyncEngine) -> None:
    """A deleted account is no member any more, and a membership needs both sides."""
    await upgrade_schema(engine)
    join = "INSERT INTO stockade_memberships VALUES ('{}', 'a', 'member', true)"
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO stockade_tenants (id, name) VALUES ('a', 'A')"))
        await connection.execute(
            text(
                "INSERT INTO stockade_users"
                " VALUES ('u', 'u@x', 'user', '', true, 0, '2026-01-01', true)"
            )
        )
        await connection.execute(text(join.format("u")))
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(text(join.format("nobody")))
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM stockade_users"))
        left = await connection.execute(text("SELECT count(*) FROM stockade_memberships"))
        assert left.scalar_one() == 0


def test_there_is_one_newest_version() -> None:
    """The migrations form one line."""
    script = ScriptDirectory.from_config(migrate_module._make_config())
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_a_percent_sign_in_the_path_is_only_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation may lie in any folder."""
    monkeypatch.setattr(migrate_module, "__file__", "/odd%20folder/%(here)s/migrate.py")
    config: Config = migrate_module._make_config()
    assert config.get_main_option("script_location") == "/odd%20folder/%(here)s/migrations"
