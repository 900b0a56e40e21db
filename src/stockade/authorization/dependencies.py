"""Say on an endpoint what its caller needs.

Each of these is a FastAPI dependency that also carries a policy. The gate reads the policy at
start-up and enforces it before the body is read; the dependency checks it once more when FastAPI
calls it, and gives the principal.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends

from stockade.authorization.rules import decide
from stockade.core.clock import SystemClock
from stockade.core.dependencies import current_principal
from stockade.core.identity import Principal, TenantRole
from stockade.core.policy import Policy, attach_to_dependency
from stockade.errors import ConfigurationError, ForbiddenError, StepUpRequiredError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stockade.core.decision import Decision

_clock = SystemClock()


def require_role(*roles: str) -> Callable[..., Awaitable[Principal]]:
    """Make a dependency that lets callers through who have one of these roles in their active tenant.

    Raises:
        ConfigurationError: No role is named.
    """
    if not roles:
        message = "require_role() needs at least one role"
        raise ConfigurationError(message)
    names = frozenset(str(role) for role in roles)
    return _make_dependency(
        Policy(roles=(names,), origins=(f"require_role({', '.join(sorted(names))})",))
    )


def require_permission(*permissions: str) -> Callable[..., Awaitable[Principal]]:
    """Make a dependency that lets callers through who have all of these permissions.

    Raises:
        ConfigurationError: No permission is named.
    """
    if not permissions:
        message = "require_permission() needs at least one permission"
        raise ConfigurationError(message)
    names = frozenset(str(permission) for permission in permissions)
    return _make_dependency(
        Policy(permissions=names, origins=(f"require_permission({', '.join(sorted(names))})",))
    )


def require_fresh(max_age: timedelta) -> Callable[..., Awaitable[Principal]]:
    """Make a dependency that asks for a sign-in not older than this (step-up, RFC 9470).

    Raises:
        ConfigurationError: The age is not positive.
    """
    if max_age <= timedelta(0):
        message = "require_fresh() needs a positive age"
        raise ConfigurationError(message)
    return _make_dependency(Policy(step_up=max_age, origins=(f"require_fresh({max_age})",)))


def raise_refusal(decision: Decision, policy: Policy) -> None:
    """Raise the error that belongs to a decision, if it is a refusal.

    Raises:
        StepUpRequiredError: The sign-in is too old.
        ForbiddenError: A role or permission is missing.
    """
    if decision.granted:
        return
    if decision.reason == "authorization.sign_in_too_old" and policy.step_up is not None:
        raise StepUpRequiredError(reason=decision.reason, max_age=policy.step_up)
    raise ForbiddenError(reason=decision.reason)


def _make_dependency(policy: Policy) -> Callable[..., Awaitable[Principal]]:
    # The annotations are written as values: FastAPI could not find names that live in this function
    # only.
    async def require(principal: Annotated[Principal, Depends(current_principal)]) -> Principal:
        raise_refusal(decide(policy, principal, now=_clock.now()), policy)
        return principal

    require.__doc__ = f"Give the caller, who must satisfy {policy.origins[0]}."
    return attach_to_dependency(require, policy)


require_admin_role = require_role(TenantRole.ADMIN, TenantRole.OWNER)
