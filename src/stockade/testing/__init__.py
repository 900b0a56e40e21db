"""Help applications to test themselves with every layer in place."""

from stockade.testing.clients import as_browser
from stockade.testing.events import capture_events
from stockade.testing.isolation import (
    Finding,
    IsolationReport,
    assert_isolated,
    assert_isolated_async,
)
from stockade.testing.mails import CapturedMails, capture_mails
from stockade.testing.principals import as_principal

__all__ = [
    "CapturedMails",
    "Finding",
    "IsolationReport",
    "as_browser",
    "as_principal",
    "assert_isolated",
    "assert_isolated_async",
    "capture_events",
    "capture_mails",
]
