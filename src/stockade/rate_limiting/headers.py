"""Write the ``RateLimit`` and ``RateLimit-Policy`` header fields.

Source: draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4; structured fields as RFC 9651 has
them. ``t`` is the time until *more* can be taken, not until the bucket is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from stockade.core.limits import Strategy
from stockade.rate_limiting.gcra import MICROSECONDS, interval_of
from stockade.rate_limiting.models import BoundLimit, CompiledLimits, LimitState

RATE_LIMIT: Final = b"ratelimit"
RATE_LIMIT_POLICY: Final = b"ratelimit-policy"


def render_policies(limits: Iterable[BoundLimit]) -> bytes:
    """Write what the limits of a route are."""
    items = (f'"{limit.name}";q={limit.rule.amount};w={limit.rule.window}' for limit in limits)
    return ", ".join(items).encode("ascii")


def render_states(limits: Sequence[BoundLimit], states: Sequence[LimitState]) -> bytes:
    """Write how the limits of a route stand."""
    if len(limits) == 1:
        return _render(limits[0], states[0]).encode("ascii")
    return ", ".join(map(_render, limits, states)).encode("ascii")


def make_template(limits: Iterable[BoundLimit]) -> bytes:
    """Write how limits stand, with two gaps for each: what remains and when more comes."""
    return ", ".join(f'"{limit.name}";r=%d;t=%d' for limit in limits).encode("ascii")


def render_debts(limits: CompiledLimits, debts: Iterable[int]) -> bytes:
    """Write how the limits of a route stand after a request that took from all of them.

    Args:
        limits: The limits.
        debts: Microseconds that are missing in each bucket now; above 0, since something was taken.
    """
    numbers: list[int] = []
    for (most, interval), debt in zip(limits.units, debts):  # noqa: B905 - it costs a tenth of this
        # The debt is a little over `taken` intervals; once it is down to that, one more is there.
        taken, rest = divmod(debt - 1, interval)
        numbers += (most - taken, rest // MICROSECONDS + 1)
    return limits.template % tuple(numbers)


def render_legacy(
    limits: Sequence[BoundLimit], states: Sequence[LimitState], now: datetime
) -> tuple[tuple[bytes, bytes], ...]:
    """Write the older fields of the limit that leaves least, as slowapi has them.

    ``X-RateLimit-Reset`` is a moment, in seconds since 1970, at which that limit is full again.
    """
    limit, state = min(
        zip(limits, states, strict=True), key=lambda pair: (pair[1].allowed, pair[1].remaining)
    )
    reset = now + timedelta(seconds=state.reset_after)
    return (
        (b"x-ratelimit-limit", b"%d" % limit.rule.amount),
        (b"x-ratelimit-remaining", b"%d" % state.remaining),
        (b"x-ratelimit-reset", b"%d" % ceil(reset.timestamp())),
    )


def _render(limit: BoundLimit, state: LimitState) -> str:
    taken = limit.rule.amount - state.remaining
    if taken < 1:
        return f'"{limit.name}";r={state.remaining}'
    if limit.rule.strategy is not Strategy.GCRA:
        # What comes back at once in a window is there at its end, at the latest.
        return f'"{limit.name}";r={state.remaining};t={max(1, ceil(state.reset_after))}'
    # The debt is a little over `taken - 1` intervals; once it is down to that, one more unit is
    # there. In whole microseconds, or noise in the last digit would add a second.
    wait = round(state.reset_after * MICROSECONDS) - (taken - 1) * interval_of(limit.rule)
    return f'"{limit.name}";r={state.remaining};t={max(1, -(-wait // MICROSECONDS))}'
