"""Count the slow and plain way: by a list of all that ever happened, in whole microseconds."""

from fractions import Fraction
from typing import NamedTuple

from stockade.core.limits import LimitRule, Strategy

SECOND = 1_000_000


class Event(NamedTuple):
    """Units that were taken, or units below zero that went back.

    Args:
        at: When it happened.
        units: How many.
        taken: When they had been taken.
        debt: For GCRA, what was missing right after they had been taken.
    """

    at: int
    units: int
    taken: int
    debt: int


class Reference:
    """A bucket that remembers all that happened and works everything out anew.

    Args:
        rule: What the bucket holds.
    """

    def __init__(self, rule: LimitRule) -> None:
        self._rule = rule
        self._length = rule.window * SECOND
        self._interval = -(-self._length // rule.amount)
        self._events: list[Event] = []

    def fits(self, now: int, cost: int) -> bool:
        """Tell whether a request of this cost may pass now."""
        return self.used(now) + cost <= self._rule.amount

    def used(self, now: int) -> Fraction:
        """Return the units that are taken now."""
        match self._rule.strategy:
            case Strategy.GCRA:
                return Fraction(self._level(now), self._interval)
            case Strategy.FIXED_WINDOW:
                return Fraction(self._used_fixed(now))
            case Strategy.SLIDING_WINDOW_COUNTER:
                return self._used_sliding(now)
            case Strategy.MOVING_WINDOW:
                since = now - self._length
                return Fraction(sum(each.units for each in self._events if each.taken > since))

    def take(self, now: int, cost: int) -> Event:
        """Note that a request has passed."""
        debt = self._level(now) + self._interval * cost
        self._events.append(Event(now, cost, now, debt))
        return self._events[-1]

    def give_back(self, now: int, event: Event) -> None:
        """Note that the answer of a request did not count."""
        self._events.append(Event(now, -event.units, event.taken, event.debt))

    def _level(self, now: int) -> int:
        """Return the debt: what is given back is what time has left of it."""
        level, last = 0, 0
        for event in self._events:
            level, last = max(0, level - (event.at - last)), event.at
            if event.units >= 0:
                level += self._interval * event.units
            else:
                left = max(0, event.debt - (event.at - event.taken))
                level = max(0, level - min(-event.units * self._interval, left))
        return max(0, level - (now - last))

    def _used_fixed(self, now: int) -> int:
        began, count = -self._length, 0
        for event in self._events:
            if event.units > 0 and (not count or event.at >= began + self._length):
                began, count = event.at, 0
            if began <= event.taken < began + self._length:
                count = max(0, count + event.units)
        return count if now < began + self._length else 0

    def _used_sliding(self, now: int) -> Fraction:
        number, elapsed = divmod(now, self._length)
        counts = {number: 0, number - 1: 0}
        for event in self._events:
            if event.taken // self._length in counts:
                counts[event.taken // self._length] += event.units
        share = 1 - Fraction(elapsed, self._length)
        return counts[number - 1] * share + counts[number]
