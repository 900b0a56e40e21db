"""Say why a caller may do something, or why not, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.authorization.rules import decide, needs_of
from stockade.core.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from stockade.authorization.settings import AuthorizationSettings
    from stockade.core.decision import Decision
    from stockade.core.identity import Principal


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is asked of a caller.

    Args:
        asked: What is asked, in words.
        held: Whether the caller satisfies it.
        because: What that rests on.
    """

    asked: str
    held: bool
    because: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a caller may do something, or why not.

    Args:
        decision: The decision, as the gate makes it.
        steps: Everything that is asked, in the order in which it is decided on.
    """

    decision: Decision
    steps: tuple[Step, ...]


def explain(
    policy: Policy, principal: Principal, *, settings: AuthorizationSettings, now: datetime
) -> Explanation:
    """Explain what a policy makes of a caller.

    Args:
        policy: What is asked.
        principal: The caller, with roles and permissions as they are now.
        settings: Says which role gives which permission.
        now: The time.
    """
    steps = []
    for roles in policy.roles:
        part = Policy(roles=(roles,))
        held = decide(part, principal, now=None).granted
        steps.append(Step(f"role {needs_of(part)}", held, _of_roles(roles, principal)))
    for permission in sorted(policy.permissions):
        held = principal.is_super_admin or permission in principal.permissions
        because = _of_permission(permission, principal, settings)
        steps.append(Step(f"permission {permission}", held, because))
    for group in policy.alternatives:
        whole = Policy(alternatives=(group,))
        fitting = [each for each in group if decide(each, principal, now=None).granted]
        because = needs_of(fitting[0]) if fitting else "none of them"
        steps.append(Step(f"one of {needs_of(whole)}", bool(fitting), because))
    for question in policy.questions:
        answer = question.decide(principal)
        because = told_by(answer.evidence)
        steps.append(Step(f"a policy engine on {question.asked}", answer.granted, because))
    if policy.step_up is not None:
        age = now - principal.authenticated_at
        held = decide(Policy(step_up=policy.step_up), principal, now=now).granted
        steps.append(Step(f"a sign-in within {policy.step_up}", held, f"it is {age} old"))
    if policy.factor is not None:
        held = principal.has_factor(policy.factor)
        given = ", ".join(sorted(principal.factors)) or "none"
        steps.append(Step(f"the second factor {policy.factor}", held, f"given: {given}"))
    return Explanation(decide(policy, principal, now=now), tuple(steps))


def told_by(evidence: Mapping[str, str]) -> str:
    """Say what a policy engine rests its answer on."""
    name = evidence.get("engine", "the engine")
    if "failed" in evidence:
        return f"{name} could not evaluate: {evidence['failed']}"
    return f"{name} rests on: {evidence.get('policies', 'what it does not tell')}"


def _of_roles(roles: frozenset[str], principal: Principal) -> str:
    if principal.is_super_admin:
        return "a super administrator holds every role"
    held = ", ".join(sorted(principal.roles)) or "none"
    fitting = ", ".join(sorted(roles & principal.roles))
    return f"holds {fitting}" if fitting else f"holds {held}"


def _of_permission(permission: str, principal: Principal, settings: AuthorizationSettings) -> str:
    if principal.is_super_admin:
        return "a super administrator holds every permission"
    givers = sorted(role for role, given in settings.granted.items() if permission in given)
    held = sorted(principal.roles & frozenset(givers))
    if permission not in principal.permissions:
        return f"roles that give it: {', '.join(givers) or 'none'}"
    if not held:
        return "the credentials carry it"
    line = _line_to(permission, held[0], settings.roles, settings.inherits)
    return f"role {line[0]}" + "".join(f", which inherits {role}" for role in line[1:])


def _line_to(
    permission: str,
    role: str,
    roles: Mapping[str, frozenset[str]],
    inherits: Mapping[str, frozenset[str]],
) -> list[str]:
    """Return the roles from one to that which gives a permission by itself; there is a way."""
    if permission in roles[role]:
        return [role]
    for above in sorted(inherits.get(role, ())):
        below = _line_to(permission, above, roles, inherits)
        if below:
            return [role, *below]
    return []
