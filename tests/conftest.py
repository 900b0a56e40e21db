"""Give tests their servers, and keep them from everything else."""

import os
import sys
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from scripts.browser import find_browser
from tests.servers import (
    PostgresDatabase,
    PostgresServer,
    ServerUnavailableError,
    run_postgres,
    run_redis,
    run_redis_cluster,
)
from tests.servers.redis import empty

LOCAL_NAMES = frozenset({"", "localhost", "testserver"})
"""Host names that lead nowhere else; the empty one is any local address."""

SERVER_VARIABLES = ("STOCKADE_TEST_DATABASE_URL", "STOCKADE_TEST_REDIS_URL")

TEST_VARIABLES = ("STOCKADE_CORPORA", "STOCKADE_TEST_")
"""What a caller may say to the tests; every other variable of ours is a setting."""

# No deadline: the machine is shared. A failure prints what reproduces it anywhere.
settings.register_profile("default", deadline=None, print_blob=True)
# Random also under CI: every run is a new search, and the printed blob replays a failure.
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=False)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")


class NetworkClosedError(RuntimeError):
    """A test reached for another machine.

    No OSError, which code under test may handle as a store that is away.
    """


def _given_hosts() -> frozenset[str]:
    urls = (os.environ.get(name, "") for name in SERVER_VARIABLES)
    return frozenset(urlsplit(url).hostname or "" for url in urls)


GIVEN_HOSTS = _given_hosts()


def _is_local(host: object) -> bool:
    """Tell whether a host, as the socket module takes it, is this machine or a given server."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str):
        return host is None
    name = host.lower().rstrip(".")
    return name in LOCAL_NAMES or name in GIVEN_HOSTS or name == "::1" or name.startswith("127.")


def _refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    """Stop every look-up of and connection to another machine, whichever library asks for it."""
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        # A Unix socket's address is a path, which stays on this machine.
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise NetworkClosedError(f"{event}: {address[0]}")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"} and not _is_local(arguments[0]):
        raise NetworkClosedError(f"{event}: {arguments[0]!r}")


sys.addaudithook(_refuse_other_machines)


def pytest_configure() -> None:
    """Forget the caller's own Stockade settings: a test sets what it needs."""
    for name in list(os.environ):
        if name.upper().startswith("STOCKADE_") and not name.startswith(TEST_VARIABLES):
            del os.environ[name]


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Keep what a test puts into the environment, such as the demo settings, from others."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def miss(reason: str) -> NoReturn:
    """Skip the test, or fail it under CI, where every server must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every asynchronous test on asyncio, the loop that uvicorn runs."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, started when the first test asks."""
    try:
        with run_postgres() as server:
            yield server
    except ServerUnavailableError as error:
        miss(str(error))


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A fresh database that belongs to an ordinary role; dropped after the test."""
    with postgres_server.database() as database:
        yield database


@pytest.fixture
def postgres_url(postgres_database: PostgresDatabase) -> str:
    """URL of a fresh database (``postgresql://``), as its ordinary owner."""
    return postgres_database.dsn


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """URL of a real Redis or Valkey server, started when the first test asks."""
    try:
        with run_redis() as url:
            yield url
    except ServerUnavailableError as error:
        miss(str(error))


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """URL of an empty Redis database."""
    empty(redis_server)
    yield redis_server
    empty(redis_server)


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[str]:
    """URL of a Redis Cluster of three nodes, started when the first test asks."""
    try:
        with run_redis_cluster() as url:
            yield url
    except ServerUnavailableError as error:
        miss(str(error))


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium; launch it with ``--no-sandbox``, which root needs."""
    found = find_browser()
    if found is None:
        miss("no Chromium: run python scripts/browser.py")
    return found
