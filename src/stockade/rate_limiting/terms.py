"""Turn what a decorator says about each request into rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from stockade.core.limits import LimitRule, LimitTerms, Strategy
from stockade.errors import ConfigurationError
from stockade.rate_limiting.keys import verify_function
from stockade.rate_limiting.rules import Key, is_text, parse_rules

FAILURES: Final = frozenset(range(400, 600))
_STATUSES: Final = range(100, 600)
_MOST_TIERS: Final = 64


def strategy_of(name: str) -> Strategy:
    """Return the strategy of this name.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        return Strategy(name)
    except ValueError:
        known = ", ".join(Strategy)
        message = f"{name!r} is no strategy: use one of {known}"
        raise ConfigurationError(message) from None


def make_terms(
    *,
    cost: int | Callable[..., object] = 1,
    count: str | Collection[int] = "all",
    message: str | None = None,
) -> LimitTerms | None:
    """Describe what is decided for each request; None where nothing is.

    Raises:
        ConfigurationError: A function, a status or the message is wrong.
    """
    if not isinstance(cost, int):
        verify_function("a cost", cost)
    if message is not None and not is_text(message):
        raise ConfigurationError("the message of a limit is a text that is not empty")
    statuses = _statuses(count)
    terms = LimitTerms(
        cost=None if isinstance(cost, int) else cost,
        statuses=statuses,
        message=message,
        # Successes would have no limit at all if this one took the place of the default.
        with_defaults=statuses is not None,
    )
    return None if terms == LimitTerms() else terms


def make_rules(
    text: str | Callable[..., object],
    *,
    tiers: Mapping[str, str] | None = None,
    scope: str | None = None,
    key: Key | None = None,
    cost: int = 1,
    strategy: Strategy = Strategy.GCRA,
    terms: LimitTerms | None = None,
) -> tuple[LimitRule, ...]:
    """Read limits, or the tiers among which a function chooses.

    Raises:
        ConfigurationError: The notation is wrong, or the tiers don't go with the text.
    """

    def parse(each: str, own: LimitTerms | None = None) -> tuple[LimitRule, ...]:
        return parse_rules(each, scope=scope, key=key, cost=cost, strategy=strategy, terms=own)

    if isinstance(text, str) and tiers is None:
        return parse(text, terms)
    if isinstance(text, str) or not tiers or len(tiers) > _MOST_TIERS:
        raise ConfigurationError(
            "limits by tier are a function that names the tier, and the limits of each tier:"
            " rate_limit(plan_of, tiers={'free': '10/minute', 'paid': '100/minute'})"
        )
    verify_function("a function that names the tier", text)
    parsed = {name: parse(each) for name, each in tiers.items()}
    tightest = min(parsed.values(), key=tightness)[0]
    chosen = replace(terms or LimitTerms(), choose=text, tiers=tuple(parsed.items()))
    return (replace(tightest, terms=chosen),)


def tightness(rules: Collection[LimitRule]) -> tuple[float, int]:
    """Return a number that is the lower, the less the rules let through."""
    return min(rule.amount / rule.window for rule in rules), min(rule.amount for rule in rules)


def _statuses(count: str | Collection[int]) -> frozenset[int] | None:
    if isinstance(count, str):
        if count not in {"all", "failures"}:
            raise ConfigurationError("a limit counts 'all', 'failures', or a set of statuses")
        return FAILURES if count == "failures" else None
    statuses = frozenset(count)
    if not statuses or not statuses <= frozenset(_STATUSES):
        raise ConfigurationError("the answers that count are HTTP statuses: count={401, 403}")
    return statuses
