import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from stockade.authentication import BcryptHasher, HashingPool, PasswordTooLongError
from stockade.errors import UnavailableError

HASHER = BcryptHasher(cost=4)
PASSWORD = "correct horse battery staple"
STORED = HASHER.hash(PASSWORD)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """A gate that work waits at; open in the end, so that no thread is left."""
    opened = threading.Event()
    yield opened
    opened.set()


@pytest.fixture
def make_pool() -> Iterator[Callable[[int, int], HashingPool]]:
    """Make pools that are closed in the end."""
    made: list[HashingPool] = []

    def make(threads: int, queue: int) -> HashingPool:
        made.append(HashingPool(threads=threads, queue=queue))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


MakePool = Callable[[int, int], HashingPool]


async def test_the_result_comes_back(make_pool: MakePool) -> None:
    """A function runs with its arguments in a thread of its own, and its errors are passed on."""
    pool = make_pool(1, 1)
    assert await pool.run(HASHER.verify, PASSWORD, STORED)
    assert await pool.run(threading.current_thread) is not threading.current_thread()
    with pytest.raises(PasswordTooLongError):
        await pool.run(HASHER.hash, "a" * 73)
    assert pool._waiting == 0


async def test_a_full_queue_refuses(make_pool: MakePool, gate: threading.Event) -> None:
    """One call more than threads and queue hold is refused at once, and the rest go on."""
    pool = make_pool(2, 3)
    running = [asyncio.create_task(pool.run(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError) as caught:
        await pool.run(gate.wait)
    assert caught.value.reason == "authentication.hashing_queue_full"
    assert caught.value.retry_after.total_seconds() > 0
    gate.set()
    assert await asyncio.gather(*running) == [True] * 5
    assert await pool.run(gate.wait)


async def test_a_client_that_leaves_keeps_its_place(
    make_pool: MakePool, gate: threading.Event
) -> None:
    """A cancelled wait still occupies a thread, so a flood of short connections gains nothing."""
    pool = make_pool(1, 1)
    running = [asyncio.create_task(pool.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    with pytest.raises(UnavailableError):
        await pool.run(gate.wait)
    gate.set()
    # The one thread takes this after the calls that nobody waits for any more.
    assert pool._executor is not None
    await asyncio.wrap_future(pool._executor.submit(gate.wait))
    assert pool._waiting == 0
    assert await pool.run(gate.wait)


async def test_the_event_loop_goes_on_while_a_password_is_hashed(make_pool: MakePool) -> None:
    """Other requests are served meanwhile: hashing never runs on the loop."""
    pool = make_pool(1, 1)
    slow = BcryptHasher(cost=10)
    hashing = asyncio.create_task(pool.run(slow.verify, PASSWORD, None))
    ticks = 0
    while not hashing.done():
        await asyncio.sleep(0)
        ticks += 1
    assert ticks > 10
    assert await hashing is False


async def test_a_closed_pool_starts_anew(make_pool: MakePool) -> None:
    """Closing gives the threads back; an application that starts again gets new ones."""
    pool = make_pool(1, 1)
    pool.close()
    assert await pool.run(len, "abc") == 3
    pool.close()
    pool.close()
    assert await pool.run(len, "ab") == 2
    assert pool._waiting == 0
