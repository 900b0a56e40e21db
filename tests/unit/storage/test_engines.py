import traceback
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from stockade.errors import ConfigurationError, StoreError
from stockade.storage.sql import NewAccount, create_account, make_engine, ping, upgrade_schema
from stockade.storage.sql.engines import store_errors
from tests.servers import PostgresDatabase

CANARY = "CANARY-3e9b"


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("postgresql://user@localhost/name", "postgresql+asyncpg"),
        ("postgres://user@localhost/name", "postgresql+asyncpg"),
        ("postgresql+psycopg://user@localhost/name", "postgresql+psycopg"),
    ],
)
def test_a_bare_address_gets_its_driver(url: str, driver: str) -> None:
    """Whoever names the database alone gets the asynchronous driver for it."""
    assert make_engine(url).url.drivername == driver


@pytest.mark.parametrize(
    "url",
    [
        f"{CANARY}",
        f"://{CANARY}",
        f"postgresql://user:pass@host:{CANARY}/name",
        f"nosql://user:{CANARY}@host/name",
        f"mysql://user:{CANARY}@host/name",
        f"postgresql+psycopg2://user:{CANARY}@host/name",
        "",
    ],
)
def test_an_address_that_can_not_be_read_is_not_repeated(url: str) -> None:
    """An address holds a password; neither the message nor its causes show it."""
    with pytest.raises(ConfigurationError) as caught:
        make_engine(url)
    assert CANARY not in "".join(traceback.format_exception(caught.value, chain=True)).replace(
        str(__file__), ""
    )


async def test_sqlite_checks_foreign_keys(tmp_path: Path) -> None:
    """Every connection has the switches that SQLite leaves off."""
    engine = make_engine(f"sqlite:///{tmp_path}/x.db")
    async with engine.connect() as connection:
        for pragma, value in (("foreign_keys", 1), ("journal_mode", "wal"), ("busy_timeout", 5000)):
            found = await connection.execute(text(f"PRAGMA {pragma}"))
            assert found.scalar_one() == value
    await engine.dispose()


async def test_errors_of_the_driver_repeat_no_parameters(tmp_path: Path) -> None:
    """A violated constraint tells the statement, not whose address and hash it was."""
    engine = make_engine(f"sqlite:///{tmp_path}/x.db")
    await upgrade_schema(engine)
    account = NewAccount(email=f"{CANARY}@example.com", password_hash=CANARY)
    async with engine.begin() as connection:
        await create_account(connection, account)
        with pytest.raises(IntegrityError) as caught:
            await create_account(connection, account)
    assert CANARY not in str(caught.value)
    await engine.dispose()


@pytest.mark.parametrize(
    "error", [OSError(CANARY), ConnectionRefusedError(CANARY), TimeoutError(CANARY)], ids=repr
)
async def test_a_store_error_names_the_kind_alone(error: Exception) -> None:
    """The text of a driver's error stays in the cause."""
    with pytest.raises(StoreError) as caught:
        async with store_errors():
            raise error
    assert type(error).__name__ in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is error


async def test_other_errors_pass() -> None:
    """A mistake in the code is not a store that is away."""
    with pytest.raises(ZeroDivisionError):
        async with store_errors():
            raise ZeroDivisionError


async def test_a_database_that_is_away_is_a_store_error() -> None:
    """Nothing listens there."""
    engine = make_engine("postgresql://user:secret@127.0.0.1:1/name")
    with pytest.raises(StoreError):
        await ping(engine)
    await engine.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("wrong", ["password", "database"])
async def test_a_database_that_refuses_is_a_store_error(
    postgres_database: PostgresDatabase, wrong: str
) -> None:
    """A wrong password and a missing database are told apart from a mistake in the code."""
    engine = make_engine(postgres_database.dsn)
    await ping(engine)
    changed = {"password": CANARY} if wrong == "password" else {"database": "missing"}
    url = engine.url.set(**changed).render_as_string(hide_password=False)  # type: ignore[arg-type]  # One of two texts.
    await engine.dispose()
    other = make_engine(url)
    with pytest.raises(StoreError) as caught:
        await ping(other)
    assert CANARY not in str(caught.value)
    await other.dispose()
