"""Say on an endpoint what its caller needs.

Each of these is a FastAPI dependency that also carries a policy. The gate reads the policy at
start-up and enforces it before the body is read; the dependency checks it once more when FastAPI
calls it, and gives the principal.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection

from stockade.authorization.engines.interfaces import Collection
from stockade.authorization.engines.questions import EngineQuestion
from stockade.authorization.engines.registering import require_engine_method
from stockade.authorization.objects import ENGINE_FAILED
from stockade.authorization.permissions import is_permission
from stockade.authorization.rules import covers, decide
from stockade.core.clock import SystemClock
from stockade.core.dependencies import CurrentPrincipal, PolicyMark, caller_of
from stockade.core.exchange import require_exchange
from stockade.core.identity import SECOND_FACTORS, Factor, Principal, TenantRole
from stockade.core.policy import Policy, combine, either
from stockade.errors import ConfigurationError, ForbiddenError, StepUpRequiredError

if TYPE_CHECKING:
    from stockade.authorization.engines.interfaces import PolicyEngine
    from stockade.core.decision import Decision

_SHORTEST_REASON = 3
_clock = SystemClock()
_STEP_UPS: Final = frozenset({"authorization.sign_in_too_old", "authorization.factor_missing"})


class RequiredCaller(CurrentPrincipal):
    """Dependency that gives the verified caller, who must satisfy a policy."""

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return the caller.

        Raises:
            UnauthenticatedError: Nobody is signed in.
            ForbiddenError: The caller does not satisfy the policy.
            ConfigurationError: Stockade is not installed on the application.
        """
        exchange = require_exchange(connection.scope)
        principal = caller_of(exchange)
        enforced = exchange.policy
        # The gate has decided on what it found at start-up; a dependency that it could not see,
        # such as one that an override brings in, is decided on here.
        if enforced is None or not covers(enforced, self.policy):
            raise_refusal(decide(self.policy, principal, now=_clock.now()), self.policy)
        return principal

    def __and__(self, other: RequiredCaller) -> RequiredCaller:
        """Ask for both.

        Raises:
            PolicyConflictError: No role satisfies both.
        """
        if not isinstance(other, RequiredCaller):
            return NotImplemented
        return RequiredCaller(combine([self.policy, other.policy]))

    def __or__(self, other: RequiredCaller) -> RequiredCaller:
        """Ask for one of the two.

        Raises:
            PolicyConflictError: One of them asks for more than roles and permissions.
        """
        if not isinstance(other, RequiredCaller):
            return NotImplemented
        return RequiredCaller(either([self.policy, other.policy]))


def require_role(*roles: str) -> RequiredCaller:
    """Make a dependency that asks for one of these roles in the caller's active tenant.

    Raises:
        ConfigurationError: No role is named.
    """
    if not roles:
        message = "require_role() needs at least one role"
        raise ConfigurationError(message)
    names = frozenset(_name_of(role) for role in roles)
    return RequiredCaller(
        Policy(roles=(names,), origins=(f"require_role({', '.join(sorted(names))})",))
    )


def require_permission(*permissions: str) -> RequiredCaller:
    """Make a dependency that lets callers through who have all of these permissions.

    Raises:
        ConfigurationError: No permission is named, or one does not read ``scope:resource:action``.
    """
    if not permissions:
        message = "require_permission() needs at least one permission"
        raise ConfigurationError(message)
    names = frozenset(_name_of(permission) for permission in permissions)
    if not all(map(is_permission, names)):
        message = "require_permission() needs names such as notes:note:read, in lower case"
        raise ConfigurationError(message)
    return RequiredCaller(
        Policy(permissions=names, origins=(f"require_permission({', '.join(sorted(names))})",))
    )


def require_engine(engine: PolicyEngine, action: str, collection: str) -> RequiredCaller:
    """Make a dependency that asks a policy engine whether the caller may do something.

    Args:
        engine: Decides by policies that are written elsewhere.
        action: What the caller wants, such as ``create``.
        collection: With what, as policies call it, such as ``notes``; the engine is given a
            `Collection` of this name.

    Raises:
        ConfigurationError: There is no action or no collection, or the engine can't be asked.
    """
    require_engine_method(engine)
    if not action or not collection:
        message = (
            'require_engine() needs an action and a name: require_engine(engine, "create", "notes")'
        )
        raise ConfigurationError(message)
    question = EngineQuestion(engine, str(action), Collection(collection))
    origin = f"require_engine({question.asked})"
    return RequiredCaller(Policy(questions=(question,), origins=(origin,)))


def require_any(*requirements: str | RequiredCaller) -> RequiredCaller:
    """Make a dependency that lets callers through who satisfy one of these.

    Args:
        *requirements: Permissions, and what the other ``require_`` functions make.

    Raises:
        ConfigurationError: There is none, or one asks for more than roles and permissions.
    """
    return RequiredCaller(either([_requirement(each).policy for each in requirements]))


def require_all(*requirements: str | RequiredCaller) -> RequiredCaller:
    """Make a dependency that lets callers through who satisfy all of these.

    Args:
        *requirements: Permissions, and what the other ``require_`` functions make.

    Raises:
        ConfigurationError: There is none, or nobody could satisfy them together.
    """
    if not requirements:
        message = "require_all() needs at least one requirement"
        raise ConfigurationError(message)
    return RequiredCaller(combine([_requirement(each).policy for each in requirements]))


def _requirement(given: str | RequiredCaller) -> RequiredCaller:
    return given if isinstance(given, RequiredCaller) else require_permission(given)


def _name_of(given: object) -> str:
    """Return the text of a name, whichever kind of enumeration it is a member of.

    Raises:
        ConfigurationError: It is no text.
    """
    value = given.value if isinstance(given, Enum) else given
    if not isinstance(value, str):
        message = "roles and permissions are named by text, or by members of a StrEnum"
        raise ConfigurationError(message)
    return str(value)


def require_fresh(max_age: timedelta, *, factor: str | None = None) -> RequiredCaller:
    """Make a dependency that asks for a sign-in not older than this (step-up, RFC 9470).

    Args:
        max_age: How long ago the caller may have given its password or second factor at most.
        factor: A second factor that it has to have given, such as ``totp``; ``mfa`` is any of them.

    Raises:
        ConfigurationError: The age is not positive, or there is no such factor.
    """
    if max_age <= timedelta(0):
        message = "require_fresh() needs a positive age"
        raise ConfigurationError(message)
    if factor is not None and factor not in SECOND_FACTORS:
        known = ", ".join(sorted(SECOND_FACTORS))
        message = f"require_fresh() was asked for a factor that is none: use one of {known}"
        raise ConfigurationError(message)
    wanted = f"{max_age}" if factor is None else f"{max_age}, {factor}"
    return RequiredCaller(
        Policy(step_up=max_age, factor=factor, origins=(f"require_fresh({wanted})",))
    )


def unchecked(reason: str) -> PolicyMark:
    """Let an endpoint, or all of a router, use guarded objects without a check.

    Args:
        reason: Why that is right; it is shown in the audit.

    Raises:
        ConfigurationError: The reason is missing.
    """
    given: object = reason
    if not isinstance(given, str) or len(given.strip()) < _SHORTEST_REASON:
        message = 'unchecked() needs a reason in words: @unchecked("counts notes, shows none")'
        raise ConfigurationError(message)
    return PolicyMark(Policy(unchecked=(reason,), origins=("unchecked",)))


def raise_refusal(decision: Decision, policy: Policy) -> None:
    """Raise the error that belongs to a decision, if it is a refusal.

    Raises:
        StepUpRequiredError: The sign-in is too old, or lacks a second factor.
        ForbiddenError: A role or permission is missing.
    """
    if decision.granted:
        return
    if decision.reason in _STEP_UPS:
        raise StepUpRequiredError(
            reason=decision.reason, max_age=policy.step_up, factor=policy.factor
        )
    if decision.reason == "authorization.factor_demanded":
        raise StepUpRequiredError(reason=decision.reason, factor=Factor.MFA)
    if decision.reason == ENGINE_FAILED:
        # The failure has an event of its own, with what failed.
        raise ForbiddenError(reason="authorization.engine_refused")
    raise ForbiddenError(reason=decision.reason)


require_admin_role = require_role(TenantRole.ADMIN, TenantRole.OWNER)
