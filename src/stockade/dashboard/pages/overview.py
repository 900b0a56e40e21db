"""Show what is in force, what is off, and what is excused, with reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from stockade.gate.plans import Access
from stockade.gate.requests import RouteExcuse
from stockade.tenancy.raw_places import RawExcuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stockade.core.policy import Policy
    from stockade.dashboard.interfaces import Sources
    from stockade.gate.plans import Plan

_WORDS = {
    Access.PUBLIC: "Open to all",
    Access.DOCS: "API docs",
    Access.PRINCIPAL: "For callers",
    Access.CLOSED: "Closed",
}
_MARKED = {
    "closed_for_want_of_a_policy": "Routes that are closed because they have no policy",
    "unbounded_input": "Input that may be of any size",
    "columns_that_overflow": "Input that does not fit its column",
    "models_without_policy": "Models of tenants without rules",
}


def add_overview(router: APIRouter, sources: Sources) -> None:
    """Add the page."""
    stockade, renderer = sources.stockade, sources.renderer

    @router.get("", name="stockade:dashboard-overview")
    async def overview(request: Request) -> Response:
        """Show the overview."""
        found, plans, excuses = sources.found(), stockade.plans(), stockade.excuses()
        counted = dict.fromkeys(Access, 0)
        for plan in plans:
            counted[plan.access] += 1
        return renderer.render(
            request.scope,
            "overview.html",
            environment=found.get("environment", ""),
            routes=len(plans),
            counted=[(_WORDS[access], number) for access, number in counted.items() if number],
            off=[each for each in found.get("off", "").split(", ") if each],
            rows=found.get("row_level_security", ""),
            marked=[(text, found[name]) for name, text in _MARKED.items() if found.get(name)],
            opened=_reasons(plans, lambda policy: policy.public),
            free=_reasons(plans, _free),
            unchecked=_reasons(plans, lambda policy: policy.unchecked),
            excuses=[each for each in excuses if isinstance(each, RouteExcuse)],
            raw=[each for each in excuses if isinstance(each, RawExcuse)],
        )


def _free(policy: Policy) -> tuple[str, ...]:
    return (*policy.unlimited, *(exemption.reason for exemption in policy.exemptions))


def _reasons(
    plans: Iterable[Plan], read: Callable[[Policy], tuple[str, ...]]
) -> list[tuple[str, str]]:
    """Return the routes for which there are such reasons."""
    return sorted((plan.label, "; ".join(read(plan.policy))) for plan in plans if read(plan.policy))
