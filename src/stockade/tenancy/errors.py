"""Define what tenant isolation raises when it refuses."""

from __future__ import annotations

from stockade.errors import DeniedError, StockadeError


class TenancyError(StockadeError):
    """Something would have left the tenant's line, or can't be proven to stay inside it.

    Args:
        message: What was refused and what to write in its place; never a submitted value.
        reason: Reason code, ``tenancy.<what>``.
    """

    code = "tenancy"

    def __init__(self, message: str, *, reason: str) -> None:
        # Not super(): in CrossTenantError the next class is DeniedError, which takes no message.
        Exception.__init__(self, message)
        self.reason = reason


class TenantRequiredError(TenancyError):
    """A database with tenants was used without one, or with one that can't be a tenant."""

    code = "tenant_required"


class OpaqueSQLError(TenancyError):
    """A statement has a part that can't be rewritten, so nothing proves whose rows it touches."""

    code = "opaque_sql"


class CrossTenantError(TenancyError, DeniedError):
    """A value, an object or a reference belongs to another tenant."""

    code = "cross_tenant"
