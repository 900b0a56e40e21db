"""Bring the tables to the newest version and put the demo's accounts and notes into empty ones."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from settings import settings
from sqlalchemy import Connection, func, select

from database.base import engine
from database.seeds import seed_accounts, seed_rows
from stockade.storage.sql import upgrade_schema
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import User


async def prepare_database() -> None:
    """Migrate and seed; done twice, it changes nothing.

    In a deployed environment it does neither: tables are migrated before the new release starts,
    and nobody wants accounts with passwords that are printed in a repository.

    Raises:
        StoreError: The database is away or refuses.
    """
    if settings.environment.is_deployed:
        return
    await upgrade_schema(engine)
    async with store_errors():
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
        async with engine.connect() as connection:
            if await connection.scalar(select(func.count()).select_from(User)):
                return
        # Accounts last: what was interrupted before them is done anew.
        await seed_rows()
        async with engine.begin() as connection:
            await seed_accounts(connection, cost=settings.authentication.bcrypt_cost)


def _migrate(connection: Connection) -> None:
    config = Config()
    folder = str(Path(__file__).parent.parent / "migrations")
    # Alembic expands percent signs in its options; one in the path is only a character.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
