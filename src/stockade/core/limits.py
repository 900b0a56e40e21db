"""Describe a rate limit as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """So many requests in so much time.

    Args:
        amount: Requests that may pass in a window.
        window: Length of the window, in seconds.
        scope: Name under which several routes share the limit; without one, each route counts for
            itself.
        key: Names the bucket of a request: a function of the connection, or of nothing. Without
            one, the verified user, else the client's address.
        cost: What one request takes from the bucket.
    """

    amount: int
    window: int
    scope: str | None = None
    key: Callable[..., object] | None = None
    cost: int = 1
