"""Begin a transaction and say whose it is in one round trip, where the driver has a way to.

Drivers send BEGIN by themselves, before the first statement and in a round trip of its own. Here it
takes that statement along. Each way leaves the driver in the state it would have come to by itself;
the canary proves so at the start. What a way can't do it leaves to the driver's cursor.
"""

# Drivers are extras, imported when the first connection of theirs begins.
# ruff: noqa: ANN401, PLC0415

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn
    from sqlalchemy import Connection, PoolProxiedConnection

Way = Callable[["PoolProxiedConnection", str], bool]


def begin_with(connection: Connection, statement: str) -> bool:
    """Begin the driver's transaction together with its first statement.

    It is sent as one simple query, as the driver's own BEGIN is, so that a pooler between needs to
    know nothing about it.

    Args:
        connection: SQLAlchemy has begun on it; the driver has not yet.
        statement: A SELECT in ASCII without parameters, whose result nobody needs.

    Returns:
        Whether it was done. If not, nothing was: the driver is none we know, it has begun already,
        its transaction is to be more than a plain one, or the database refused. The driver's
        cursor does the same in two round trips, and raises what there is to raise.
    """
    dialect = connection.dialect
    find = _WAYS.get((dialect.driver, dialect.is_async))
    return find is not None and find()(connection.connection, f"BEGIN; {statement}")


@cache
def _psycopg() -> Way:
    from psycopg import Connection

    is_ready, send = _psycopg_parts()

    def begin(pooled: PoolProxiedConnection, query: str) -> bool:
        driver = pooled.driver_connection
        if not (isinstance(driver, Connection) and is_ready(driver)):
            return False
        with driver.lock:
            done = driver.wait(send(driver.pgconn, query))
        if not done:
            driver.rollback()
        return done

    return begin


@cache
def _psycopg_async() -> Way:
    from psycopg import AsyncConnection

    is_ready, send = _psycopg_parts()

    async def begin_async(driver: AsyncConnection[Any], query: str) -> bool:
        async with driver.lock:
            done = await driver.wait(send(driver.pgconn, query))
        if not done:
            await driver.rollback()
        return done

    def begin(pooled: PoolProxiedConnection, query: str) -> bool:
        adapter: Any = pooled.dbapi_connection
        driver = pooled.driver_connection
        if not (isinstance(driver, AsyncConnection) and is_ready(driver)):
            return False
        done: bool = adapter.run_async(lambda driver: begin_async(driver, query))
        return done

    return begin


def _psycopg_parts() -> tuple[Callable[[Any], bool], Callable[[PGconn, str], PQGen[bool]]]:
    """Return what both kinds of connection share; they know by libpq's state whether they began."""
    from psycopg import generators
    from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus

    def is_ready(driver: Any) -> bool:
        return bool(
            driver.pgconn.transaction_status == TransactionStatus.IDLE
            and driver.pgconn.pipeline_status == PipelineStatus.OFF
            and not driver.autocommit
            and driver.isolation_level is driver.read_only is driver.deferrable is None
        )

    def send(pgconn: PGconn, query: str) -> PQGen[bool]:
        pgconn.send_query(query.encode("ascii"))
        results = yield from generators.execute(pgconn)
        return [r.status for r in results] == [ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK]

    return is_ready, send


@cache
def _asyncpg() -> Way:
    from asyncpg import (  # type: ignore[import-untyped]  # No types.
        Connection,
        InterfaceError,
        PostgresError,
    )

    async def begin_async(driver: Any, query: str) -> bool:
        try:
            await driver.execute(query)
        except (PostgresError, InterfaceError):
            # What asyncpg itself refuses, such as a connection that is closed, was not sent.
            if not driver.is_closed() and driver.is_in_transaction():
                await driver.execute("ROLLBACK")
            return False
        return True

    def begin(pooled: PoolProxiedConnection, query: str) -> bool:
        adapter: Any = pooled.dbapi_connection
        driver = pooled.driver_connection
        if not (
            isinstance(driver, Connection)
            and adapter._transaction is adapter.isolation_level is None  # noqa: SLF001 - see below.
            and not (adapter.readonly or adapter.deferrable or driver.is_in_transaction())
        ):
            return False
        if not adapter.run_async(lambda driver: begin_async(driver, query)):
            return False
        # SQLAlchemy would begin again. There is no public name; if this one changes, asyncpg
        # refuses that second BEGIN, and the canary the start.
        adapter._transaction = _Begun(driver)  # noqa: SLF001
        if hasattr(adapter, "_started"):
            adapter._started = True  # noqa: SLF001 - SQLAlchemy 2.0 keeps it apart.
        return True

    return begin


class _Begun:
    """What SQLAlchemy ends instead of a transaction that asyncpg began."""

    __slots__ = ("_driver",)

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def commit(self) -> None:
        await self._driver.execute("COMMIT")

    async def rollback(self) -> None:
        await self._driver.execute("ROLLBACK")


# By the name of the dialect's driver, and whether it is the asynchronous one.
_WAYS: Final[dict[tuple[str, bool], Callable[[], Way]]] = {
    ("psycopg", False): _psycopg,
    ("psycopg", True): _psycopg_async,
    ("asyncpg", True): _asyncpg,
}
