"""Bring Stockade's own tables to the newest version, and check that they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import func, select

from stockade.errors import ConfigurationError
from stockade.storage.sql.engines import store_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

VERSION_TABLE: Final = "stockade_alembic_version"
# Any number that other programs are unlikely to lock; this one spells "stockade".
_LOCK: Final = int.from_bytes(b"stockade", "big")


def _make_config(connection: Connection | None = None) -> Config:
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    # Alembic expands percent signs in its options; one in the path is only a character.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


async def upgrade_schema(engine: AsyncEngine) -> None:
    """Create or upgrade Stockade's tables in one transaction.

    Several processes may do so at once: one works, the others wait and find nothing to do.

    Raises:
        ConfigurationError: The tables are those of a later release.
        StoreError: The database is away or refuses.
    """
    async with store_errors(), engine.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # Python's driver starts no transaction for the creation of a table; a failure half-way
        # would leave tables without their version.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    try:
        command.upgrade(_make_config(connection), "head")
    except CommandError as error:
        message = "Stockade's tables are at a version that this release does not know"
        raise ConfigurationError(message) from error


async def check_schema(engine: AsyncEngine) -> None:
    """Check that Stockade's tables are there in the version that this release needs.

    Raises:
        ConfigurationError: They are missing or of another version.
        StoreError: The database is away.
    """
    async with store_errors(), engine.connect() as connection:
        found = await connection.run_sync(_read_version)
    wanted = ScriptDirectory.from_config(_make_config()).get_current_head()
    if found != wanted:
        state = "are not there" if found is None else f"are at version {found}, not {wanted}"
        message = f"Stockade's tables {state}: run `stockade db upgrade`"
        raise ConfigurationError(message)


def _read_version(connection: Connection) -> str | None:
    return MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()
