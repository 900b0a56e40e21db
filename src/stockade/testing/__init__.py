"""Help applications to test themselves with every layer in place."""

from stockade.testing.clients import as_browser
from stockade.testing.events import capture_events
from stockade.testing.principals import as_principal

__all__ = ["as_browser", "as_principal", "capture_events"]
