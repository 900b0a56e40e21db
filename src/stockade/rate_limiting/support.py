"""Say what a store can do beside counting, and refuse at the start what it can't."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from stockade.core.limits import LimitRule, Strategy, Unit
from stockade.errors import ConfigurationError
from stockade.rate_limiting.interfaces import LeaseStore, RefundStore, StrategicStore


@runtime_checkable
class WrappingStore(Protocol):
    """A store that stands before another one, whose powers it passes on."""

    @property
    def inner(self) -> object:
        """The store behind it."""


def innermost(store: object) -> object:
    """Return the store that does the work."""
    while isinstance(store, WrappingStore):
        store = store.inner
    return store


def require_support(store: object, rules: Iterable[LimitRule], route: str) -> None:
    """Check that a store can count in the way that rules ask for.

    Raises:
        ConfigurationError: It can't.
    """
    store = innermost(store)
    can = store.strategies if isinstance(store, StrategicStore) else frozenset({Strategy.GCRA})
    for rule in rules:
        if rule.strategy not in can:
            raise ConfigurationError(
                f"{route}: this store of the limits can't count by {rule.strategy}: use gcra, or"
                " count in memory, Redis or PostgreSQL"
            )
        if rule.unit is Unit.IN_FLIGHT and not isinstance(store, LeaseStore):
            raise ConfigurationError(
                f"{route}: this store of the limits does not know what is in flight: count in"
                " memory, Redis or PostgreSQL"
            )
        if (
            rule.terms is not None
            and rule.terms.statuses is not None
            and not isinstance(store, RefundStore)
        ):
            raise ConfigurationError(
                f"{route}: this store of the limits can't give back what an answer does not count:"
                " count in memory, Redis or PostgreSQL"
            )
