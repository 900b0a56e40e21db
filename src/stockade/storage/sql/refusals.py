"""Keep in PostgreSQL who was refused.

A function in the database adds a batch to a slice of time, by the arithmetic of
`stockade.rate_limiting.frequent`. The table is bounded, and unlogged as those of the buckets are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, TextClause, text

from stockade.rate_limiting.refusals import KEPT, SPANS, Outcome, Refused, Span, most_refused

_ADD: Final = text(
    "SELECT stockade_add_refusals(CAST(:outcome AS text), CAST(:names AS text[]),"
    " CAST(:counts AS bigint[]), CAST(:requests AS bigint), CAST(:kept AS bigint),"
    " CAST(:span AS text), CAST(:length AS bigint), CAST(:slices AS bigint))"
)
# The row without a name has all requests of its slice.
_READ: Final = text(
    """
SELECT key, sum(times)::bigint AS times FROM stockade_limit_refusals
WHERE span = :span AND outcome = :outcome
  AND slice >= floor(extract(epoch FROM statement_timestamp()) / CAST(:length AS bigint))::bigint
    - CAST(:slices AS bigint)
GROUP BY key ORDER BY key = '' DESC, sum(times) DESC, key DESC LIMIT CAST(:most AS bigint) + 1
"""
)

Ask = Callable[[TextClause, dict[str, Any]], Awaitable[Sequence[Row[Any]]]]


class SQLRefusalStore:
    """Refusals in PostgreSQL, shared by all processes.

    Args:
        ask: Runs a statement with its values and returns its rows.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def add_refusals(self, outcome: Outcome, times: Mapping[str, int], requests: int) -> None:
        """Add refusals to the slices of now.

        Raises:
            StoreError: The server could not answer.
        """
        for span in SPANS:
            values = {
                "outcome": outcome.value,
                "names": list(times),
                "counts": list(times.values()),
                "requests": requests,
                "kept": KEPT,
                **_values(span),
            }
            await self._ask(_ADD, values)

    async def read_refusals(self, outcome: Outcome, span: Span, *, most: int) -> Refused:
        """Return who was refused most.

        Raises:
            StoreError: The server could not answer.
        """
        values = {"outcome": outcome.value, "most": most, **_values(span)}
        found = {row.key: row.times for row in await self._ask(_READ, values)}
        return most_refused(
            ((key, times) for key, times in found.items() if key), most, requests=found.get("", 0)
        )


def _values(span: Span) -> dict[str, object]:
    return {"span": span.name, "length": span.slice, "slices": span.slices}
