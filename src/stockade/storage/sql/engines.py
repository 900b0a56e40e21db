"""Make engines, with safe defaults for each database."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from stockade.errors import ConfigurationError, StoreError

_ASYNC_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_POSTGRESQL = frozenset({"postgresql", "postgres"})


def make_engine(url: str) -> AsyncEngine:
    """Make an asynchronous engine; a bare ``sqlite`` or ``postgresql`` gets its driver.

    Args:
        url: Address of the database; may hold a password.

    Raises:
        ConfigurationError: The address can't be read, or its driver is not installed; the message
            never repeats it.
    """
    engine = _create(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def make_limit_engine(url: str, *, connections: int) -> AsyncEngine:
    """Make an engine for limits: each statement is one trip, and commits by itself.

    A connection is not asked whether it still lives before it is used: whoever finds it gone falls
    under the failure policy, and the pool is made anew.

    Args:
        url: Address of the database; may hold a password.
        connections: Connections at most.

    Raises:
        ConfigurationError: As `make_engine`, or the database is not PostgreSQL.
    """
    if url.partition(":")[0].partition("+")[0] not in _POSTGRESQL:
        raise ConfigurationError(
            "limits are counted in PostgreSQL, in Redis or in memory, not in another database"
        )
    return _create(
        url, isolation_level="AUTOCOMMIT", pool_size=connections, pool_reset_on_return=None
    )


def _create(url: str, **options: Any) -> AsyncEngine:  # noqa: ANN401 - SQLAlchemy's options
    try:
        parsed = _with_async_driver(make_url(url))
        # An error of the driver would otherwise repeat what was written: addresses, hashes.
        return create_async_engine(parsed, hide_parameters=True, **options)
    except (ArgumentError, NoSuchModuleError, ValueError):
        message = (
            "the database URL can't be read: use sqlite:///path or "
            "postgresql://user:password@host/name"
        )
        # The cause repeats parts of the address, such as a password with a colon in it.
        raise ConfigurationError(message) from None
    except ImportError as error:
        message = (
            f"the driver of the database is not installed ({error.name}): pip install "
            "'stockade[postgresql]'"
        )
        raise ConfigurationError(message) from error


def _with_async_driver(url: URL) -> URL:
    drivername = _ASYNC_DRIVERS.get(url.drivername, url.drivername)
    return url.set(drivername=drivername)


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection has no common type
    cursor = connection.cursor()
    # Without these SQLite ignores foreign keys, and a reader waits for every writer.
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.execute("PRAGMA foreign_keys=ON")
    # The journal is the file's. Where several connections change it at once, SQLite lets one do so
    # and refuses the others without any patience; they use what that one has set.
    with contextlib.suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


@asynccontextmanager
async def store_errors() -> AsyncIterator[None]:
    """Turn the driver's errors into `StoreError`, which names their kind and never their text.

    Raises:
        StoreError: The database could not answer.
    """
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        message = f"the database could not answer ({type(error).__name__})"
        raise StoreError(message) from error


async def ping(engine: AsyncEngine) -> None:
    """Return if the database answers.

    Raises:
        StoreError: It does not.
    """
    async with store_errors(), engine.connect() as connection:
        await connection.execute(select(1))
