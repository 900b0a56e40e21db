"""Record each refusal of the layer as an event, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from stockade.core.identity import TenantId
from stockade.events import EventLog
from stockade.tenancy.errors import CrossTenantError, TenancyError

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

_CHECK_OF_POLICIES: Final = "ExecWithCheckOptions"
_INSUFFICIENT_PRIVILEGE: Final = "42501"
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


class RowSecurityRefusals:
    """Tell what PostgreSQL's policies refuse as what it is, and not as a fault of the database.

    The compiler refuses the same before; what gets this far has become foreign meanwhile, or came
    as SQL text.

    Args:
        refusals: Where it is recorded.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def __call__(self, context: ExceptionContext) -> None:
        """Raise the refusal in the place of the driver's error.

        Raises:
            CrossTenantError: A row that was to be written belongs to no row of the tenant.
        """
        if _is_policy(context.original_exception):
            error = CrossTenantError(
                "row-level security refused a row that was to be written",
                reason="tenancy.row_security",
            )
            raise self._refusals.record(error) from None


def _is_policy(error: BaseException | None) -> bool:
    """Tell whether a policy refused, by the one place in PostgreSQL that says so.

    The message is in the language of the server, and its code is that of a missing grant as well.
    """
    while error is not None:
        told = getattr(error, "diag", None)
        place = getattr(told, "source_function", None) or getattr(
            error, "server_source_function", None
        )
        if place == _CHECK_OF_POLICIES:
            return getattr(error, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE
        # SQLAlchemy's adapter of asyncpg has the driver's error as its cause.
        error = error.__cause__
    return False
