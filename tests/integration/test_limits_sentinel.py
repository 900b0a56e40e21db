"""Expect limits to follow the primary that Sentinels name, on real servers."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from stockade.core import SystemClock
from stockade.core.limits import LimitRule
from stockade.errors import UnavailableError
from stockade.events import EventLog, MemorySink
from stockade.rate_limiting import LimitRequest, LimitStore, RateLimitingSettings
from stockade.storage import guarded_limit_store
from tests.servers import ServerUnavailableError
from tests.servers.process import START_TIMEOUT, free_port
from tests.servers.redis import answers, find_server

pytestmark = pytest.mark.redis

RULE = LimitRule(amount=5, window=3600)


class Set:
    """A primary, a replica and a Sentinel of our own."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.ports = [free_port() for _ in range(3)]
        primary, replica, sentinel = self.ports
        self._start("primary", primary, "save ''")
        self._start("replica", replica, f"save ''\nreplicaof 127.0.0.1 {primary}")
        self._wait(lambda: self._is_linked(replica))
        self._start(
            "sentinel",
            sentinel,
            f"sentinel monitor limits 127.0.0.1 {primary} 1\n"
            "sentinel down-after-milliseconds limits 300\nsentinel failover-timeout limits 2000",
            "--sentinel",
        )
        self._wait(lambda: self._knows_replica(sentinel))
        self.url = f"redis+sentinel://127.0.0.1:{sentinel}/limits"

    def _start(self, name: str, port: int, configuration: str, *options: str) -> None:
        file = self._folder / f"{name}.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\n{configuration}\n", encoding="utf-8"
        )
        command = [str(self._program), str(file), *options]
        self._processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        self._wait(lambda: answers(f"redis://127.0.0.1:{port}"))

    def _wait(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not is_ready():
            assert time.monotonic() < deadline

    def _is_linked(self, port: int) -> bool:
        with redis.Redis(port=port) as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def _knows_replica(self, port: int) -> bool:
        with redis.Redis(port=port) as client:
            found = client.sentinel_master("limits")
            return bool(found["num-slaves"])

    def kill_primary(self) -> None:
        """End the primary without a word to anybody."""
        self._processes[0].kill()
        self._processes[0].wait()

    def wait_for_replication(self) -> None:
        """Wait until the replica has what the primary has."""
        with redis.Redis(port=self.ports[0]) as client:
            client.wait(1, 5000)

    def stop(self) -> None:
        """End all."""
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Set]:
    """A primary, a replica and a Sentinel."""
    try:
        program = find_server()
    except ServerUnavailableError as error:
        pytest.skip(str(error))
    started = Set(program, tmp_path)
    yield started
    started.stop()


async def ask(store: LimitStore) -> bool | None:
    """Tell whether a request passes; None where the store is away."""
    try:
        (state,) = await store.acquire([LimitRequest("{a}x", RULE)])
    except UnavailableError:
        return None
    return state.allowed


async def test_limits_follow_a_failover(servers: Set) -> None:
    """When the replica takes over, what was counted still counts, and nothing passes between."""
    sink, clock = MemorySink(), SystemClock()
    store = guarded_limit_store(
        servers.url,
        settings=RateLimitingSettings(timeout=1.0, failure_threshold=1, cooldown=0.05),
        events=EventLog([sink], clock=clock),
        clock=clock,
    )
    assert [await ask(store) for _ in range(3)] == [True] * 3
    servers.wait_for_replication()
    servers.kill_primary()
    outcomes: list[bool | None] = []
    async with asyncio.timeout(60):
        while outcomes[-1:] != [False]:
            outcomes.append(await ask(store))
            await asyncio.sleep(0)
    await store.close()
    assert None in outcomes
    assert outcomes.count(True) == 2
    names = [event.name for event in sink]
    assert names[0] == "rate_limiting.store_failed"
    assert names[-1] == "rate_limiting.store_recovered"
    assert names == names[:2] * (len(names) // 2)
