"""Defence in depth for FastAPI backends, with proof that each layer is in force."""

from stockade.application import Stockade
from stockade.authorization import (
    require_admin_role,
    require_all,
    require_any,
    require_fresh,
    require_permission,
    require_role,
)
from stockade.authorization.dependencies import require_engine, unchecked
from stockade.core.dependencies import current_principal, optional_principal
from stockade.core.identity import Principal
from stockade.gate.dependencies import body_limit, public
from stockade.rate_limiting import rate_limit, unlimited
from stockade.settings import Settings
from stockade.storage.sql.access import ObjectAccess
from stockade.storage.sql.crossing import TenantCrossing
from stockade.tenancy.raw import unsafe_raw

__version__ = "0.1.0"

__all__ = [
    "ObjectAccess",
    "Principal",
    "Settings",
    "Stockade",
    "TenantCrossing",
    "body_limit",
    "current_principal",
    "optional_principal",
    "public",
    "rate_limit",
    "require_admin_role",
    "require_all",
    "require_any",
    "require_engine",
    "require_fresh",
    "require_permission",
    "require_role",
    "unchecked",
    "unlimited",
    "unsafe_raw",
]
