"""Keep the buckets that count by windows in this process, and never more than a fixed number."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from stockade.core.limits import LimitRule
from stockade.rate_limiting.models import UnitRefund
from stockade.rate_limiting.windows import EMPTY, MovingWindow, Window, expiry_of, give_back

_SAMPLE: Final = 8
_SWEEP: Final = 2
# A unit of a moving window takes 8 bytes and more, a bucket about 300.
_UNITS_A_KEY: Final = 10


class _Bucket(NamedTuple):
    window: Window
    expires: int
    used: float
    units: int


class WindowBuckets:
    """Buckets in memory; its owner holds the lock.

    With no room left it gives up the least used of a sample, as `MemoryLimitStore` does.

    Args:
        max_keys: Buckets kept at most; of moving windows, units of ten times as many.
    """

    def __init__(self, max_keys: int) -> None:
        self._max_keys = max_keys
        self._max_units = max_keys * _UNITS_A_KEY
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._units = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def find(self, key: str, rule: LimitRule) -> Window:
        """Return the state of a bucket, which is empty where nobody has taken from it."""
        bucket = self._buckets.get(key)
        return EMPTY[rule.strategy] if bucket is None else bucket.window

    def put(self, key: str, window: Window, rule: LimitRule, *, left: int, now: int) -> None:
        """Keep the state of a bucket.

        Args:
            key: Name of the bucket.
            window: Its state.
            rule: What it holds.
            left: What remains in it.
            now: Microseconds since some fixed moment.
        """
        self._drop(key)
        units = len(window.taken) if isinstance(window, MovingWindow) else 0
        self._make_room(units, now)
        used = 1 - left / rule.amount
        self._buckets[key] = _Bucket(window, expiry_of(window, rule), used, units)
        self._units += units

    def give_back(self, refund: UnitRefund) -> None:
        """Give units back to a bucket, if it is there."""
        bucket = self._buckets.get(refund.key)
        if bucket is None:
            return
        window = give_back(bucket.window, refund.rule, refund.at)
        units = len(window.taken) if isinstance(window, MovingWindow) else 0
        self._units += units - bucket.units
        used = max(0.0, bucket.used - refund.rule.cost / refund.rule.amount)
        self._buckets[refund.key] = _Bucket(window, bucket.expires, used, units)

    def forget(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this."""
        for key in [key for key in self._buckets if key.startswith(prefix)]:
            self._drop(key)

    def _drop(self, key: str) -> None:
        bucket = self._buckets.pop(key, None)
        if bucket is not None:
            self._units -= bucket.units

    def _make_room(self, units: int, now: int) -> None:
        self._sweep(_SWEEP, now)
        while self._buckets and (
            len(self._buckets) >= self._max_keys or self._units + units > self._max_units
        ):
            sample = self._sweep(_SAMPLE, now)
            if sample:
                self._drop(min(sample)[1])

    def _sweep(self, number: int, now: int) -> list[tuple[float, str]]:
        """Drop what has expired among the next few in line; the others go to its end."""
        kept: list[tuple[float, str]] = []
        for _ in range(min(number, len(self._buckets))):
            key, bucket = self._buckets.popitem(last=False)
            if bucket.expires <= now:
                self._units -= bucket.units
                continue
            self._buckets[key] = bucket
            kept.append((bucket.used, key))
        return kept
