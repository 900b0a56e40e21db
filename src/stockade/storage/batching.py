"""Ask a server for many requests in few round trips.

Requests that come in one turn of the event loop, or while as many trips as may be are under way,
are sent together: a busy process makes few large trips instead of many small ones. A request alone
is sent in the next turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from stockade.errors import StoreError
from stockade.rate_limiting.errors import UnreadableBucketError
from stockade.rate_limiting.gcra import MICROSECONDS
from stockade.rate_limiting.models import LimitRequest, LimitState

# The server decides about a batch in one go and lets nobody else in meanwhile: 64 buckets take
# Redis about a quarter of a millisecond.
MOST_TOGETHER: Final = 64

Outcome = Sequence[LimitState] | StoreError
"""The states of a request, or why it alone has none."""

Run = Callable[[Sequence[Sequence[LimitRequest]]], Awaitable[Sequence[Outcome]]]


class _Batch:
    """Requests that are sent together, with the one moment at which their time is over."""

    __slots__ = ("buckets", "excused", "task", "timer", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[Sequence[LimitRequest], asyncio.Future[Sequence[LimitState]]]] = []
        self.buckets = 0
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.excused = False

    def fail(
        self, away: Callable[[BaseException | None], StoreError], error: BaseException
    ) -> None:
        """Tell all who still wait; each gets an error of its own, since raising one changes it."""
        cause = error.__cause__ if isinstance(error, StoreError) else error
        for _, answer in self.waiting:
            if not answer.done():
                answer.set_exception(away(cause))


class Batcher:
    """Collect requests and send them together, first come, first served.

    A request that is cancelled leaves the others of its batch alone; one that the server can't
    decide fails by itself. It is used from one event loop.

    Args:
        run: Sends the requests of a batch and returns the outcome of each.
        away: Makes the error of a server that does not answer, from its cause.
        trips: Round trips under way at most.
        timeout: Seconds within which a request is answered, its time in line included; without it,
            a request waits for as long as `run` takes.
    """

    def __init__(
        self,
        run: Run,
        *,
        away: Callable[[BaseException | None], StoreError],
        trips: int,
        timeout: float | None = None,
    ) -> None:
        self._run = run
        self._away = away
        self._trips = trips
        self._timeout = timeout
        self._queue: deque[_Batch] = deque()
        self._open: _Batch | None = None  # The last in the queue, if it has room.
        self._under_way: set[_Batch] = set()
        self._flushing = False
        self._closed = False

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Send a request, alone or with others.

        Raises:
            StoreError: The server could not answer, or not in time.
        """
        if self._closed:
            raise self._away(None)
        loop = asyncio.get_running_loop()
        batch = self._open
        if batch is None or batch.buckets + len(requests) > MOST_TOGETHER:
            batch = self._open = _Batch()
            self._queue.append(batch)
            if self._timeout is not None:
                batch.timer = loop.call_later(self._timeout, self._expire, batch)
            if not self._flushing and len(self._under_way) < self._trips:
                self._flushing = True
                loop.call_soon(self._flush)
        answer: asyncio.Future[Sequence[LimitState]] = loop.create_future()
        batch.waiting.append((requests, answer))
        batch.buckets += len(requests)
        return await answer

    async def close(self) -> None:
        """Give up what is under way, and refuse what comes."""
        self._closed = True
        tasks = [batch.task for batch in self._under_way if batch.task is not None]
        for task in tasks:
            task.cancel()
        waiting, self._queue, self._open = self._queue, deque(), None
        await asyncio.gather(*tasks, return_exceptions=True)
        for batch in (*waiting, *self._under_way):
            self._stop(batch)
            batch.fail(self._away, self._away(None))

    def _flush(self) -> None:
        self._flushing = False
        while self._queue and len(self._under_way) < self._trips:
            batch = self._queue.popleft()
            if batch is self._open:
                self._open = None
            # Where the caller has gone away meanwhile, nothing is taken.
            batch.waiting = [each for each in batch.waiting if not each[1].done()]
            if batch.waiting:
                self._under_way.add(batch)
                # A task of its own: no caller that is cancelled cancels the others.
                batch.task = asyncio.get_running_loop().create_task(self._send(batch))
                # Not at the end of the task, which never begins where it is cancelled at once.
                batch.task.add_done_callback(partial(self._finish, batch))
            else:
                self._stop(batch)

    async def _send(self, batch: _Batch) -> None:
        try:
            outcomes = await self._run([requests for requests, _ in batch.waiting])
            for (_, answer), outcome in zip(batch.waiting, outcomes, strict=True):
                if answer.done():
                    continue
                if isinstance(outcome, StoreError):
                    answer.set_exception(outcome)
                else:
                    answer.set_result(outcome)
        except StoreError as error:
            batch.fail(self._away, error)
        except Exception as error:  # Whatever it is, those who wait must hear of it.  # noqa: BLE001
            for _, answer in batch.waiting:
                if not answer.done():
                    answer.set_exception(error)

    def _finish(self, batch: _Batch, task: asyncio.Task[None]) -> None:
        self._stop(batch)
        if task.cancelled():
            batch.fail(self._away, self._away(None))
        self._under_way.discard(batch)
        self._flush()

    def _expire(self, batch: _Batch) -> None:
        loop = asyncio.get_running_loop()
        timeout, timer = self._timeout, batch.timer
        if timeout is None or timer is None:
            return
        if not batch.excused and loop.time() - timer.when() >= timeout:
            # A timer that fires so late says that this process was held up, by a handler that
            # blocks the event loop, and nothing about the server, whose answer may lie ready.
            batch.excused = True
            batch.timer = loop.call_later(timeout, self._expire, batch)
            return
        batch.fail(self._away, TimeoutError())
        if batch.task is not None:
            batch.task.cancel()

    def _stop(self, batch: _Batch) -> None:
        if batch.timer is not None:
            batch.timer.cancel()


def read_states(reply: object, batch: Sequence[Sequence[LimitRequest]]) -> list[Outcome]:
    """Read the outcome of each request of a batch from the text that a server answers.

    Args:
        reply: Four numbers for each bucket: 1 or 0 for whether it had enough, what remains, and the
            microseconds until the same request would pass, which are below 0 where there is
            something else than a bucket, and until the bucket is full.
        batch: What was asked.

    Raises:
        StoreError: The reply is something else.
    """
    try:
        numbers = [int(part) for part in reply.split()] if isinstance(reply, bytes | str) else []
    except ValueError:
        numbers = []
    if len(numbers) != 4 * sum(map(len, batch)):
        raise StoreError("the store of the limits has answered with something else")
    given = iter(numbers)
    states = [
        LimitState(passed == 1, remaining, wait / MICROSECONDS, debt / MICROSECONDS)
        for passed, remaining, wait, debt in zip(given, given, given, given, strict=True)
    ]
    outcomes: list[Outcome] = []
    for requests in batch:
        own, states = states[: len(requests)], states[len(requests) :]
        readable = all(state.retry_after >= 0 for state in own)
        outcomes.append(own if readable else UnreadableBucketError())
    return outcomes


def read_window_states(reply: object, batch: Sequence[Sequence[LimitRequest]]) -> list[Outcome]:
    """Read the same where buckets count by windows: the moment of the decision stands at the end.

    Raises:
        StoreError: The reply is something else.
    """
    text = reply.decode("ascii", "replace") if isinstance(reply, bytes) else reply
    numbers, _, moment = text.rpartition(" ") if isinstance(text, str) else ("", "", "")
    outcomes = read_states(numbers, batch)
    try:
        at = int(moment)
    except ValueError as error:
        raise StoreError("the store of the limits has answered with something else") from error
    return [
        each if isinstance(each, StoreError) else [state._replace(at=at) for state in each]
        for each in outcomes
    ]
