"""Settings of roles and permissions."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from stockade.authorization.permissions import is_permission, resolve_roles
from stockade.core.identity import TenantRole, UserType
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


def _check_permission(value: str) -> str:
    if not is_permission(value):
        message = "a permission reads scope:resource:action in lower case"
        raise ValueError(message)
    return value


PermissionName = Annotated[str, Field(max_length=128), AfterValidator(_check_permission)]


class AuthorizationSettings(BaseModel):
    """Roles and what they may do.

    Attributes:
        roles: Every role that exists, with its permissions (``scope:resource:action``). A role that
            an endpoint asks for and that is not here stops the start.
        inherits: Roles whose permissions a role has as well, at any distance. A role that is asked
            for by name is not inherited.
        object_checks: What happens when a handler uses objects of a model with rules and checks
            none of them: ``refuse`` holds the answer back and refuses writes, ``warn`` records an
            event, ``off`` does nothing.
        models_without_policy: What happens at the start when a model belongs to tenants and has
            neither rules nor a reason to have none: ``refuse``, ``warn`` or ``off``.
        tenant_creation: Who may make a tenant by the routes: ``super_admin`` or ``everybody``.
        tenants_per_account: How many tenants one account may own and make a further one.
        invitation_lifetime: How long an invitation holds, at most 30 days.
        invitations_per_tenant: How many invitations of one tenant hold at once.
        factor_required_for: Roles that need a second factor, and ``super_admin``: a session without
            one gets nothing but the routes that enrol one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: dict[str, frozenset[PermissionName]] = Field(
        default_factory=lambda: {str(role): frozenset[PermissionName]() for role in TenantRole}
    )
    inherits: dict[str, frozenset[str]] = Field(default_factory=dict)
    object_checks: Literal["refuse", "warn", "off"] = "refuse"
    models_without_policy: Literal["refuse", "warn", "off"] = "warn"
    tenant_creation: Literal["super_admin", "everybody"] = "super_admin"
    tenants_per_account: Annotated[int, Field(ge=1, le=1000)] = 20
    invitation_lifetime: Annotated[
        timedelta, Field(ge=timedelta(minutes=1), le=timedelta(days=30))
    ] = timedelta(days=7)
    invitations_per_tenant: Annotated[int, Field(ge=1, le=10_000)] = 100

    @model_validator(mode="after")
    def _check_roles(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        try:
            resolve_roles(self.roles, self.inherits)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return self

    @cached_property
    def granted(self) -> Mapping[str, frozenset[str]]:
        """The permissions of each role, with those that it inherits."""
        return resolve_roles(self.roles, self.inherits)

    factor_required_for: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _know_every_role(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        # Nobody would ever be asked because of a misspelt one.
        if not self.factor_required_for <= self.roles.keys() | {UserType.SUPER_ADMIN}:
            message = "factor_required_for names a role that is not in roles"
            raise ValueError(message)
        return self
