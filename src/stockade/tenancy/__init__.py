"""Keep each tenant's rows to that tenant, in reads and writes, or refuse the statement."""

from stockade.tenancy.errors import (
    CrossTenantError,
    OpaqueSQLError,
    TenancyError,
    TenantRequiredError,
)
from stockade.tenancy.isolation import Isolation, SyncTenantSessionFactory, TenantSessionFactory
from stockade.tenancy.raw import UnsafeRaw, unsafe_raw
from stockade.tenancy.scoping import TenantScoped, exempt
from stockade.tenancy.session import TenantSession
from stockade.tenancy.settings import TenancySettings

__all__ = [
    "CrossTenantError",
    "Isolation",
    "OpaqueSQLError",
    "SyncTenantSessionFactory",
    "TenancyError",
    "TenancySettings",
    "TenantRequiredError",
    "TenantScoped",
    "TenantSession",
    "TenantSessionFactory",
    "UnsafeRaw",
    "exempt",
    "unsafe_raw",
]
