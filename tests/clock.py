"""Give tests a time that moves only when they say so."""

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """A clock that stands still.

    Args:
        start: The first time of day.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the time of day."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def turn(self, seconds: float) -> None:
        """Set the time of day to another one; what monotonic counts goes on."""
        self._now += timedelta(seconds=seconds)
