"""Expect requests that are sent together to share a trip and nothing else."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from stockade.core.limits import LimitRule
from stockade.errors import StoreError
from stockade.rate_limiting import LimitRequest, LimitState
from stockade.rate_limiting.errors import UnreadableBucketError
from stockade.storage.batching import MOST_TOGETHER, Batcher, Outcome

RULE = LimitRule(amount=5, window=3600)
WELL = LimitState(True, 4, 0.0, 1.0)


def ask(name: str, buckets: int = 1) -> list[LimitRequest]:
    """Ask for a number of buckets."""
    return [LimitRequest(f"{{{name}}}{number}", RULE) for number in range(buckets)]


class Server:
    """A server that notes what it is asked, and answers once it is let."""

    def __init__(self, *, open_: bool = True) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        self.judge: Callable[[Sequence[LimitRequest]], Outcome] = lambda asked: [WELL] * len(asked)
        if open_:
            self.gate.set()

    async def run(self, batch: Sequence[Sequence[LimitRequest]]) -> list[Outcome]:
        """Answer a batch."""
        self.batches.append([requests[0].key for requests in batch])
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [self.judge(requests) for requests in batch]

    def batcher(self, *, trips: int = 4, timeout: float | None = 5.0) -> Batcher:
        """Make a batcher before it."""
        return Batcher(self.run, away=away, trips=trips, timeout=timeout)


def away(cause: BaseException | None) -> StoreError:
    """Make an error, as a store does."""
    error = StoreError("away")
    error.__cause__ = cause
    return error


async def test_what_comes_in_one_turn_is_one_trip() -> None:
    """Requests of one turn of the loop are sent together, in the order in which they came."""
    server = Server()
    batcher = server.batcher()
    await asyncio.gather(*(batcher.acquire(ask(str(number))) for number in range(20)))
    assert server.batches == [[f"{{{number}}}0" for number in range(20)]]


async def test_a_batch_is_bounded_and_fair() -> None:
    """However many come at once, no batch has more buckets than may be, and the first go first."""
    server = Server()
    batcher = server.batcher(trips=1)
    order: list[int] = []

    async def one(number: int) -> None:
        await batcher.acquire(ask(str(number), 3))
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(200)))
    assert max(map(len, server.batches)) == MOST_TOGETHER // 3
    assert [key for batch in server.batches for key in batch] == [
        f"{{{number}}}0" for number in range(200)
    ]
    assert order == sorted(order)


async def test_a_request_with_very_many_buckets_goes_alone() -> None:
    """A request that is larger than a batch is not split, since it is decided as a whole."""
    server = Server()
    batcher = server.batcher()
    big = batcher.acquire(ask("big", MOST_TOGETHER + 1))
    states = await asyncio.gather(batcher.acquire(ask("a")), big, batcher.acquire(ask("b")))
    assert list(map(len, states)) == [1, MOST_TOGETHER + 1, 1]
    assert server.batches == [["{a}0"], ["{big}0"], ["{b}0"]]


async def test_no_more_trips_than_may_be() -> None:
    """While as many trips as may be are under way, requests wait and go together."""
    server = Server(open_=False)
    batcher = server.batcher(trips=2)
    waiting = []
    for number in range(10):
        waiting.append(asyncio.create_task(batcher.acquire(ask(str(number)))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(server.batches) == 2
    server.gate.set()
    await asyncio.gather(*waiting)
    assert sum(map(len, server.batches)) == 10
    assert len(server.batches) == 3


@pytest.mark.parametrize("which", ["first", "last"])
@pytest.mark.parametrize("sent", [False, True], ids=["in line", "under way"])
async def test_one_who_goes_away_leaves_the_others_alone(which: str, sent: bool) -> None:
    """A request that is cancelled, in line or under way, changes nothing for the others."""
    server = Server(open_=False)
    batcher = server.batcher()
    waiting = [asyncio.create_task(batcher.acquire(ask(str(number)))) for number in range(5)]
    await asyncio.sleep(0)
    if sent:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(server.batches) == 1
    gone = waiting.pop(0 if which == "first" else -1)
    gone.cancel()
    server.gate.set()
    assert await asyncio.gather(*waiting) == [[WELL]] * 4
    assert gone.cancelled()
    assert len(server.batches[0]) == (5 if sent else 4)


async def test_all_of_a_batch_go_away() -> None:
    """Nothing is sent for those who have all gone, and the next one is served."""
    server = Server()
    batcher = server.batcher(trips=1)
    waiting = [asyncio.create_task(batcher.acquire(ask(str(number)))) for number in range(5)]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await batcher.acquire(ask("next")) == [WELL]
    assert server.batches == [["{next}0"]]


async def test_one_that_can_not_be_decided_fails_alone() -> None:
    """A request whose bucket can't be read fails, and the others of its batch do not."""
    server = Server()
    server.judge = lambda asked: (
        UnreadableBucketError() if asked[0].key == "{bad}0" else [WELL] * len(asked)
    )
    batcher = server.batcher()
    outcomes = await asyncio.gather(
        *(batcher.acquire(ask(name)) for name in ("a", "bad", "b")), return_exceptions=True
    )
    assert outcomes[0] == outcomes[2] == [WELL]
    assert isinstance(outcomes[1], UnreadableBucketError)


@pytest.mark.parametrize("error", [StoreError("away"), ZeroDivisionError()])
async def test_a_batch_that_fails(error: Exception) -> None:
    """All of a batch that fails hear of it, and the next one is served."""
    server = Server()
    server.error = error
    batcher = server.batcher(trips=1)
    outcomes = await asyncio.gather(
        *(batcher.acquire(ask(str(number))) for number in range(3)), return_exceptions=True
    )
    assert {type(each) for each in outcomes} == {type(error)}
    server.error = None
    assert await batcher.acquire(ask("next")) == [WELL]


async def test_each_has_an_error_of_its_own() -> None:
    """What one caller does with his error is not seen by another."""
    server = Server()
    server.error = StoreError("away")
    batcher = server.batcher()
    outcomes = await asyncio.gather(
        *(batcher.acquire(ask(str(number))) for number in range(3)), return_exceptions=True
    )
    assert len(set(map(id, outcomes))) == 3


async def test_time_is_over_in_line_as_well() -> None:
    """Those under way and those in line fail once their time is over; later ones are served."""
    server = Server(open_=False)
    batcher = server.batcher(trips=1, timeout=0.02)
    outcomes = await asyncio.gather(
        *(batcher.acquire(ask(str(number), 40)) for number in range(6)), return_exceptions=True
    )
    assert {type(each) for each in outcomes} == {StoreError}
    causes = {type(each.__cause__) for each in outcomes if isinstance(each, StoreError)}
    assert causes == {TimeoutError}
    server.gate.set()
    assert await batcher.acquire(ask("next")) == [WELL]


async def test_a_process_that_is_held_up_waits_once_more() -> None:
    """An answer that lies ready when a blocked loop goes on is taken, and nothing is sent twice."""
    server = Server(open_=False)
    batcher = server.batcher(timeout=0.02)
    waiting = asyncio.create_task(batcher.acquire(ask("a")))
    await asyncio.sleep(0.005)
    asyncio.get_running_loop().call_soon(server.gate.set)
    time.sleep(0.1)  # noqa: ASYNC251 - a handler that blocks the loop
    assert await waiting == [WELL]
    assert len(server.batches) == 1


async def test_closing_answers_all() -> None:
    """Closing leaves nobody waiting, before and after his batch was sent."""
    server = Server(open_=False)
    batcher = server.batcher(trips=1)
    waiting = [asyncio.create_task(batcher.acquire(ask(str(n), 40))) for n in range(4)]
    await asyncio.sleep(0)
    await batcher.close()
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert {type(each) for each in outcomes} == {StoreError}
    with pytest.raises(StoreError):
        await batcher.acquire(ask("late"))
