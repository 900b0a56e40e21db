"""Keep in this process who was refused."""

from __future__ import annotations

from collections.abc import Mapping

from stockade.core.clock import Clock, SystemClock
from stockade.rate_limiting.refusals import SPANS, Noted, Outcome, Refused, Span, most_refused


class MemoryRefusalStore:
    """Refusals in memory, for one process; a few megabytes where nobody is refused twice.

    Args:
        clock: Source of time.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._monotonic = (clock or SystemClock()).monotonic
        self._slices: dict[tuple[Outcome, Span], dict[int, Noted]] = {}

    async def add_refusals(self, outcome: Outcome, times: Mapping[str, int], requests: int) -> None:
        """Add refusals to the slices of now."""
        for span in SPANS:
            number = self._number(span)
            slices = self._slices.setdefault((outcome, span), {})
            for old in [each for each in slices if each < number - span.slices]:
                del slices[old]
            slices.setdefault(number, Noted()).add(times.items(), requests)

    async def read_refusals(self, outcome: Outcome, span: Span, *, most: int) -> Refused:
        """Return who was refused most."""
        least = self._number(span) - span.slices
        slices = self._slices.get((outcome, span), {})
        found = [noted for number, noted in slices.items() if number >= least]
        return most_refused(
            (item for noted in found for item in noted.keys),
            most,
            requests=sum(noted.requests for noted in found),
        )

    def _number(self, span: Span) -> int:
        return int(self._monotonic() // span.slice)
