"""Capture the events of an application."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from stockade.events import MemorySink
from stockade.testing.clients import find_stockade

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def capture_events(client: object) -> Iterator[MemorySink]:
    """Keep the events of an application for a while; its own sinks get them as well.

    Args:
        client: A client of the application, or the application.

    Raises:
        HelperError: The client calls no application with Stockade.
    """
    sink = MemorySink()
    with find_stockade(client).events.copy_to(sink):
        yield sink
