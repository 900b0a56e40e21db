"""Leave a store alone for a while after it has failed several times in a row."""

from __future__ import annotations

from stockade.core.clock import Clock


class CircuitBreaker:
    """Count failures; open after several in a row; let one probe through after a while.

    It is used from one event loop, between awaits, and needs no lock.

    Args:
        threshold: Failures in a row after which it opens.
        cooldown: Seconds for which it stays open before it lets a probe through.
        clock: Source of time.
    """

    def __init__(self, *, threshold: int, cooldown: float, clock: Clock) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self._probing = False

    def admits(self) -> bool:
        """Tell whether the store may be asked now; the outcome must be reported."""
        if self._failures < self._threshold:
            return True
        if self._probing or self._clock.monotonic() - self._opened_at < self._cooldown:
            return False
        self._probing = True
        return True

    def succeed(self) -> None:
        """Report that the store has answered: all is well."""
        self._failures = 0
        self._probing = False

    def fail(self) -> None:
        """Report that the store has not answered."""
        self._failures += 1
        self._opened_at = self._clock.monotonic()
        self._probing = False

    def abandon(self) -> None:
        """Report that a call ended without an outcome: another may probe."""
        self._probing = False
