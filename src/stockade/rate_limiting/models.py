"""Hold the values that the limiter and its stores hand to each other."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from stockade.core.identity import AuthenticationMethod, Principal
from stockade.core.limits import LimitRule


class LimitRequest(NamedTuple):
    """One bucket to take from.

    Args:
        key: Name of the bucket; the part in braces is the same for all buckets of one caller.
        rule: What the bucket holds and what this request takes from it.
    """

    key: str
    rule: LimitRule


class LimitState(NamedTuple):
    """How a bucket stands after a request.

    Args:
        allowed: Whether this bucket had enough.
        remaining: Units that could be taken at once.
        retry_after: Seconds until the same request would pass; 0 if it passed.
        reset_after: Seconds until the bucket is full again.
        at: Microsecond of the store's clock at which it was decided, where a window is to give
            back what was taken then; None where nothing can go back.
    """

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float
    at: int | None = 0


class Charge(NamedTuple):
    """What one request takes from a bucket, in whole microseconds.

    Args:
        amount: The debt that the request adds.
        capacity: The debt of a bucket that has nothing left.
    """

    amount: int
    capacity: int


class Refund(NamedTuple):
    """What goes back to a bucket, in whole microseconds.

    Args:
        key: Name of the bucket.
        amount: The debt that is taken back, at most; a bucket never gets fuller than full.
    """

    key: str
    amount: int


class UnitRefund(NamedTuple):
    """What goes back to a bucket that counts by windows.

    Args:
        key: Name of the bucket.
        rule: What was taken, and by which strategy.
        at: Microsecond of the store's clock at which it was taken. A window that has ended since
            gets nothing back.
    """

    key: str
    rule: LimitRule
    at: int


class KeyKind(StrEnum):
    """Who a limit counts for."""

    ADDRESS = "address"
    CALLER = "caller"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class BoundLimit:
    """A rule, ready to be checked on one route.

    Args:
        rule: The rule.
        kind: Who it counts for.
        suffix: The part of the bucket's key that follows the caller.
        name: Name of the limit in the response headers.
        key: Reads a custom key from the ASGI scope, None where that fails; set if and only if the
            kind is custom.
        statuses: Answers that count; without them, all do.
        message: What a refusal says, in words of the application.
    """

    rule: LimitRule
    kind: KeyKind
    suffix: str
    name: str
    key: Callable[[MutableMapping[str, Any]], str | None] | None = None
    statuses: frozenset[int] | None = None
    message: str | Callable[..., object] | None = None


@dataclass(frozen=True, slots=True)
class CompiledLimits:
    """The limits of one route that are checked in one step.

    Args:
        limits: The limits; at least one.
        policy_header: The ``RateLimit-Policy`` header, which is the same for each response.
        charges: What a request takes from the bucket of each limit; none where a limit counts by
            windows, or takes nothing.
        template: The ``RateLimit`` header with gaps for what remains and when more comes.
        units: For each limit, what remains at most once something was taken, and the microseconds
            in which one unit comes back.
        programs: What holds in the place of them for programs; None where the same does.
        conditional: Whether a limit counts some answers only.
        variants: Chooses the limits of each request, where they differ.
    """

    limits: tuple[BoundLimit, ...]
    policy_header: tuple[bytes, bytes]
    charges: tuple[Charge, ...]
    template: bytes
    units: tuple[tuple[int, int], ...]
    conditional: bool = False
    variants: Chooser | None = None
    programs: ProgramLimits | None = None


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """The limits of one route for programs.

    Args:
        usual: The limits of a program that has none of its own.
        others: Those of them that hold for a program with limits of its own as well.
        compile_own: Binds the limits that a program has of its own, beside the others.
    """

    usual: CompiledLimits
    others: tuple[BoundLimit, ...]
    compile_own: Callable[[tuple[LimitRule, ...]], CompiledLimits]

    def choose(self, everybody: CompiledLimits, principal: Principal | None) -> CompiledLimits:
        """Return the limits of a caller; before one is known, those of everybody hold."""
        if principal is None or principal.method is not AuthenticationMethod.API_KEY:
            return everybody
        return self.compile_own(principal.limits) if principal.limits else self.usual


class Chooser(Protocol):
    """Says which limits a request has."""

    def choose(self, scope: MutableMapping[str, Any]) -> CompiledLimits | None:
        """Return them, or None where the request is free.

        Raises:
            UnavailableError: Nothing says what they are.
        """


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request has taken that goes back if its answer does not count.

    Args:
        key: Name of the bucket.
        statuses: Answers that count.
        charge: The debt that was added, in microseconds.
        debt: The debt of the bucket right after it, in microseconds.
        since: Seconds on the monotonic clock, before it was taken.
        units: What goes back in the place of debt to a bucket that counts by windows.
    """

    key: str
    statuses: frozenset[int]
    charge: int
    debt: int
    since: float
    units: UnitRefund | None = None


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """When the limits of a route are checked.

    Args:
        before: What is checked before anybody is authenticated.
        after: What is checked once the caller is known.
        together: The limits of both, for a caller who is known from the start.
        messages: Limits of the messages that come in on a websocket.
        in_flight: How many requests or connections may be open at once.
        settles: Whether an answer, or its end, is a matter of the limits.
    """

    before: CompiledLimits | None = None
    after: CompiledLimits | None = None
    together: CompiledLimits | None = None
    messages: CompiledLimits | None = None
    in_flight: CompiledLimits | None = None
    settles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRules:
    """The rules of routes that name none.

    Args:
        public: For open routes, by address.
        authenticated: For routes that need a caller, by caller.
        programs: For the same routes, in the place of it for programs.
        address: For all routes that need a caller together, by address, before authentication.
        login: For routes that take a password, by address.
        application: For all routes together, on top of their own.
        messages: For what comes in on each websocket, by caller or address.
        connections: For the websockets that are open at once, by caller or address.
        redirects: For the router's redirects to a path with or without its slash, by address.
    """

    public: tuple[LimitRule, ...]
    authenticated: tuple[LimitRule, ...]
    programs: tuple[LimitRule, ...]
    address: tuple[LimitRule, ...]
    login: tuple[LimitRule, ...]
    application: tuple[LimitRule, ...] = ()
    messages: tuple[LimitRule, ...] = ()
    connections: tuple[LimitRule, ...] = ()
    redirects: tuple[LimitRule, ...] = ()
