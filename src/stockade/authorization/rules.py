"""Decide whether a principal satisfies a policy: values and the time in, a decision out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from stockade.core.decision import Decision
from stockade.core.identity import AuthenticationMethod, Factor, UserType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from stockade.core.identity import Principal
    from stockade.core.policy import Policy

_NO_ROLES: Final = frozenset({str(UserType.SUPER_ADMIN)})
# As far as the clocks of several machines may differ.
_LEEWAY: Final = timedelta(minutes=2)
GRANTED: Final = Decision(granted=True, reason="authorization.granted")


def decide(policy: Policy, principal: Principal, *, now: datetime | None) -> Decision:
    """Decide on roles, permissions, choices, engines, the sign-in and its factor, in this order.

    A super administrator holds every role and permission, but no fresher sign-in than anybody else.

    Args:
        policy: What is asked.
        principal: The verified caller.
        now: The time; without one, no sign-in is fresh.
    """
    if not principal.is_super_admin:
        refused = _refuse_held(policy, principal, now)
        if refused is not None:
            return refused
    for question in policy.questions:
        # Also of a super administrator: what stands above roles is up to the engine's policies.
        decision = question.decide(principal)
        if not decision.granted:
            return decision
    if policy.step_up is not None and not _is_fresh(policy.step_up, principal, now):
        return _refuse(
            "authorization.sign_in_too_old", {"max_age": str(int(policy.step_up.total_seconds()))}
        )
    if policy.factor is not None and not principal.has_factor(policy.factor):
        return _refuse("authorization.factor_missing", {"needs": policy.factor})
    return GRANTED


def _refuse_held(policy: Policy, principal: Principal, now: datetime | None) -> Decision | None:
    """Refuse whoever lacks a role, a permission or all of several choices; None for others."""
    for wanted in policy.roles:
        # A role of a tenant that is called so by its store is no kind of account.
        if (wanted - _NO_ROLES).isdisjoint(principal.roles):
            return _refuse(
                "authorization.role_missing",
                {"needs": _words(wanted), "has": _words(principal.roles)},
            )
    missing = policy.permissions - principal.permissions
    if missing:
        return _refuse("authorization.permission_missing", {"needs": _words(missing)})
    for group in policy.alternatives:
        if not any(decide(each, principal, now=now).granted for each in group):
            return _refuse(
                "authorization.no_alternative",
                {"needs": " | ".join(needs_of(each) for each in group)},
            )
    return None


def _is_fresh(max_age: timedelta, principal: Principal, now: datetime | None) -> bool:
    if now is None:
        return False
    # A sign-in of the future, from before a clock was put back, would be fresh for longer.
    return -_LEEWAY <= now - principal.authenticated_at <= max_age


def decide_demand(roles: frozenset[str], principal: Principal) -> Decision:
    """Decide whether a caller has given the second factor that its role needs.

    A program has no second factor: its key was made in a session that had one.

    Args:
        roles: Roles that need one, ``super_admin`` among them where it does.
        principal: The verified caller.
    """
    if principal.method is AuthenticationMethod.API_KEY:
        return GRANTED
    held = principal.roles
    if principal.is_super_admin:
        held |= {UserType.SUPER_ADMIN}
    if roles.isdisjoint(held) or principal.has_factor(Factor.MFA):
        return GRANTED
    return _refuse("authorization.factor_demanded", {"roles": _words(roles & held)})


def _refuse(reason: str, evidence: Mapping[str, str]) -> Decision:
    return Decision(granted=False, reason=reason, evidence=evidence)


def needs_of(policy: Policy) -> str:
    """Name what a policy asks, for the evidence of a decision."""
    parts = ["|".join(sorted(roles)) for roles in policy.roles]
    parts += sorted(policy.permissions)
    parts += [" | ".join(needs_of(each) for each in group) for group in policy.alternatives]
    parts += [each.asked for each in policy.questions]
    return " & ".join(f"({part})" if " | " in part else part for part in parts) or "a caller"


def _words(names: Iterable[str]) -> str:
    return ",".join(sorted(names)) or "none"


def covers(enforced: Policy, asked: Policy) -> bool:
    """Tell whether a policy that was enforced includes everything that another one asks."""
    # Without a generator: it is asked for each request.
    for roles in asked.roles:
        if roles not in enforced.roles:
            return False
    for group in asked.alternatives:
        if group not in enforced.alternatives:
            return False
    for question in asked.questions:
        if question not in enforced.questions:
            return False
    return (
        asked.permissions <= enforced.permissions
        and (asked.factor in (None, enforced.factor) or _is_any(enforced.factor, asked.factor))
        and (
            asked.step_up is None
            or (enforced.step_up is not None and enforced.step_up <= asked.step_up)
        )
    )


def _is_any(enforced: str | None, asked: str | None) -> bool:
    return asked == Factor.MFA and enforced is not None


def permissions_of(roles: frozenset[str], table: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Collect the permissions of roles; a role that is not in the table gives none."""
    return frozenset().union(*(table.get(role, frozenset()) for role in roles))


def unknown_roles(policy: Policy, known: Iterable[str]) -> frozenset[str]:
    """Name the roles a policy asks for that do not exist; nobody could ever satisfy it."""
    wanted = frozenset[str]().union(*(roles for each in parts_of(policy) for roles in each.roles))
    return wanted - frozenset(known) - {UserType.SUPER_ADMIN}


def named_permissions(policy: Policy) -> frozenset[str]:
    """Name every permission that a policy asks for, also in one of its alternatives."""
    return frozenset().union(*(each.permissions for each in parts_of(policy)))


def parts_of(policy: Policy) -> Iterator[Policy]:
    """Yield a policy and the policies in it, at any depth."""
    yield policy
    for group in policy.alternatives:
        for each in group:
            yield from parts_of(each)
