"""Describe a rate limit as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable


FailurePolicy = Literal["closed", "open", "local"]


class Strategy(StrEnum):
    """How a bucket counts; the names are those of the ``limits`` package, where it has them."""

    GCRA = "gcra"
    FIXED_WINDOW = "fixed-window"
    SLIDING_WINDOW_COUNTER = "sliding-window-counter"
    MOVING_WINDOW = "moving-window"


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    MESSAGES = "messages"
    IN_FLIGHT = "in_flight"


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
        strategy: How the bucket counts.
        unit: What is counted; of what is in flight, ``window`` is the length of a lease.
        terms: What is decided anew for each request; None where nothing is.
        failure: What holds while the store is away; without it, what the settings say.
    """

    amount: int
    window: int
    scope: str | None = None
    key: Callable[..., object] | None = None
    cost: int = 1
    strategy: Strategy = Strategy.GCRA
    unit: Unit = Unit.REQUESTS
    terms: LimitTerms | None = None
    failure: FailurePolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTerms:
    """What a limit decides anew for each request; its functions take the connection, or nothing.

    Args:
        cost: Says what a request takes.
        choose: Names the tier of a request, or writes its limits where there are no tiers.
        tiers: Limits of each tier, by name.
        exempt_when: Says which requests don't count.
        statuses: Answers that count; without them, all do.
        methods: HTTP methods that count; without them, all do.
        per_method: Whether each HTTP method counts for itself.
        message: What a refusal says, in words of the application.
        with_defaults: Whether the default limits hold as well.
    """

    cost: Callable[..., object] | None = None
    choose: Callable[..., object] | None = None
    tiers: tuple[tuple[str, tuple[LimitRule, ...]], ...] = ()
    exempt_when: Callable[..., object] | None = None
    statuses: frozenset[int] | None = None
    methods: frozenset[str] | None = None
    per_method: bool = False
    message: str | Callable[..., object] | None = None
    with_defaults: bool = False


@dataclass(frozen=True, slots=True)
class Exemption:
    """A reason for which some requests of a route are free of its limits.

    Args:
        reason: Why that is safe.
        when: Says which requests: a function of the connection, or of nothing.
    """

    reason: str
    when: Callable[..., object]
