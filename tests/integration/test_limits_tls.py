"""Expect TLS to Redis to be TLS with a certificate that holds, and users to be let in or not."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import redis
from fastapi import FastAPI
from pydantic import SecretStr

from stockade import Settings, Stockade
from stockade.core import SystemClock
from stockade.core.limits import LimitRule
from stockade.errors import StoreError, UnavailableError
from stockade.events import EventLog, MemorySink
from stockade.rate_limiting import LimitRequest, LimitStore, RateLimitingSettings
from stockade.settings import Environment
from stockade.storage import guarded_limit_store, limit_store
from tests.conftest import miss
from tests.servers.process import START_TIMEOUT, free_port
from tests.servers.redis import answers, find_server
from tests.servers.tls import Authority, find_tls_redis, tls_front

pytestmark = pytest.mark.redis

REQUEST = [LimitRequest("{a}x", LimitRule(amount=2, window=3600))]


class Scene:
    """An authority, another one, and a server that speaks TLS.

    Args:
        folder: Where files lie.
        kind: ``front`` for TLS before the server of all tests, ``server`` for a server of our own
            that speaks it itself.
        plain: Address of the server of all tests.
    """

    def __init__(self, folder: Path, kind: str, plain: str) -> None:
        self.folder, self._kind, self._plain = folder, kind, plain
        self.ours, self.theirs = Authority(folder, "ours"), Authority(folder, "theirs")

    @asynccontextmanager
    async def serve(
        self, pair: tuple[Path, Path] | None = None, *, clients: Path | None = None
    ) -> AsyncIterator[str]:
        """Run the server with a certificate, and yield its address without options."""
        pair = pair or self.ours.issue("127.0.0.1")
        async with AsyncExitStack() as stack:
            if self._kind == "front":
                front = tls_front(self._plain, pair, clients=clients)
                port = await stack.enter_async_context(front)
                credentials = self._plain.partition("://")[2].rpartition("@")[0] + "@"
            else:
                port = stack.enter_context(_tls_server(self.folder, pair, clients=clients))
                credentials = ""
            yield f"rediss://{credentials}127.0.0.1:{port}/0"


@pytest.fixture(params=["front", "server"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """TLS of each kind."""
    if request.param == "server" and find_tls_redis() is None:
        miss("no Redis that speaks TLS: set STOCKADE_TEST_TLS_REDIS or install redis-server")
    url = request.getfixturevalue("redis_url") if request.param == "front" else ""
    return Scene(tmp_path, request.param, url)


@contextmanager
def _tls_server(
    folder: Path, pair: tuple[Path, Path], *options: str, clients: Path | None = None
) -> Iterator[int]:
    program, port = find_tls_redis(), free_port()
    assert program is not None
    certificate, key = pair
    authority = clients or certificate
    command = [
        *(str(program), *options, "--bind", "127.0.0.1", "--port", "0", "--tls-port", str(port)),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        *("--tls-ca-cert-file", str(authority), "--dir", str(folder), "--save", ""),
        *("--tls-auth-clients", "no" if clients is None else "yes"),
    ]
    with _running(command):
        yield port


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "Ready to accept connections" in line or "monitor master" in line:
                break
        yield process
    finally:
        process.kill()
        process.communicate()


async def passes(store: LimitStore) -> bool:
    """Tell whether a request passes."""
    return all(state.allowed for state in await store.acquire(REQUEST))


async def refusal(url: str) -> str:
    """Return what is said of a server that does not let us count."""
    store = limit_store(url, timeout=5.0)
    with pytest.raises(StoreError) as pinged:
        await store.ping()
    with pytest.raises(StoreError):
        await store.acquire(REQUEST)
    await store.close()
    return str(pinged.value)


async def test_a_certificate_that_holds(scene: Scene) -> None:
    """A server whose certificate comes from the named authority counts."""
    async with scene.serve() as url:
        store = limit_store(f"{url}?ssl_ca_certs={scene.ours.file}", timeout=5.0)
        await store.ping()
        assert [await passes(store) for _ in range(3)] == [True, True, False]
        await store.close()


@pytest.mark.parametrize("how", ["unknown authority", "another authority", "expired"])
async def test_a_certificate_that_does_not_hold(scene: Scene, how: str) -> None:
    """A certificate of nobody we trust, or of yesterday, is refused, and it is said why."""
    pair = scene.ours.issue("127.0.0.1", expired=how == "expired")
    authority = scene.theirs if how == "another authority" else scene.ours
    options = "" if how == "unknown authority" else f"?ssl_ca_certs={authority.file}"
    async with scene.serve(pair) as url:
        said = await refusal(url + options)
    assert "no certificate that holds" in said
    assert "@" not in said


async def test_the_name_has_to_be_right(scene: Scene) -> None:
    """A certificate for another host is refused, though its authority is ours."""
    async with scene.serve(scene.ours.issue("redis.example")) as url:
        said = await refusal(f"{url}?ssl_ca_certs={scene.ours.file}")
    assert "127.0.0.1" in said
    assert "no certificate that holds" in said


async def test_clients_show_a_certificate(scene: Scene) -> None:
    """Where the server asks for a certificate, one of its authority lets us in, others don't."""
    clients = Authority(scene.folder, "clients")
    certificate, key = clients.issue("app")
    async with scene.serve(clients=clients.file) as url:
        trust = f"{url}?ssl_ca_certs={scene.ours.file}"
        store = limit_store(f"{trust}&ssl_certfile={certificate}&ssl_keyfile={key}", timeout=5.0)
        assert await passes(store)
        await store.close()
        await refusal(trust)
        stranger, strange_key = scene.theirs.issue("app")
        await refusal(f"{trust}&ssl_certfile={stranger}&ssl_keyfile={strange_key}")


async def test_plain_is_not_tried_instead(scene: Scene, redis_url: str) -> None:
    """A server that does not speak TLS is never spoken to in plain, nor the other way round."""
    await refusal(redis_url.replace("redis://", "rediss://"))
    async with scene.serve() as url:
        await refusal(url.replace("rediss://", "redis://"))


async def test_a_false_certificate_falls_under_the_policy(scene: Scene) -> None:
    """Under closed nobody passes while the certificate is false, and one event says so."""
    sink, clock = MemorySink(), SystemClock()
    async with scene.serve(scene.theirs.issue("127.0.0.1")) as url:
        store = guarded_limit_store(
            f"{url}?ssl_ca_certs={scene.ours.file}",
            settings=RateLimitingSettings(timeout=5.0),
            events=EventLog([sink], clock=clock),
            clock=clock,
        )
        for _ in range(5):
            with pytest.raises(UnavailableError):
                await store.acquire(REQUEST)
        await store.close()
    assert [event.name for event in sink] == ["rate_limiting.store_failed"]


async def test_the_start_says_it(scene: Scene) -> None:
    """An application does not start with a server that it can't trust, and says what to do."""
    async with scene.serve(scene.theirs.issue("127.0.0.1")) as url:
        stockade = Stockade(
            Settings(
                environment=Environment.TEST,
                redis_url=SecretStr(f"{url}?ssl_ca_certs={scene.ours.file}"),
                rate_limiting=RateLimitingSettings(enabled=True, store="redis", timeout=5.0),
            ),
            sinks=[],
        )
        stockade.install(FastAPI())
        with pytest.raises(StoreError, match=r"no certificate that holds.*ssl_ca_certs"):
            await stockade.start()
        await stockade.stop()


@contextmanager
def _local_server(folder: Path, *lines: str) -> Iterator[str]:
    """Run a server with a Unix socket and yield the path of the socket."""
    path = folder / "redis.sock"
    file = folder / "redis.conf"
    settings = ("port 0", f"unixsocket {path}", f"dir {folder}", "save ''", *lines)
    file.write_text("\n".join(settings), encoding="utf-8")
    command = [str(find_server()), str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield str(path)
    finally:
        process.kill()
        process.wait()


async def test_a_unix_socket(tmp_path: Path) -> None:
    """A server on a Unix socket counts."""
    with _local_server(tmp_path) as path:
        store = limit_store(f"unix://{path}", timeout=5.0)
        await store.ping()
        assert [await passes(store) for _ in range(3)] == [True, True, False]
        await store.close()


async def test_a_user_with_the_rights_that_are_documented(tmp_path: Path) -> None:
    """A user of an ACL that may do what the documentation lists can do all that a store does."""
    rights = "+@read +@write +@connection +@scripting +time ~stockade:*"
    with _local_server(tmp_path, "user default off", f"user app on >s3cret {rights}") as path:
        store = limit_store(f"unix://app:s3cret@{path}", timeout=5.0)
        await store.ping()
        assert [await passes(store) for _ in range(3)] == [True, True, False]
        await store.reset("")
        assert await passes(store)
        await store.close()


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("app:wrong@", "refuses user or password"),
        ("nobody:s3cret@", "refuses user or password"),
        ("weak:s3cret@", "run scripts"),
    ],
)
async def test_a_user_who_is_not_let_in(tmp_path: Path, user: str, said: str) -> None:
    """A wrong password, an unknown user and one without the rights are told apart, not repeated."""
    lines = ("user default off", "user app on >s3cret +@all ~*", "user weak on >s3cret +ping ~*")
    with _local_server(tmp_path, *lines) as path:
        store = limit_store(f"unix://{user}{path}", timeout=5.0)
        with pytest.raises(StoreError, match=said) as caught:
            await store.acquire(REQUEST)
        assert "s3cret" not in str(caught.value)
        await store.close()


async def test_a_cluster_with_tls(tmp_path: Path) -> None:
    """All connections to the nodes of a cluster are checked alike."""
    if find_tls_redis() is None:
        miss("no Redis that speaks TLS")
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    pair = ours.issue("127.0.0.1")
    bus = str(free_port())
    options = ("--cluster-enabled", "yes", "--cluster-port", bus, "--tls-cluster", "yes")
    with _tls_server(tmp_path, pair, *options) as port:
        with redis.Redis("127.0.0.1", port, ssl=True, ssl_ca_certs=str(ours.file)) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            deadline = time.monotonic() + START_TIMEOUT
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        url = f"rediss+cluster://127.0.0.1:{port}"
        store = limit_store(f"{url}?ssl_ca_certs={ours.file}", timeout=5.0)
        await store.ping()
        assert [await passes(store) for _ in range(3)] == [True, True, False]
        await store.close()
        assert "no certificate that holds" in await refusal(f"{url}?ssl_ca_certs={theirs.file}")


async def test_sentinels_with_tls(tmp_path: Path) -> None:
    """Sentinels and the primary that they name are both checked."""
    program = find_tls_redis()
    if program is None:
        miss("no Redis that speaks TLS")
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    certificate, key = ours.issue("127.0.0.1")
    with ExitStack() as stack:
        pair = (certificate, key)
        replication = ("--tls-replication", "yes")
        port = stack.enter_context(_tls_server(tmp_path, pair, *replication))
        sentinel = free_port()
        file = tmp_path / "sentinel.conf"
        file.write_text(
            f"port 0\ntls-port {sentinel}\nbind 127.0.0.1\ndir {tmp_path}\n"
            f"tls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {ours.file}\n"
            "tls-auth-clients no\ntls-replication yes\n"
            f"sentinel monitor limits 127.0.0.1 {port} 1\n",
            encoding="utf-8",
        )
        stack.enter_context(_running([str(program), str(file), "--sentinel"]))
        url = f"rediss+sentinel://127.0.0.1:{sentinel}/limits"
        store = limit_store(f"{url}?ssl_ca_certs={ours.file}", timeout=5.0)
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await passes(store)
                except StoreError:
                    await asyncio.sleep(0.05)
                else:
                    break
        await store.close()
        await refusal(f"{url}?ssl_ca_certs={theirs.file}")


def test_the_plain_port_answers(redis_url: str) -> None:
    """The server behind the front is there, so that what is refused above is refused for TLS."""
    assert answers(redis_url)
