"""Record each refusal of the layer as an event, in one place."""

from __future__ import annotations

from typing import TypeVar

from stockade.core.identity import TenantId
from stockade.events import EventLog
from stockade.tenancy.errors import TenancyError

_Error = TypeVar("_Error", bound=TenancyError)


class Refusals:
    """Write the event that belongs to an error.

    Args:
        events: Where the events go.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events

    def record(
        self, error: _Error, *, table: str | None = None, tenant_id: TenantId | None = None
    ) -> _Error:
        """Emit ``tenancy.refused`` for an error and return the error, ready to be raised."""
        details = {"error": error.code}
        if table is not None:
            details["table"] = table
        if tenant_id is not None:
            details["tenant"] = tenant_id
        self._events.emit("tenancy.refused", reason=error.reason, details=details)
        return error
