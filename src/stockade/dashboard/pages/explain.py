"""Answer why an account may call a route, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from stockade.core.identity import TenantId
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.dashboard.interfaces import Sources

_UNKNOWN: Final = "There is no such account, it may not act, or it is no member of that tenant."
_NO_ROUTE: Final = "There is no such route any more. Choose another one."


def add_explain(router: APIRouter, sources: Sources) -> None:
    """Add the page."""
    stockade, renderer = sources.stockade, sources.renderer

    def show(request: Request, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 - what the template shows
        routes = {
            f"{method} {plan.route}"
            for plan in stockade.plans()
            for method in plan.label.partition(" ")[0].split(",")
            if plan.route and method.isupper()
        }
        shown: dict[str, Any] = {
            "email": "",
            "tenant": "",
            "route": "",
            "problem": "",
            "found": None,
            **values,
        }
        return renderer.render(
            request.scope,
            "explain.html",
            page="/explain",
            status=status,
            routes=sorted(routes, key=lambda each: each.partition(" ")[::-1]),
            **shown,
        )

    @router.get("/explain", name="stockade:dashboard-explain")
    async def ask(request: Request) -> Response:
        """Show the form."""
        return show(request)

    # An address of somebody does not belong into the log of a proxy, so it comes in a body.
    @router.post("/explain", name="stockade:dashboard-explanation")
    async def answer(
        request: Request,
        email: Annotated[str, Form(min_length=1, max_length=254)],
        route: Annotated[str, Form(min_length=1, max_length=500)],
        tenant: Annotated[str, Form(max_length=64)] = "",
    ) -> Response:
        """Show why, or why not."""
        typed: dict[str, Any] = {"email": email, "tenant": tenant, "route": route}
        active = TenantId(tenant.strip()) if tenant.strip() else None
        principal = await stockade.find_principal(email.strip(), active)
        if principal is None:
            return show(request, status=404, problem=_UNKNOWN, **typed)
        try:
            found = stockade.explain(principal, route)
        except ConfigurationError:
            return show(request, status=404, problem=_NO_ROUTE, **typed)
        return show(request, found=found, roles=sorted(principal.roles), **typed)
