"""Expect a declared outcome while a real server is killed, stopped or restarted."""

import asyncio
import gc
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stockade.core import SystemClock
from stockade.core.limits import LimitRule, Strategy
from stockade.errors import StoreError, UnavailableError
from stockade.events import EventLog, MemorySink
from stockade.rate_limiting import LimitRequest, LimitStore, RateLimitingSettings
from stockade.rate_limiting.errors import UnreadableBucketError
from stockade.storage import guarded_limit_store
from stockade.storage.redis import RedisLimitStore, pipeline
from tests.servers import ServerUnavailableError
from tests.servers.process import free_port
from tests.servers.redis import answers, find_server

pytestmark = pytest.mark.redis

RULE = LimitRule(amount=5, window=3600)


class Server:
    """A server of our own, which may be stopped and killed."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._port = free_port()
        self._command = [
            str(program),
            *("--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
        ]
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, empty, on the same port."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not answers(self.url):
            assert time.monotonic() < deadline

    def stop_answering(self) -> None:
        """Keep the port and all connections open but answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        """Go on, with what has come in meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word to anybody."""
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server of our own."""
    try:
        program = find_server()
    except ServerUnavailableError as error:
        pytest.skip(str(error))
    server = Server(program, tmp_path)
    server.start()
    yield server
    server.kill()


class Setting:
    """A store over the server, with what it has recorded."""

    def __init__(self, server: Server, policy: str, *, timeout: float = 0.2) -> None:
        self.sink = MemorySink()
        clock = SystemClock()
        self.store: LimitStore = guarded_limit_store(
            server.url,
            settings=RateLimitingSettings.model_validate(
                {"failure": policy, "timeout": timeout, "failure_threshold": 2, "cooldown": 0.1}
            ),
            events=EventLog([self.sink], clock=clock),
            clock=clock,
        )

    async def passes(self, key: str = "{a}x") -> bool:
        """Tell whether a request passes."""
        return all(state.allowed for state in await self.store.acquire([LimitRequest(key, RULE)]))

    async def recovers(self, key: str) -> bool:
        """Ask until the store is in charge again, and return its answer."""
        async with asyncio.timeout(30):
            while True:
                try:
                    passed = await self.passes(key)
                except UnavailableError:
                    passed = False
                if self.names()[-1:] == ["rate_limiting.store_recovered"]:
                    return passed

    def names(self) -> list[str]:
        """Return the names of the recorded events."""
        return [event.name for event in self.sink]


async def test_a_killed_server_refuses_under_closed(server: Server) -> None:
    """Under closed, requests are refused at once, and pass again once the server is back."""
    setting = Setting(server, "closed")
    assert await setting.passes()
    server.kill()
    for _ in range(4):
        with pytest.raises(UnavailableError):
            await setting.passes()
    server.start()
    assert await setting.recovers("{b}x")
    assert setting.names() == ["rate_limiting.store_failed", "rate_limiting.store_recovered"]
    await setting.store.close()


async def test_a_killed_server_is_replaced_under_local(server: Server) -> None:
    """Under local, the limit still holds while the server is away."""
    setting = Setting(server, "local")
    assert await setting.passes()
    server.kill()
    assert [await setting.passes() for _ in range(7)] == [True] * 5 + [False] * 2
    await setting.store.close()


async def test_a_stopped_server_does_not_hold_up_requests(server: Server) -> None:
    """A server that accepts and never answers costs little time, even for many requests at once."""
    setting = Setting(server, "open")
    assert await setting.passes()
    server.stop_answering()
    started = time.monotonic()
    assert all(await asyncio.gather(*(setting.passes(f"{{{n}}}x") for n in range(200))))
    assert time.monotonic() - started < 3.0
    server.answer_again()
    await setting.recovers("{c}x")
    await setting.store.close()


async def test_late_answers_reach_nobody_else(server: Server) -> None:
    """What a stopped server answers late is never taken for the answer to a later request."""
    setting = Setting(server, "closed")
    for _ in range(5):
        assert await setting.passes("{used up}x")
    for _ in range(5):
        server.stop_answering()
        with pytest.raises(UnavailableError):
            await setting.passes("{used up}x")
        server.answer_again()
        assert await setting.recovers("{other}x")
    assert not await setting.passes("{used up}x")
    await setting.store.close()


async def test_a_flushed_script_is_brought_along_again(server: Server) -> None:
    """A server that has forgotten the script gets it again, and counts no request twice."""
    setting = Setting(server, "closed", timeout=5.0)
    with redis.Redis.from_url(server.url) as client:
        outcomes = []
        for _ in range(7):
            client.script_flush()
            outcomes.append(await setting.passes())
    assert outcomes == [True] * 5 + [False] * 2
    await setting.store.close()


async def test_buckets_expire(server: Server) -> None:
    """A bucket is kept no longer than it takes to be full again."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    await store.acquire([LimitRequest("{a}x", LimitRule(amount=10, window=60))])
    with redis.Redis.from_url(server.url) as client:
        (key,) = client.scan_iter("*")
        assert key == b"stockade:limits:{a}x"
        assert 0 < client.pttl(key) <= 6002
    await store.close()


async def test_a_foreign_value_refuses(server: Server) -> None:
    """A key that holds something else is an error of the store, not a free pass."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    with redis.Redis.from_url(server.url) as client:
        client.set("stockade:limits:{a}x", "nonsense")
        client.lpush("stockade:limits:{b}x", "1")
    for key in ("{a}x", "{b}x"):
        with pytest.raises(StoreError):
            await store.acquire([LimitRequest(key, RULE)])
    await store.close()


async def test_closing_answers_who_waits(server: Server) -> None:
    """Closing the store leaves no request waiting for ever."""
    store = RedisLimitStore.from_url(server.url, timeout=30.0)
    server.stop_answering()
    waiting = asyncio.gather(
        *(store.acquire([LimitRequest(f"{{{n}}}x", RULE)]) for n in range(300)),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await store.close()
    async with asyncio.timeout(5):
        outcomes = await waiting
    assert all(isinstance(outcome, StoreError) for outcome in outcomes)


async def test_a_closed_store_opens_again(server: Server) -> None:
    """An application that stops and starts again counts on in the same store."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    await store.acquire([LimitRequest("{a}x", RULE)])
    await store.close()
    (state,) = await store.acquire([LimitRequest("{a}x", RULE)])
    assert (state.allowed, state.remaining) == (True, 3)
    await store.close()


async def test_a_request_right_after_an_answer_is_sent(server: Server) -> None:
    """A request that comes while the sender of the last one is ending is not left in the queue."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0, trips=1)
    async with asyncio.timeout(10):
        states = [(await store.acquire([LimitRequest("{a}x", RULE)]))[0] for _ in range(7)]
    assert [state.allowed for state in states] == [True] * 5 + [False] * 2
    await store.close()


async def test_several_limits_are_one_round_trip(server: Server) -> None:
    """However many limits a request has, the server is asked once."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    requests = [LimitRequest(f"{{a}}{n}", RULE) for n in range(5)]
    await store.acquire(requests)
    with redis.Redis.from_url(server.url) as client:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        await store.acquire(requests)
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before == 1
    await store.close()


async def test_a_spoiled_bucket_fails_alone(server: Server) -> None:
    """Of requests that share a trip, one whose bucket holds something else fails by itself."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    window = LimitRule(amount=5, window=3600, strategy=Strategy.FIXED_WINDOW)
    with redis.Redis.from_url(server.url) as client:
        client.lpush("stockade:limits:{list}x", "1")
        client.set("stockade:limits:{text}x", "nonsense")
        client.set("stockade:limits:{nan}x", "nan")
        client.set("stockade:limits:{window}x", "1")
    names = ["a", "list", "b", "text", "c", "nan", "d"]
    requests = [[LimitRequest(f"{{{name}}}x", RULE)] for name in names]
    requests.append([LimitRequest("{window}x", window)])
    requests.append([LimitRequest("{e}x", window)])
    # A good bucket beside a spoiled one is not charged.
    requests.append([LimitRequest("{f}x", RULE), LimitRequest("{list}x", RULE)])
    outcomes = await asyncio.gather(*map(store.acquire, requests), return_exceptions=True)
    spoiled = [isinstance(outcome, UnreadableBucketError) for outcome in outcomes]
    assert spoiled == [False, True, False, True, False, True, False, True, False, True]
    for name in ("a", "b", "c", "d"):
        assert (await store.acquire([LimitRequest(f"{{{name}}}x", RULE)]))[0].remaining == 3
    assert (await store.acquire([LimitRequest("{f}x", RULE)]))[0].remaining == 4
    await store.close()


async def test_a_spoiled_bucket_does_not_put_the_store_out_of_work(server: Server) -> None:
    """Whoever can spoil one key refuses one caller, with one event, and nobody else."""
    setting = Setting(server, "closed")
    with redis.Redis.from_url(server.url) as client:
        client.lpush("stockade:limits:{bad}x", "1")
    for _ in range(10):
        with pytest.raises(UnavailableError):
            await setting.passes("{bad}x")
    assert await setting.passes("{good}x")
    assert setting.names() == ["rate_limiting.bucket_unreadable"]
    await setting.store.close()


async def test_strategies_that_share_a_turn(server: Server) -> None:
    """Requests of different strategies that come at once are one trip and get their own answers."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    rules = [
        LimitRule(amount=number + 2, window=3600, strategy=how)
        for number, how in enumerate(Strategy)
    ]
    requests = [[LimitRequest(f"{{{rule.strategy}}}x", rule)] for rule in rules] * 2
    answers = await asyncio.gather(*map(store.acquire, requests))
    left = [state.remaining for (state,) in answers]
    assert left == [rule.amount - 1 for rule in rules] + [rule.amount - 2 for rule in rules]
    await store.close()


async def test_a_process_that_is_held_up_counts_once(server: Server) -> None:
    """A handler that blocks the loop for longer than the time limit costs nobody anything."""
    setting = Setting(server, "closed", timeout=0.05)
    await setting.passes("{warm}x")
    outcomes = []
    for _ in range(7):
        asked = asyncio.ensure_future(setting.passes())
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251 - a handler that blocks the loop
        outcomes.append(await asked)
    assert outcomes == [True] * 5 + [False] * 2
    assert setting.names() == []
    await setting.store.close()


async def test_many_that_go_away_leave_nothing_behind(server: Server) -> None:
    """Callers that are cancelled at any moment neither hold up nor disturb the others."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    rule = LimitRule(amount=100_000, window=86_400)
    passed = 0

    async def stay(number: int) -> None:
        nonlocal passed
        for _ in range(20):
            (state,) = await store.acquire([LimitRequest(f"{{stay {number}}}x", rule)])
            passed += state.allowed

    async def go(turns: int) -> None:
        for _ in range(20):
            asked = asyncio.ensure_future(store.acquire([LimitRequest("{go}x", rule)]))
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    await asyncio.gather(*map(stay, range(32)), *(go(number % 7) for number in range(32)))
    assert passed == 32 * 20
    for number in range(32):
        (state,) = await store.acquire([LimitRequest(f"{{stay {number}}}x", rule)])
        assert state.remaining == rule.amount - 21
    await store.close()


def test_loops_in_threads_share_a_store(server: Server) -> None:
    """Several event loops count in one store at once, and together exactly."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)
    rule = LimitRule(amount=100, window=86_400)
    passed: list[int] = []

    async def ask() -> int:
        async def one() -> int:
            return sum(
                [(await store.acquire([LimitRequest("{a}x", rule)]))[0].allowed for _ in range(10)]
            )

        found = sum(await asyncio.gather(*(one() for _ in range(8))))
        await store.give_back([])
        return found

    async def main() -> None:
        passed.append(await ask())
        await asyncio.sleep(0)

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    with warnings.catch_warnings():
        # A loop that ends without `close` leaves its connections to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(store.close())
        gc.collect()
    assert sum(passed) == 100
    assert len(passed) == 4


def test_a_loop_that_ends_in_the_middle(server: Server) -> None:
    """A loop that is closed with requests under way leaves the store usable in the next one."""
    store = RedisLimitStore.from_url(server.url, timeout=5.0)

    async def begin() -> None:
        await store.ping()
        server.stop_answering()
        for number in range(100):
            asyncio.ensure_future(store.acquire([LimitRequest(f"{{{number}}}x", RULE)]))  # noqa: RUF006 - nobody waits
        await asyncio.sleep(0.02)

    async def go_on() -> list[bool]:
        asked = [LimitRequest("{next}x", RULE)]
        found = [(await store.acquire(asked))[0].allowed for _ in range(6)]
        await store.close()
        return found

    with warnings.catch_warnings():
        # What the first loop has left open is the collector's.
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(begin())
        server.answer_again()
        assert asyncio.run(go_on()) == [True] * 5 + [False]
        gc.collect()


async def test_a_connection_that_was_closed_while_idle(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever closes idle connections refuses nobody."""
    monkeypatch.setattr(pipeline, "_IDLE", 0.0)
    setting = Setting(server, "closed")
    assert await setting.passes()
    with redis.Redis.from_url(server.url) as client:
        for _ in range(3):
            client.client_kill_filter(_type="normal", skipme=True)
            # The end of the connection has come when the server has answered another one since.
            for _ in range(2):
                await asyncio.to_thread(client.ping)
            outcomes = await asyncio.gather(*(setting.passes(f"{{{n}}}x") for n in range(20)))
            assert outcomes == [True] * 20
    assert setting.names() == []
    await setting.store.close()


async def test_what_fails_together_is_one_failure(server: Server) -> None:
    """Many requests in one lost trip don't put the store out of work; several lost trips do."""
    setting = Setting(server, "closed", timeout=0.1)
    await setting.passes("{warm}x")
    server.stop_answering()
    asked = [asyncio.ensure_future(setting.passes(f"{{{n}}}x")) for n in range(20)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in outcomes} == {UnavailableError}
    server.answer_again()
    # The breaker opens after two failures, and this was one.
    assert await setting.passes("{next}x")
    assert setting.names() == ["rate_limiting.store_failed", "rate_limiting.store_recovered"]
    await setting.store.close()
