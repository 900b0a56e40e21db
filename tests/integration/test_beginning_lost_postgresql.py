"""A tenant's BEGIN whose end nobody knows leaves no connection behind that is somebody's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from stockade.tenancy.transactions import TenantTransaction, run_below
from tests.integration.test_beginning_postgresql import DRIVERS, opened, shown
from tests.servers import PostgresDatabase
from tests.servers.proxy import Fault, Proxy
from tests.unit.tenancy.models import OWN

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("noticed", [True, False])
async def test_ended_by_the_server(
    driver: str, noticed: bool, postgres_database: PostgresDatabase
) -> None:
    """A connection that the server has ended is an error of SQLAlchemy's, and is thrown away."""
    other = create_engine(postgres_database.psycopg_url)
    async with opened(driver, postgres_database.dsn) as door:

        def work(connection: Connection) -> str:
            with connection.begin():
                process = run_below(connection, "SELECT pg_backend_pid()")[0][0]
                connection.connection.rollback()
                with other.connect() as admin:
                    admin.exec_driver_sql(f"SELECT pg_terminate_backend({process}, 5000)")
                if noticed and driver != "psycopg":
                    adapter: Any = connection.connection.dbapi_connection

                    async def notice(_: object) -> None:
                        await asyncio.sleep(0.2)

                    adapter.run_async(notice)
                TenantTransaction().enter(connection, OWN)
                return shown(connection)[0]

        with pytest.raises(DBAPIError):
            await door(work)

        def again(connection: Connection) -> str:
            with connection.begin():
                TenantTransaction().enter(connection, OWN)
                return shown(connection)[0]

        assert await door(again) == OWN
    other.dispose()


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.DEAF], ids=["unsent", "unanswered"])
async def test_driver_that_gives_up(fault: Fault, postgres_database: PostgresDatabase) -> None:
    """Where the driver's own timeout ends it, the connection goes, and the pool opens another."""
    async with Proxy(postgres_database.dsn) as proxy:
        url = proxy.url.replace("postgresql://", "postgresql+asyncpg://", 1)
        engine = create_async_engine(
            url, pool_size=1, max_overflow=0, connect_args={"command_timeout": 0.3}
        )

        def enter(connection: Connection) -> str:
            with connection.begin():
                TenantTransaction().enter(connection, OWN)
                return shown(connection)[0]

        async with engine.connect() as connection:
            assert await connection.run_sync(enter) == OWN
        await proxy.set(fault)
        with pytest.raises((TimeoutError, DBAPIError)):
            async with engine.connect() as connection:
                await connection.run_sync(enter)
        await proxy.set(Fault.NONE)
        async with engine.connect() as connection:
            assert (await connection.run_sync(shown))[0] == ""
        async with engine.connect() as connection:
            assert await connection.run_sync(enter) == OWN
        await engine.dispose()
