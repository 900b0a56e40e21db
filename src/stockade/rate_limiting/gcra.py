"""Decide whether a bucket has enough: the generic cell rate algorithm, in whole microseconds.

A bucket is one number, the time at which it will be full again. What is missing up to then is its
*debt*: each unit adds one interval (window divided by amount) to it, time takes it away, and it may
grow to one window. So ``amount`` requests pass at once, the next does not, and capacity returns
evenly instead of in one jump at the end of a window.

Whole numbers keep it exact: with fractions, one of a hundred requests at once would fail to pass or
one too many would.
Source: ITU-T I.371, annex A (GCRA as virtual scheduling).
"""

from __future__ import annotations

from typing import Final

from stockade.core.limits import LimitRule
from stockade.rate_limiting.models import Charge, LimitState

MICROSECONDS: Final = 1_000_000


def interval_of(rule: LimitRule) -> int:
    """Return the microseconds in which one unit comes back.

    They are rounded up, so that no rule gives more than it says.
    """
    return -(-rule.window * MICROSECONDS // rule.amount)


def take(debt: int, rule: LimitRule) -> tuple[int, LimitState]:
    """Take from a bucket.

    Args:
        debt: Microseconds that are missing now; between 0 and `capacity_of` the rule.
        rule: What the bucket holds and what is taken.

    Returns:
        The debt after it, which is the same as before if there was not enough, and how the bucket
        stands.
    """
    interval = -(-rule.window * MICROSECONDS // rule.amount)
    capacity = interval * rule.amount
    after = debt + interval * rule.cost
    if after > capacity:
        wait = (after - capacity) / MICROSECONDS
        return debt, LimitState(False, (capacity - debt) // interval, wait, debt / MICROSECONDS)  # noqa: FBT003
    return after, LimitState(True, (capacity - after) // interval, 0.0, after / MICROSECONDS)  # noqa: FBT003


def stand(debt: int, rule: LimitRule) -> LimitState:
    """Tell how a bucket stands that was not touched, since another one had too little."""
    interval = interval_of(rule)
    remaining = (interval * rule.amount - debt) // interval
    return LimitState(
        allowed=True, remaining=remaining, retry_after=0.0, reset_after=debt / MICROSECONDS
    )


def charge_of(rule: LimitRule) -> Charge:
    """Return what one request takes from a bucket, and what the bucket holds."""
    return Charge(interval_of(rule) * rule.cost, capacity_of(rule))


def capacity_of(rule: LimitRule) -> int:
    """Return the debt of a bucket that has nothing left, in microseconds."""
    return interval_of(rule) * rule.amount
