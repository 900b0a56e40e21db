"""Decide what a known caller may do: roles, permissions, fresh sign-ins."""

from stockade.authorization.dependencies import (
    require_admin_role,
    require_all,
    require_any,
    require_fresh,
    require_permission,
    require_role,
)
from stockade.authorization.masking import visible_to
from stockade.authorization.objects import open_within_tenant, owned_by, policy, policy_scope
from stockade.authorization.permissions import Permission
from stockade.authorization.rules import decide, permissions_of
from stockade.authorization.settings import AuthorizationSettings

__all__ = [
    "AuthorizationSettings",
    "Permission",
    "decide",
    "open_within_tenant",
    "owned_by",
    "permissions_of",
    "policy",
    "policy_scope",
    "require_admin_role",
    "require_all",
    "require_any",
    "require_fresh",
    "require_permission",
    "require_role",
    "visible_to",
]
