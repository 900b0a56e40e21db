"""Record what the layers refuse and notice: a typed event, a log, and sinks."""

from stockade.events.catalogue import EVENTS, EventKind, event_name_for
from stockade.events.log import EventLog, EventSink
from stockade.events.models import Event
from stockade.events.sinks import LoggingSink, MemorySink

__all__ = [
    "EVENTS",
    "Event",
    "EventKind",
    "EventLog",
    "EventSink",
    "LoggingSink",
    "MemorySink",
    "event_name_for",
]
