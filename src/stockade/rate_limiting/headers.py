"""Write the ``RateLimit`` and ``RateLimit-Policy`` header fields.

Source: draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4; structured fields as RFC 9651 has
them. ``t`` is the time until *more* can be taken, not until the bucket is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from stockade.rate_limiting.gcra import MICROSECONDS, interval_of
from stockade.rate_limiting.models import BoundLimit, LimitState

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


def _render(limit: BoundLimit, state: LimitState) -> str:
    taken = limit.rule.amount - state.remaining
    if taken < 1:
        return f'"{limit.name}";r={state.remaining}'
    # The debt is a little over `taken - 1` intervals; once it is down to that, one more unit is
    # there. In whole microseconds, or noise in the last digit would add a second.
    wait = round(state.reset_after * MICROSECONDS) - (taken - 1) * interval_of(limit.rule)
    return f'"{limit.name}";r={state.remaining};t={max(1, -(-wait // MICROSECONDS))}'
