"""Count the slow and plain way: by a list of everything that ever passed, in whole microseconds."""

from fractions import Fraction

from stockade.core.limits import LimitRule, Strategy

SECOND = 1_000_000


class Reference:
    """A bucket that remembers all that passed and works everything out anew.

    Args:
        rule: What the bucket holds.
    """

    def __init__(self, rule: LimitRule) -> None:
        self._rule = rule
        self._length = rule.window * SECOND
        self._passed: list[tuple[int, int]] = []

    def fits(self, now: int, cost: int) -> bool:
        """Tell whether a request of this cost may pass now."""
        return self.used(now) + cost <= self._rule.amount

    def used(self, now: int) -> Fraction:
        """Return the units that are taken now."""
        match self._rule.strategy:
            case Strategy.GCRA:
                return self._used_gcra(now)
            case Strategy.FIXED_WINDOW:
                return Fraction(self._used_fixed(now))
            case Strategy.SLIDING_WINDOW_COUNTER:
                return self._used_sliding(now)
            case Strategy.MOVING_WINDOW:
                since = now - self._length
                return Fraction(sum(cost for at, cost in self._passed if at > since))

    def take(self, now: int, cost: int) -> None:
        """Note that a request has passed."""
        self._passed.append((now, cost))

    def _used_gcra(self, now: int) -> Fraction:
        interval = -(-self._length // self._rule.amount)
        level, last = 0, 0
        for at, cost in self._passed:
            level = max(0, level - (at - last)) + interval * cost
            last = at
        return Fraction(max(0, level - (now - last)), interval)

    def _used_fixed(self, now: int) -> int:
        began, count = -self._length, 0
        for at, cost in self._passed:
            if at >= began + self._length:
                began, count = at, 0
            count += cost
        return count if now < began + self._length else 0

    def _used_sliding(self, now: int) -> Fraction:
        number, elapsed = divmod(now, self._length)
        counts = {number: 0, number - 1: 0}
        for at, cost in self._passed:
            if at // self._length in counts:
                counts[at // self._length] += cost
        share = 1 - Fraction(elapsed, self._length)
        return counts[number - 1] * share + counts[number]
