"""Turn the notation "100/minute; 5/second" into rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from limits import parse_many

from stockade.core.limits import LimitRule, LimitTerms, Strategy, Unit
from stockade.errors import ConfigurationError
from stockade.rate_limiting.keys import verify_key

# The notation is parsed by a regular expression; a cap keeps a hostile settings source from feeding
# it megabytes.
_LONGEST_TEXT: Final = 200
# Each rule is a bucket that every request looks up.
_MOST_RULES: Final = 8
_LONGEST_WINDOW: Final = 366 * 24 * 3600
# Buckets count in whole microseconds a unit. Up to this rate the rounding costs less than a tenth
# of what is allowed.
_HIGHEST_RATE: Final = 100_000
_MOST_PLACES: Final = 1_000_000
# Seconds for which a place is held without a sign of life: a process that dies blocks nobody for
# long, and one that is busy has three turns to renew it.
_LEASE: Final = 30
# A moving window remembers the time of each request.
_MOST_REMEMBERED: Final = 10_000
# A sliding window multiplies both, in microseconds, and Lua's numbers are exact up to 2^53.
_LARGEST_PRODUCT: Final = 2**53 // 1_000_000

_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))

Key = Callable[..., object]


def parse_rules(
    text: str,
    *,
    scope: str | None = None,
    key: Key | None = None,
    cost: int = 1,
    strategy: Strategy = Strategy.GCRA,
    unit: Unit = Unit.REQUESTS,
    terms: LimitTerms | None = None,
) -> tuple[LimitRule, ...]:
    """Read limits in the notation of the ``limits`` package.

    Args:
        text: One or more limits, parted by semicolons, commas or bars.
        scope: Name under which several routes share the limits.
        key: Names the bucket of a request, given the connection or nothing.
        cost: Units that one request takes.
        strategy: How the buckets count.
        unit: What is counted.
        terms: What is decided anew for each request.

    Raises:
        ConfigurationError: The notation is wrong, or a limit makes no sense.

    >>> [(rule.amount, rule.window) for rule in parse_rules("100/minute; 5 per second")]
    [(100, 60), (5, 1)]
    """
    if not is_text(text) or len(text) > _LONGEST_TEXT:
        raise ConfigurationError(f"a rate limit is a text of at most {_LONGEST_TEXT} characters")
    try:
        items = parse_many(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no rate limit: write it like '100/minute; 5/second'"
        ) from error
    if len(items) > _MOST_RULES:
        raise ConfigurationError(f"{text!r} has more than {_MOST_RULES} limits")
    if key is not None:
        verify_key(key)
    rules = (
        LimitRule(
            amount=item.amount,
            window=item.get_expiry(),
            scope=scope,
            key=key,
            cost=cost,
            strategy=strategy,
            unit=unit,
            terms=terms,
        )
        for item in items
    )
    return tuple(dict.fromkeys(_checked(rule, text) for rule in rules))


def in_flight_rule(
    places: object,
    *,
    scope: str | None = None,
    key: Key | None = None,
    terms: LimitTerms | None = None,
) -> LimitRule:
    """Describe how many requests may be in flight at once.

    Args:
        places: How many.
        scope: Name under which several routes share the places.
        key: Names whose places they are, given the connection or nothing.
        terms: What is decided anew for each request.

    Raises:
        ConfigurationError: The number is none, or the scope or the key function is wrong.
    """
    if isinstance(places, bool) or not isinstance(places, int) or not 1 <= places <= _MOST_PLACES:
        raise ConfigurationError(f"in flight there are 1 to {_MOST_PLACES} requests at once")
    if key is not None:
        verify_key(key)
    rule = LimitRule(
        amount=places, window=_LEASE, scope=scope, key=key, unit=Unit.IN_FLIGHT, terms=terms
    )
    return _checked(rule, str(places))


def describe_rule(rule: LimitRule) -> str:
    """Write a rule in words, as the ``limits`` package does.

    >>> describe_rule(LimitRule(amount=5, window=900))
    '5 per 15 minute'
    """
    if rule.unit is Unit.IN_FLIGHT:
        return f"{rule.amount} at once"
    unit, seconds = next(pair for pair in _UNITS if not rule.window % pair[1])
    return f"{rule.amount} per {rule.window // seconds} {unit}"


def is_text(value: object) -> bool:
    """Tell whether this is a text that is not blank.

    A decorator that was written without its parentheses is given a function here.
    """
    return isinstance(value, str) and bool(value.strip())


def _checked(rule: LimitRule, text: str) -> LimitRule:
    if rule.amount < 1 or not 1 <= rule.window <= _LONGEST_WINDOW:
        raise ConfigurationError(
            f"{text!r} has a limit without requests, without time or of more than a year"
        )
    if rule.amount > rule.window * _HIGHEST_RATE:
        raise ConfigurationError(f"{text!r} allows more than {_HIGHEST_RATE} requests a second")
    if rule.cost < 1:
        raise ConfigurationError("the cost of a request is a whole number above zero")
    if rule.cost > rule.amount:
        raise ConfigurationError(f"one request costs {rule.cost}, more than {text!r} ever has")
    if rule.scope is not None and not is_text(rule.scope):
        raise ConfigurationError("the scope of a limit is a text that is not empty")
    _check_strategy(rule, text)
    return rule


def _check_strategy(rule: LimitRule, text: str) -> None:
    if rule.strategy is Strategy.MOVING_WINDOW and rule.amount > _MOST_REMEMBERED:
        raise ConfigurationError(
            f"a moving window remembers each request, and {text!r} has more than"
            f" {_MOST_REMEMBERED}: use another strategy"
        )
    if (
        rule.strategy is Strategy.SLIDING_WINDOW_COUNTER
        and rule.amount * rule.window > _LARGEST_PRODUCT
    ):
        raise ConfigurationError(f"{text!r} is too large for a sliding window: use gcra")
