"""Decide whether a bucket has enough by windows, in whole microseconds.

A fixed window begins with the first unit that is taken. A sliding window counter keeps the counts
of this and of the last window and takes the last one's as if it had been spread evenly. A moving
window remembers when each unit was taken and is exact at any moment.

Where the clock of a server goes back, what was taken later counts as taken now: nothing is given
away, and nobody is refused for longer than the windows last.

The same arithmetic runs in Redis and in PostgreSQL; all are compared with a slow reference in the
tests.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from stockade.core.limits import LimitRule, Strategy
from stockade.rate_limiting.gcra import MICROSECONDS, interval_of
from stockade.rate_limiting.models import LimitRequest, LimitState


class FixedWindow(NamedTuple):
    """What was taken, and when it is forgotten."""

    end: int
    used: int


class SlidingWindow(NamedTuple):
    """Number of the window since the clock's beginning, and what the last and this one gave."""

    number: int
    last: int
    used: int


class MovingWindow(NamedTuple):
    """When each unit was taken, oldest first."""

    taken: tuple[int, ...]


Window = FixedWindow | SlidingWindow | MovingWindow

EMPTY: Final[dict[Strategy, Window]] = {
    Strategy.FIXED_WINDOW: FixedWindow(0, 0),
    Strategy.SLIDING_WINDOW_COUNTER: SlidingWindow(0, 0, 0),
    Strategy.MOVING_WINDOW: MovingWindow(()),
}
"""The state of a bucket that nobody has taken from, by strategy."""

CODES: Final = {
    Strategy.GCRA: 0,
    Strategy.FIXED_WINDOW: 1,
    Strategy.SLIDING_WINDOW_COUNTER: 2,
    Strategy.MOVING_WINDOW: 3,
}
"""The numbers by which the scripts and functions of servers know the strategies."""


def length_of(rule: LimitRule) -> int:
    """Return the microseconds of a window, or of one unit where GCRA counts."""
    return interval_of(rule) if rule.strategy is Strategy.GCRA else rule.window * MICROSECONDS


def names_windows(batch: Sequence[Sequence[LimitRequest]]) -> bool:
    """Tell whether any bucket of a batch counts by windows."""
    return any(
        request.rule.strategy is not Strategy.GCRA for requests in batch for request in requests
    )


def take_from_window(window: Window, rule: LimitRule, now: int) -> tuple[Window, LimitState]:
    """Take from a bucket.

    Args:
        window: Its state, which was made under the same rule.
        rule: What the bucket holds and what is taken.
        now: Microseconds since some fixed moment.

    Returns:
        The state after it, with nothing taken if there was not enough, and how the bucket stands.
    """
    if isinstance(window, FixedWindow):
        return _take_fixed(window, rule, now)
    if isinstance(window, SlidingWindow):
        return _take_sliding(window, rule, now)
    return _take_moving(window, rule, now)


def stand_of_window(window: Window, rule: LimitRule, now: int) -> LimitState:
    """Tell how a bucket stands that was not touched, since another one had too little."""
    # To take nothing is refused only where there is less than nothing left: as one that passes.
    state = take_from_window(window, replace(rule, cost=0), now)[1]
    return state._replace(allowed=True, retry_after=0.0)


def give_back(window: Window, rule: LimitRule, at: int) -> Window:
    """Give back what was taken, unless time has done so.

    Args:
        window: The state of the bucket.
        rule: What was taken.
        at: Microsecond at which it was taken.
    """
    if isinstance(window, FixedWindow):
        began = window.end - rule.window * MICROSECONDS
        if not began <= at < window.end:
            return window
        # A window without units has not begun.
        left = window.used - rule.cost
        return window._replace(used=left) if left > 0 else FixedWindow(0, 0)
    if isinstance(window, SlidingWindow):
        age = window.number - at // (rule.window * MICROSECONDS)
        if age == 0:
            return window._replace(used=max(0, window.used - rule.cost))
        return window._replace(last=max(0, window.last - rule.cost)) if age == 1 else window
    first, end = bisect_left(window.taken, at), bisect_right(window.taken, at)
    end = min(end, first + rule.cost)
    return MovingWindow(window.taken[:first] + window.taken[end:])


def expiry_of(window: Window, rule: LimitRule) -> int:
    """Return the microsecond at which a bucket is as good as new."""
    length = rule.window * MICROSECONDS
    if isinstance(window, FixedWindow):
        return window.end
    if isinstance(window, SlidingWindow):
        return (window.number + 2) * length
    return window.taken[-1] + length if window.taken else 0


def _take_fixed(window: FixedWindow, rule: LimitRule, now: int) -> tuple[Window, LimitState]:
    length = rule.window * MICROSECONDS
    if window.end <= now:
        window = FixedWindow(now + length, 0)
    elif window.end > now + length:
        window = FixedWindow(now + length, window.used)
    after = window.used + rule.cost
    wait = window.end - now
    if after > rule.amount:
        return window, _refused(rule.amount - window.used, wait, wait if window.used else 0)
    if not after:
        return FixedWindow(0, 0), _passed(rule.amount, 0)
    return window._replace(used=after), _passed(rule.amount - after, wait)


def _take_sliding(window: SlidingWindow, rule: LimitRule, now: int) -> tuple[Window, LimitState]:
    length = rule.window * MICROSECONDS
    number, elapsed = divmod(now, length)
    if number == window.number + 1:
        window = SlidingWindow(number, window.used, 0)
    elif number > window.number:
        window = SlidingWindow(number, 0, 0)
    elif number < window.number:
        window = SlidingWindow(number, 0, min(rule.amount, window.last + window.used))
    weighed = window.last * (length - elapsed)
    after = window.used + rule.cost
    if weighed > (rule.amount - after) * length:
        left = max(0, rule.amount - window.used - -(-weighed // length))
        wait = _wait_sliding(window, rule, length, elapsed)
        return window, _refused(left, wait, _reset_sliding(window, length, elapsed))
    left = rule.amount - after - -(-weighed // length)
    window = window._replace(used=after)
    return window, _passed(left, _reset_sliding(window, length, elapsed))


def _wait_sliding(window: SlidingWindow, rule: LimitRule, length: int, elapsed: int) -> int:
    """Return the microseconds after which the same request would pass."""
    room = rule.amount - window.used - rule.cost
    if room >= 0:
        # Only the last window is in the way, and it weighs less as this one goes on.
        return length - room * length // window.last - elapsed
    # This one is in the way, and weighs less once it is the last.
    room = max(0, rule.amount - rule.cost)
    into = max(0, length - room * length // window.used) if window.used else 0
    return length - elapsed + into


def _reset_sliding(window: SlidingWindow, length: int, elapsed: int) -> int:
    if window.used:
        return 2 * length - elapsed
    return length - elapsed if window.last else 0


def _take_moving(window: MovingWindow, rule: LimitRule, now: int) -> tuple[Window, LimitState]:
    length = rule.window * MICROSECONDS
    taken = window.taken[bisect_right(window.taken, now - length) :]
    if taken and taken[-1] > now:
        taken = tuple([min(moment, now) for moment in taken])
    window = MovingWindow(taken)
    after = len(taken) + rule.cost
    if after > rule.amount:
        # The oldest have to leave, as many as are too much; a request that costs more than there
        # ever is waits for all of them.
        last = min(after - rule.amount, len(taken))
        wait = taken[last - 1] + length - now if last else length
        reset = taken[-1] + length - now if taken else 0
        return window, _refused(rule.amount - len(taken), wait, reset)
    taken += (now,) * rule.cost
    reset = taken[-1] + length - now if taken else 0
    return MovingWindow(taken), _passed(rule.amount - after, reset)


def _passed(remaining: int, reset: int) -> LimitState:
    return LimitState(
        allowed=True, remaining=remaining, retry_after=0.0, reset_after=reset / MICROSECONDS
    )


def _refused(remaining: int, wait: int, reset: int) -> LimitState:
    return LimitState(
        allowed=False,
        remaining=remaining,
        retry_after=wait / MICROSECONDS,
        reset_after=reset / MICROSECONDS,
    )
