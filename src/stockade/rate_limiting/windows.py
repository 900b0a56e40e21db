"""Decide whether a bucket has enough by windows, in whole microseconds.

A fixed window begins with its first request. A sliding window counter keeps the counts of this and
of the last window and takes the last one's as if it had been spread evenly. A moving window
remembers when each unit was taken and is exact at any moment.

The same arithmetic runs in Redis; both are compared with a slow reference in the tests.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import Final, NamedTuple

from stockade.core.limits import LimitRule, Strategy
from stockade.rate_limiting.gcra import MICROSECONDS
from stockade.rate_limiting.models import LimitState


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
        # The clock of a server went back: no longer than a window, or it would refuse for ever.
        window = FixedWindow(now + length, window.used)
    after = window.used + rule.cost
    wait = window.end - now
    if after > rule.amount:
        return window, _refused(rule.amount - window.used, wait, wait)
    return window._replace(used=after), _passed(rule.amount - after, wait if after else 0)


def _take_sliding(window: SlidingWindow, rule: LimitRule, now: int) -> tuple[Window, LimitState]:
    length = rule.window * MICROSECONDS
    number, elapsed = divmod(now, length)
    if number == window.number + 1:
        window = SlidingWindow(number, window.used, 0)
    elif number > window.number:
        window = SlidingWindow(number, 0, 0)
    elif number < window.number:
        # The clock of a server went back: nothing of it is forgotten.
        number, elapsed = window.number, 0
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
