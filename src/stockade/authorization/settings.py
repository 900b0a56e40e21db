"""Settings of roles and permissions."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from stockade.core.identity import TenantRole, UserType

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
        factor_required_for: Roles that need a second factor, and ``super_admin``: a session without
            one gets nothing but the routes that enrol one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: dict[str, frozenset[PermissionName]] = Field(
        default_factory=lambda: {str(role): frozenset[PermissionName]() for role in TenantRole}
    )
    factor_required_for: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _know_every_role(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        # Nobody would ever be asked because of a misspelt one.
        if not self.factor_required_for <= self.roles.keys() | {UserType.SUPER_ADMIN}:
            message = "factor_required_for names a role that is not in roles"
            raise ValueError(message)
        return self
