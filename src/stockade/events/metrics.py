"""Count events for Prometheus; needs the extra ``metrics``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from stockade.errors import ConfigurationError
from stockade.events.catalogue import EVENTS

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from stockade.events.models import Event

# An application may raise refusals with reasons of its own.
_MOST_REASONS: Final = 1000
# What tells that a store has come or gone, and what the gauge shows from then on.
_STORE: Final = {"rate_limiting.store_failed": 0, "rate_limiting.store_recovered": 1}


class MetricsSink:
    """Count every event, and show whether the store of the limits answers.

    It keeps three metrics, whose labels are names of the catalogue and exact reasons alone: however
    much is refused, there are no more series than there are kinds of events.

    * ``stockade_events_total``, with ``event`` and ``level``: 0 from the start for each event, so
      that the first one is an increase.
    * ``stockade_event_reasons_total``, with ``event`` and ``reason``; what comes after a thousand
      different ones has the reason ``other``.
    * ``stockade_limit_store_up``, with ``failure_policy``: 0 while the store of the limits is away
      and that policy decides in its place.

    Args:
        registry: Where the metrics are registered; the default one of the process unless given.

    Raises:
        ConfigurationError: The client library is not installed, or the registry has these metrics
            already.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import (  # noqa: PLC0415 - an extra, asked for where it is used.
                REGISTRY,
                Counter,
                Gauge,
            )
        except ImportError:
            message = "metrics need prometheus-client: pip install 'stockade[metrics]'"
            raise ConfigurationError(message) from None
        registry = registry or REGISTRY
        try:
            self._events = Counter(
                "stockade_events", "Events by name.", ("event", "level"), registry=registry
            )
            self._reasons = Counter(
                "stockade_event_reasons",
                "Events by name and exact reason.",
                ("event", "reason"),
                registry=registry,
            )
            self._store = Gauge(
                "stockade_limit_store_up",
                "Whether the store of the limits answers.",
                ("failure_policy",),
                registry=registry,
                # Of several processes one that can't reach the store is worth an alarm.
                multiprocess_mode="livemin",
            )
        except ValueError:
            message = "this registry has a MetricsSink already: make one for each process"
            raise ConfigurationError(message) from None
        self._seen: set[tuple[str, str]] = set()
        self._counters = {
            name: self._events.labels(name, logging.getLevelName(kind.level).lower())
            for name, kind in EVENTS.items()
        }

    def write(self, event: Event) -> None:
        """Count one event."""
        self._counters[event.name].inc()
        if event.reason is not None:
            self._reasons.labels(*self._reason_of(event.name, event.reason)).inc()
        up = _STORE.get(event.name)
        if up is not None:
            self._store.labels(event.details["policy"]).set(up)

    def _reason_of(self, name: str, reason: str) -> tuple[str, str]:
        pair = name, reason
        if pair not in self._seen:
            if len(self._seen) >= _MOST_REASONS:
                return name, "other"
            self._seen.add(pair)
        return pair
