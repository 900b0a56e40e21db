"""Settings of roles and permissions."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stockade.core.identity import TenantRole

_PERMISSION = re.compile(r"[a-z0-9_]+:[a-z0-9_*]+:[a-z0-9_*]+", re.ASCII)


def _check_permission(value: str) -> str:
    if not _PERMISSION.fullmatch(value):
        message = "a permission reads scope:resource:action in lower case"
        raise ValueError(message)
    return value


PermissionName = Annotated[str, Field(max_length=128), AfterValidator(_check_permission)]


class AuthorizationSettings(BaseModel):
    """Roles and what they may do.

    Attributes:
        roles: Every role that exists, with its permissions (``scope:resource:action``). A role that
            an endpoint asks for and that is not here stops the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: dict[str, frozenset[PermissionName]] = Field(
        default_factory=lambda: {str(role): frozenset[PermissionName]() for role in TenantRole}
    )
