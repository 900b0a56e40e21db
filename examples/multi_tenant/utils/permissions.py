"""Say what may be done in the backend, and which role may do it."""

from typing import Any, Final

from stockade.authorization import Permission
from stockade.core.identity import TenantRole


class NotesPermission(Permission):
    """Every permission that an endpoint or a field asks for."""

    EXPORT_NOTES = "notes:note:export"
    END_PROJECTS = "projects:project:delete"
    SEE_BUDGETS = "projects:budget:read"
    SET_BUDGETS = "projects:budget:write"


# A role has what stands beside it, and what the roles have that it inherits.
AUTHORIZATION: Final[dict[str, Any]] = {
    "roles": {
        TenantRole.MEMBER: [NotesPermission.EXPORT_NOTES],
        TenantRole.ADMIN: [NotesPermission.END_PROJECTS, NotesPermission.SEE_BUDGETS],
        TenantRole.OWNER: [NotesPermission.SET_BUDGETS],
    },
    "inherits": {TenantRole.ADMIN: [TenantRole.MEMBER], TenantRole.OWNER: [TenantRole.ADMIN]},
    # Whoever uses objects without asking their rules gets no answer, and a model that nobody has
    # written rules for stops the start.
    "object_checks": "refuse",
    "models_without_policy": "refuse",
}
