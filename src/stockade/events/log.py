"""Hand events to sinks."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from stockade.core.exchange import find_exchange
from stockade.events.catalogue import EVENTS
from stockade.events.models import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stockade.core.clock import Clock
    from stockade.core.exchange import Exchange

_fallback = logging.getLogger("stockade.events")


class EventSink(Protocol):
    """Where events go."""

    def write(self, event: Event) -> None:
        """Take one event; must neither block nor wait for the network."""


class EventLog:
    """Record events and hand each to every sink.

    Args:
        sinks: Where events go.
        clock: Source of the event's time.
    """

    def __init__(self, sinks: Sequence[EventSink], *, clock: Clock) -> None:
        self._sinks = tuple(sinks)
        self._clock = clock

    def emit(
        self,
        name: str,
        *,
        scope: Mapping[str, Any] | None = None,
        reason: str | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Record an event, unless it happened to a request that the start-up check made up.

        Args:
            name: A name of the catalogue.
            scope: ASGI scope of the request it happened in; request id, address, route and caller
                are read from it.
            reason: Exact reason code.
            details: Further facts; never a secret, a token or a submitted value.

        Raises:
            KeyError: The name is not in the catalogue.
        """
        kind = EVENTS[name]
        exchange = find_exchange(scope) if scope is not None else None
        if exchange is not None and exchange.planted:
            return
        event = Event(
            name=kind.name,
            at=self._clock.now(),
            reason=reason,
            details=details or {},
            **_context(scope, exchange),
        )
        for sink in self._sinks:
            try:
                sink.write(event)
            # A sink that fails must not turn a refusal into a server error or hide other sinks.
            except Exception:  # noqa: BLE001 - whatever a sink raises
                _fallback.exception("an event sink failed on %s", event.name)

    @contextmanager
    def copy_to(self, sink: EventSink) -> Iterator[None]:
        """Hand each event to a further sink for a while."""
        self._sinks = (*self._sinks, sink)
        try:
            yield
        finally:
            self._sinks = tuple(each for each in self._sinks if each is not sink)


def _context(scope: Mapping[str, Any] | None, exchange: Exchange | None) -> dict[str, str | None]:
    if scope is None or exchange is None:
        return {}
    principal = exchange.principal
    return {
        "request_id": exchange.request_id,
        "client": exchange.client,
        "route": exchange.route,
        "method": scope.get("method", "WEBSOCKET"),
        "user_id": principal.user_id if principal else None,
        "tenant_id": principal.tenant_id if principal else None,
    }
