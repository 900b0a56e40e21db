"""Record each refusal of the layer as an event, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
        self._planted = False

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Record nothing meanwhile: the start-up check provokes refusals, which are no events.

        Nothing else uses the engine before the start is complete.
        """
        self._planted = True
        try:
            yield
        finally:
            self._planted = False

    def record(
        self, error: _Error, *, table: str | None = None, tenant_id: TenantId | None = None
    ) -> _Error:
        """Emit ``tenancy.refused`` for an error and return the error, ready to be raised."""
        details = {"error": error.code}
        if table is not None:
            details["table"] = table
        if tenant_id is not None:
            details["tenant"] = tenant_id
        if self._planted:
            return error
        self._events.emit("tenancy.refused", reason=error.reason, details=details)
        return error
