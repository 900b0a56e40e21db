"""Expect a declared answer to every request, whatever stands between us and the store."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from stockade import Settings, Stockade, public, rate_limit, unlimited
from stockade.core.limits import LimitRule
from stockade.errors import StoreError
from stockade.events import MemorySink
from stockade.rate_limiting import LimitRequest, RateLimitingSettings
from stockade.settings import Environment
from stockade.storage import limit_store
from stockade.storage.sql import make_engine, upgrade_schema
from tests.servers.proxy import Fault, Proxy

FAULTS = [each for each in Fault if each is not Fault.NONE]
TIMEOUT = 0.2
RULE = LimitRule(amount=5, window=3600)


class Setting:
    """An application with limits, behind a proxy that can be spoiled."""

    def __init__(self, proxy: Proxy, policy: str, kind: str) -> None:
        self.proxy = proxy
        self.sink = MemorySink()
        app = FastAPI()

        @app.get("/limited")
        @public("test")
        @rate_limit("5/hour")
        async def limited() -> str:
            return "limited"

        @app.get("/health")
        @public("test")
        @unlimited("load balancer")
        async def health() -> str:
            return "well"

        limits = RateLimitingSettings.model_validate(
            {
                "enabled": True,
                "store": kind,
                "failure": policy,
                "timeout": TIMEOUT,
                "failure_threshold": 2,
                "cooldown": 0.05,
            }
        )
        url = SecretStr(proxy.url)
        self.stockade = Stockade(
            Settings(
                environment=Environment.TEST,
                rate_limiting=limits,
                redis_url=url if kind == "redis" else None,
                database_url=url if kind == "database" else None,
            ),
            sinks=[self.sink],
        )
        self.stockade.install(app)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://localhost")

    async def ask(self, times: int, path: str = "/limited") -> list[int]:
        """Ask so often, one after the other."""
        return [(await self.client.get(path)).status_code for _ in range(times)]

    async def ask_at_once(self, times: int, path: str = "/limited") -> list[int]:
        """Ask so often at once."""
        answers = await asyncio.gather(*(self.client.get(path) for _ in range(times)))
        return [answer.status_code for answer in answers]

    def changes(self) -> list[str]:
        """Return what was recorded of the store, one name for each change."""
        return [event.name for event in self.sink if ".store_" in event.name]

    async def recover(self) -> None:
        """Wait until the store is in charge again."""
        async with asyncio.timeout(30):
            while self.changes()[-1:] != ["rate_limiting.store_recovered"]:
                await self.ask(1)
                await asyncio.sleep(0)


@asynccontextmanager
async def running(url: str, policy: str, kind: str) -> AsyncIterator[Setting]:
    """Run an application whose store is healthy at first."""
    async with Proxy(url, late=2 * TIMEOUT) as proxy:
        setting = Setting(proxy, policy, kind)
        await setting.stockade.start()
        yield setting
        await setting.client.aclose()
        # To part from PostgreSQL takes two seconds for each connection where it does not answer.
        await proxy.set(Fault.REFUSED)
        await setting.stockade.stop()


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("database", marks=pytest.mark.postgres),
    ]
)
async def store(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Kind and address of a server of each kind."""
    if request.param == "redis":
        return "redis", request.getfixturevalue("redis_url")
    url: str = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()
    return "database", url


@pytest.mark.parametrize("fault", FAULTS)
async def test_closed_refuses(store: tuple[str, str], fault: Fault) -> None:
    """Under closed nobody passes while the store is away, nothing is a 500, and it recovers."""
    kind, url = store
    async with running(url, "closed", kind) as setting:
        assert await setting.ask(3) == [200] * 3
        await setting.proxy.set(fault)
        assert set(await setting.ask(3)) == {503}
        assert set(await setting.ask_at_once(50)) == {503}
        assert await setting.ask(3, "/health") == [200] * 3
        await setting.proxy.set(Fault.NONE)
        await setting.recover()
        # What was counted before still counts, and more may have arrived in the dark.
        assert (await setting.ask(3))[-1] == 429
        assert setting.changes()[0] == "rate_limiting.store_failed"
        assert setting.changes() == setting.changes()[:2] * (len(setting.changes()) // 2)


@pytest.mark.parametrize("fault", FAULTS)
async def test_local_still_limits(store: tuple[str, str], fault: Fault) -> None:
    """Under local the same limit holds in the process: no window is without limit."""
    kind, url = store
    async with running(url, "local", kind) as setting:
        await setting.proxy.set(fault)
        assert await setting.ask(8) == [200] * 5 + [429] * 3
        assert set(await setting.ask_at_once(50)) == {429}
        assert await setting.ask(1, "/health") == [200]


@pytest.mark.parametrize("fault", FAULTS)
async def test_others_do_not_wait(store: tuple[str, str], fault: Fault) -> None:
    """While limited requests wait for the store, other endpoints are answered."""
    kind, url = store
    async with running(url, "open", kind) as setting:
        await setting.proxy.set(fault)
        waiting = asyncio.gather(*(setting.client.get("/limited") for _ in range(20)))
        started = time.monotonic()
        healthy = await setting.ask(20, "/health")
        assert healthy == [200] * 20
        if not waiting.done():
            assert time.monotonic() - started < 30 * TIMEOUT
        assert {answer.status_code for answer in await waiting} == {200}


async def test_cut_connections(store: tuple[str, str]) -> None:
    """After all connections were cut, at most the requests that find out are refused."""
    kind, url = store
    async with running(url, "closed", kind) as setting:
        assert await setting.ask_at_once(3) == [200] * 3
        await setting.proxy.cut()
        outcomes = await setting.ask(8)
        assert set(outcomes) <= {200, 429, 503}
        assert outcomes.count(200) <= 2
        assert outcomes[-1] == 429


async def test_it_counts_no_more_than_the_limit_through_faults(store: tuple[str, str]) -> None:
    """Through one fault after another, no more pass under closed than the limit says."""
    kind, url = store
    async with running(url, "closed", kind) as setting:
        outcomes: list[int] = []
        for fault in FAULTS:
            outcomes += await setting.ask(1)
            await setting.proxy.set(fault)
            outcomes += await setting.ask_at_once(5)
            await setting.proxy.set(Fault.NONE)
            await setting.recover()
        assert outcomes.count(200) <= 5
        assert set(outcomes) <= {200, 429, 503}


class Liar:
    """A server that answers anything with the same bytes."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.answer = b""
        self._server = self.runner.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while self.answer and await reader.read(65536):
                writer.write(self.answer)
        writer.close()

    def close(self) -> None:
        """End it."""
        self._server.close()
        self.runner.close()


_RESP = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"+OK", b"$5", b"\r\n", b":1", b"*2", b"$-1", b"-ERR x", b"%1", b"=3", b"(1", b"_"]
        ),
        st.sampled_from([b"1 4 0 5", b"1 x 0 5", b"1 4 0", b"\xff", b"$7\r\n1 4 0 5\r\n"]),
    ),
    max_size=6,
).map(b"".join)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=_RESP)
@example(answer=b":1\r\n")
@example(answer=b"$-1\r\n")
@example(answer=b"*1\r\n:1\r\n")
@example(answer=b"$x\r\n")
@example(answer=b"$3\r\n1 2\r\n")
@example(answer=b"+OK\r\n+OK\r\n+1 4 0 5\r\n")
@example(answer=b"$8\r\n1 4 0 \xff5\r\n")
def test_any_answer_is_an_answer_or_an_error_of_the_store(liar: Liar, answer: bytes) -> None:
    """Whatever a server sends, it is four numbers for each limit or an error of the store."""
    liar.answer = answer

    async def ask() -> Sequence[object]:
        opened = limit_store(f"redis://127.0.0.1:{liar.port}/0", timeout=0.02)
        try:
            return await opened.acquire([LimitRequest("{a}x", RULE)])
        finally:
            await opened.close()

    try:
        states = liar.runner.run(ask())
    except StoreError:
        return
    assert len(states) == 1


@pytest.fixture
def liar() -> Iterator[Liar]:
    """A server that answers anything."""
    made = Liar()
    yield made
    made.close()
