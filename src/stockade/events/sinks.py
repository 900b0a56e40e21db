"""Write events to the standard logging, as one JSON object a line, or keep them in memory."""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import TYPE_CHECKING

from stockade.events.catalogue import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.events.models import Event


class LoggingSink:
    """Write each event as JSON to the logger ``stockade.events``.

    JSON escapes line breaks and control characters, so a value can't forge a second log line (ASVS
    5.0 V16.4.1).
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("stockade.events")

    def write(self, event: Event) -> None:
        """Log one event at the level that the catalogue gives it."""
        level = EVENTS[event.name].level
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", render_event(event))


class MemorySink:
    """Keep the newest events, for tests and for a look at a running process.

    Args:
        size: How many events are kept.
    """

    def __init__(self, size: int = 1000) -> None:
        self._events: deque[Event] = deque(maxlen=size)

    def write(self, event: Event) -> None:
        """Keep one event; the oldest makes room."""
        self._events.append(event)

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self._events))

    def named(self, name: str) -> list[Event]:
        """Return the events with this name, oldest first."""
        return [event for event in self if event.name == name]


def render_event(event: Event) -> str:
    """Render an event as one line of ASCII JSON without its empty parts."""
    parts = {
        "event": event.name,
        "at": event.at.isoformat(),
        "reason": event.reason,
        "request_id": event.request_id,
        "client": event.client,
        "method": event.method,
        "route": event.route,
        "user_id": event.user_id,
        "tenant_id": event.tenant_id,
        "details": dict(event.details),
    }
    return json.dumps({key: value for key, value in parts.items() if value}, ensure_ascii=True)
