"""Show how full buckets are, and who is refused most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from stockade.rate_limiting.observation import ObservableStore
from stockade.rate_limiting.refusals import SPANS, Outcome
from stockade.rate_limiting.support import innermost

if TYPE_CHECKING:
    from stockade.dashboard.interfaces import Sources

_MOST: Final = 50
_TITLES: Final = {
    Outcome.REFUSED: "Refused",
    Outcome.WOULD_REFUSE: "Would have been refused",
}


def add_limits(router: APIRouter, sources: Sources) -> None:
    """Add the page."""
    limits, renderer = sources.limits, sources.renderer

    @router.get("/limits", name="stockade:dashboard-limits")
    async def show(request: Request) -> Response:
        """Show buckets and refusals."""
        store = innermost(limits.limiter.store)
        shared = isinstance(store, ObservableStore)
        buckets = await store.list_buckets(most=_MOST) if isinstance(store, ObservableStore) else []
        refused = [
            (_TITLES[outcome], span.name, await limits.refusals.read(outcome, span, most=_MOST))
            for outcome in Outcome
            if outcome is Outcome.REFUSED or limits.only_counts
            for span in SPANS
        ]
        return renderer.render(
            request.scope,
            "limits.html",
            page="/limits",
            on=limits.are_on,
            dry=limits.only_counts,
            shared=shared,
            buckets=buckets,
            refused=refused,
        )
