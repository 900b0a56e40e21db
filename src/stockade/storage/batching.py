"""Ask a server for many requests in few round trips.

Requests that arrive while an answer is under way wait in a queue and are sent together, so a busy
process makes few large trips instead of many small ones. A request alone is sent at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from stockade.errors import StoreError
from stockade.rate_limiting.gcra import MICROSECONDS
from stockade.rate_limiting.models import LimitRequest, LimitState

# The server decides about a batch in one go and lets nobody else in meanwhile: 64 requests take
# Redis about half a millisecond.
_MOST_TOGETHER: Final = 64

_Waiting = tuple[Sequence[LimitRequest], asyncio.Future[Sequence[LimitState]]]


class Batcher:
    """Collect requests that come while others are under way, and send them together.

    It is used from one event loop.

    Args:
        run: Sends the requests of a batch and returns the states of each.
        away: Makes the error of a server that does not answer, from its cause.
        trips: Round trips under way at most.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Sequence[LimitRequest]]], Awaitable[list[list[LimitState]]]],
        *,
        away: Callable[[BaseException | None], StoreError],
        trips: int,
    ) -> None:
        self._run = run
        self._away = away
        self._trips = trips
        self._queue: deque[_Waiting] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._sending = 0  # Not their number: a sender that has left its loop counts no more.
        self._closed = False

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Send a request, alone or with others.

        Raises:
            StoreError: The server could not answer.
        """
        if self._closed:
            raise self._away(None)
        if self._sending < self._trips and not self._queue:
            return await self._send_alone(requests)
        answer: asyncio.Future[Sequence[LimitState]] = asyncio.get_running_loop().create_future()
        self._queue.append((requests, answer))
        self._start_sender()
        return await answer

    async def close(self) -> None:
        """Give up what is under way, and refuse what comes until `reopen`."""
        self._closed = True
        for sender in tuple(self._senders):
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        waiting = [self._queue.popleft() for _ in range(len(self._queue))]
        self._fail(waiting, self._away(None))

    def reopen(self) -> None:
        """Take requests again."""
        self._closed = False

    async def _send_alone(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        self._sending += 1
        try:
            (states,) = await self._run([requests])
        finally:
            self._sending -= 1
            self._start_sender()
        return states

    def _start_sender(self) -> None:
        """Send what has queued up, in a task of its own.

        A caller that is cancelled must not cancel the others whose requests it has sent along.
        """
        if self._queue and self._sending < self._trips and not self._closed:
            self._sending += 1
            sender = asyncio.create_task(self._send_all())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    async def _send_all(self) -> None:
        try:
            while batch := self._next_batch():
                await self._send(batch)
        finally:
            self._sending -= 1

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        try:
            replies = await self._run([requests for requests, _ in batch])
        except asyncio.CancelledError as error:
            self._fail(batch, self._away(error))
            raise
        except Exception as error:  # Whatever it is, those who wait must hear of it.  # noqa: BLE001
            self._fail(batch, error)
        else:
            for (_, answer), states in zip(batch, replies, strict=True):
                if not answer.done():
                    answer.set_result(states)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < _MOST_TOGETHER:
            waiting = self._queue.popleft()
            # Where the caller has gone away meanwhile, nothing is taken.
            if not waiting[1].done():
                batch.append(waiting)
        return batch

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        for _, answer in batch:
            if not answer.done():
                # Each gets an error of its own, since raising one changes it.
                own = self._away(error.__cause__) if isinstance(error, StoreError) else error
                answer.set_exception(own)


def read_states(reply: object, batch: Sequence[Sequence[LimitRequest]]) -> list[list[LimitState]]:
    """Read the states of each request of a batch from the text that a server answers.

    Args:
        reply: Four numbers for each bucket: 1 or 0 for whether it had enough, what remains, and the
            microseconds until the same request would pass and until the bucket is full.
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
    return [
        [
            LimitState(
                allowed=next(given) == 1,
                remaining=next(given),
                retry_after=next(given) / MICROSECONDS,
                reset_after=next(given) / MICROSECONDS,
            )
            for _ in requests
        ]
        for requests in batch
    ]


def read_window_states(
    reply: object, batch: Sequence[Sequence[LimitRequest]]
) -> list[list[LimitState]]:
    """Read the same where buckets count by windows: the moment of the decision stands at the end.

    Raises:
        StoreError: The reply is something else.
    """
    text = reply.decode("ascii", "replace") if isinstance(reply, bytes) else reply
    numbers, _, moment = text.rpartition(" ") if isinstance(text, str) else ("", "", "")
    states = read_states(numbers, batch)
    try:
        at = int(moment)
    except ValueError as error:
        raise StoreError("the store of the limits has answered with something else") from error
    return [[replace(state, at=at) for state in each] for each in states]
