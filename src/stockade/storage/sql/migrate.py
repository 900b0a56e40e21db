"""Bring Stockade's own tables to the newest version, and check that they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from stockade.errors import ConfigurationError
from stockade.storage.sql.engines import store_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

VERSION_TABLE: Final = "stockade_alembic_version"


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

    Raises:
        StoreError: The database is away or refuses.
    """
    async with store_errors(), engine.begin() as connection:
        await connection.run_sync(lambda inner: command.upgrade(_make_config(inner), "head"))


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
