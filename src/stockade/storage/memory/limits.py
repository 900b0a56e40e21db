"""Keep buckets in this process, and never more than a fixed number of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Final

from stockade.core.clock import Clock, SystemClock
from stockade.core.limits import LimitRule, Strategy
from stockade.rate_limiting.gcra import MICROSECONDS, capacity_of, stand, take
from stockade.rate_limiting.leases import LocalPlaces
from stockade.rate_limiting.models import (
    Charge,
    LimitRequest,
    LimitState,
    Refund,
    UnitRefund,
)
from stockade.rate_limiting.windows import Window, stand_of_window, take_from_window
from stockade.storage.memory.windows import WindowBuckets

# Buckets looked at for each new one: two keep up with what expires, eight are a fair sample of what
# is least worth keeping.
_SWEEP: Final = 2
_SAMPLE: Final = 8

# When the bucket is full again, and its capacity, both in microseconds.
_Bucket = tuple[int, int]


class MemoryLimitStore:
    """Buckets in memory, for one process; safe for several threads.

    A flood of distinct callers must not make it grow, and must not make it forget somebody who is
    being refused: with no room left, it gives up the emptiest debt of a sample, so a bucket that
    has been used up stays as long as untouched ones are about. To flush it, an attacker would have
    to use up most of ``max_keys`` buckets, which takes that many addresses.

    Args:
        clock: Source of time.
        max_keys: Buckets kept at most.
    """

    def __init__(self, *, clock: Clock | None = None, max_keys: int = 100_000) -> None:
        self._monotonic = (clock or SystemClock()).monotonic
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._windows = WindowBuckets(max_keys)
        self._places = LocalPlaces()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._buckets) + len(self._windows)

    @property
    def strategies(self) -> frozenset[Strategy]:
        """Strategies by which it can count: all."""
        return frozenset(Strategy)

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little."""
        with self._lock:
            return self._acquire(requests, now=int(self._monotonic() * MICROSECONDS))

    def charge(self, keys: Sequence[str], charges: Sequence[Charge]) -> Sequence[int] | None:
        """Take from all buckets at once; None, and nothing taken, where `acquire` has to decide."""
        buckets = self._buckets
        debts: list[int] = []
        with self._lock:
            now = int(self._monotonic() * MICROSECONDS)
            # Both have the same length; saying so would cost as much as looking a bucket up.
            for key, (amount, capacity) in zip(keys, charges):  # noqa: B905
                debt = amount
                bucket = buckets.get(key)
                if bucket is not None and bucket[0] > now:
                    debt += bucket[0] - now
                if debt > capacity:
                    return None
                debts.append(debt)
            if len(keys) > 1 and len(set(keys)) < len(keys):
                return None
            for key, debt, (_, capacity) in zip(keys, debts, charges):  # noqa: B905
                if key not in buckets:
                    self._make_room(now)
                buckets[key] = (now + debt, capacity)
        return debts

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all."""
        with self._lock:
            for key in [key for key in self._buckets if key.startswith(prefix)]:
                del self._buckets[key]
            self._windows.forget(prefix)
        self._places.forget(prefix)

    def clear(self) -> None:
        """Forget all buckets."""
        with self._lock:
            self._buckets.clear()
            self._windows.forget("")
        self._places.forget("")

    async def give_back(self, refunds: Sequence[Refund | UnitRefund]) -> None:
        """Give back what should not have been taken."""
        with self._lock:
            now = int(self._monotonic() * MICROSECONDS)
            for refund in refunds:
                if isinstance(refund, UnitRefund):
                    self._windows.give_back(refund)
                    continue
                bucket = self._buckets.get(refund.key)
                if bucket is not None:
                    full_at = max(now, bucket[0] - refund.amount)
                    self._buckets[refund.key] = (full_at, bucket[1])

    @property
    def leases_end(self) -> bool:
        """Whether a place that nobody renews becomes free: no, it ends with the process."""
        return False

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, unless all of them are held; False means that none was free."""
        return await self._places.hold(key, token, limit=limit, seconds=seconds)

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Do nothing: what is in memory ends with the process."""

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held."""
        await self._places.release(key, token)

    async def ping(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _acquire(self, requests: Sequence[LimitRequest], *, now: int) -> list[LimitState]:
        if any(request.rule.strategy is not Strategy.GCRA for request in requests):
            return self._acquire_mixed(requests, now)
        if len(requests) == 1:
            return [self._acquire_one(requests[0], now)]
        debts: dict[str, int] = {}  # By key, so that a bucket that is named twice is charged twice.
        standing: list[int] = []
        states: list[LimitState] = []
        passed = True
        for request in requests:
            debt = debts.get(request.key)
            if debt is None:
                debt = self._debt(request, now)
            standing.append(debt)
            debts[request.key], state = take(debt, request.rule)
            states.append(state)
            passed = passed and state.allowed
        if passed:
            for request in requests:
                self._put(request, now + debts[request.key], now)
            return states
        return [
            stand(debt, request.rule) if state.allowed else state
            for request, state, debt in zip(requests, states, standing, strict=True)
        ]

    def _acquire_mixed(self, requests: Sequence[LimitRequest], now: int) -> list[LimitState]:
        """Do the same where some of the buckets count by windows."""
        debts: dict[str, int] = {}
        windows: dict[str, Window] = {}
        standing: list[int | Window] = []
        states: list[LimitState] = []
        for request in requests:
            key, rule = request.key, request.rule
            if rule.strategy is Strategy.GCRA:
                debt = debts[key] if key in debts else self._debt(request, now)
                standing.append(debt)
                debts[key], state = take(debt, rule)
            else:
                window = windows[key] if key in windows else self._windows.find(key, rule)
                standing.append(window)
                windows[key], state = take_from_window(window, rule, now)
            states.append(state)
        if not all(state.allowed for state in states):
            return [
                _stand(before, request.rule, now) if state.allowed else state
                for request, state, before in zip(requests, states, standing, strict=True)
            ]
        states = [state._replace(at=now) for state in states]
        for request, state in zip(requests, states, strict=True):
            if request.key in debts:
                self._put(request, now + debts[request.key], now)
            elif request.rule.cost:
                window = windows[request.key]
                self._windows.put(request.key, window, request.rule, left=state.remaining, now=now)
        return states

    def _acquire_one(self, request: LimitRequest, now: int) -> LimitState:
        """Do the same for one bucket, which is what most requests ask for, at half the cost."""
        debt, state = take(self._debt(request, now), request.rule)
        if state.allowed:
            self._put(request, now + debt, now)
        return state

    def _debt(self, request: LimitRequest, now: int) -> int:
        bucket = self._buckets.get(request.key)
        if bucket is None or bucket[0] <= now:
            return 0
        return min(bucket[0] - now, capacity_of(request.rule))

    def _put(self, request: LimitRequest, full_at: int, now: int) -> None:
        if request.key not in self._buckets:
            self._make_room(now)
        self._buckets[request.key] = (full_at, capacity_of(request.rule))

    def _make_room(self, now: int) -> None:
        """Drop what has expired among the next few in line, and one more if there is no room.

        Those that stay go to the end of the line, so that all get their turn and one that lives
        long does not hide others that have expired.
        """
        full = len(self._buckets) >= self._max_keys
        sample: list[tuple[float, str]] = []
        for _ in range(min(_SAMPLE if full else _SWEEP, len(self._buckets))):
            key, bucket = self._buckets.popitem(last=False)
            if bucket[0] <= now:
                full = False
                continue
            self._buckets[key] = bucket
            sample.append(((bucket[0] - now) / bucket[1], key))
        if full:
            del self._buckets[min(sample)[1]]


def _stand(before: int | Window, rule: LimitRule, now: int) -> LimitState:
    if isinstance(before, int):
        return stand(before, rule)
    return stand_of_window(before, rule, now)
