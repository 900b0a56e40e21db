"""Say why a caller may call a route, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authorization.explaining import Explanation, Step, explain
from stockade.core.decision import Decision
from stockade.errors import ConfigurationError
from stockade.gate.plans import Access

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from stockade.authorization.settings import AuthorizationSettings
    from stockade.core.identity import Principal
    from stockade.gate.plans import Plan


def explain_route(
    plans: Iterable[Plan],
    route: str,
    principal: Principal,
    *,
    settings: AuthorizationSettings,
    now: datetime,
) -> Explanation:
    """Explain what the gate makes of a caller.

    Args:
        plans: The plans of the application.
        route: Method and path template, such as ``GET /notes/{note_id}``.
        principal: The caller.
        settings: Says which role gives which permission.
        now: The time.

    Raises:
        ConfigurationError: There is no such route.
    """
    plan = find_plan(plans, route)
    if plan.access is Access.CLOSED:
        step = Step("a policy", held=False, because="the route has none, and is closed to all")
        return Explanation(Decision(granted=False, reason="gate.no_policy"), (step,))
    if plan.access is not Access.PRINCIPAL:
        because = "; ".join(plan.policy.public) or "HTTP Basic stands in front of it"
        step = Step("nobody in particular", held=True, because=because)
        return Explanation(plan.granted, (step,))
    found = explain(plan.policy, principal, settings=settings, now=now)
    first = Step("somebody signed in", held=True, because=principal.email or principal.user_id)
    return Explanation(found.decision, (first, *found.steps))


def find_plan(plans: Iterable[Plan], route: str) -> Plan:
    """Return the plan of a route.

    Raises:
        ConfigurationError: There is no such route.
    """
    method, _, template = route.partition(" ")
    for plan in plans:
        # A label begins with the methods, parted by commas, and the template.
        if plan.route == template and method in plan.label.partition(" ")[0].split(","):
            return plan
    message = 'there is no such route: name method and template, "GET /notes/{note_id}"'
    raise ConfigurationError(message)
