"""Mount the dashboard: its routes, bound like all others, and the pages of its refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from stockade.authorization import require_fresh, require_role
from stockade.core.dependencies import PolicyMark
from stockade.core.identity import UserType
from stockade.core.policy import Policy
from stockade.dashboard.interfaces import Sources
from stockade.dashboard.middleware import RefusalPagesMiddleware
from stockade.dashboard.pages import PAGES
from stockade.dashboard.rendering import Renderer
from stockade.dashboard.sign_in import add_sign_in
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from stockade.application import Stockade
    from stockade.wiring.limits import LimitWiring
    from stockade.wiring.sign_in import SignInWiring

_STYLE: Final = PolicyMark(
    Policy(public=("the style sheet of the sign-in page",), origins=("dashboard",))
)


def mount(
    app: FastAPI,
    *,
    stockade: Stockade,
    limits: LimitWiring,
    sign_in: SignInWiring,
    found: Callable[[], Mapping[str, str]],
) -> None:
    """Mount the dashboard where the settings say.

    Args:
        app: The application.
        stockade: The layers.
        limits: Limits, bans and refusals.
        sign_in: Signs in.
        found: What the start found, by name.

    Raises:
        ConfigurationError: Sign-in by cookies is off.
    """
    settings = stockade.settings.dashboard
    cross_site = sign_in.cross_site
    if cross_site is None:
        message = (
            "the dashboard signs browsers in by a cookie: set"
            " STOCKADE_AUTHENTICATION__COOKIES=true, or unset STOCKADE_DASHBOARD__PATH"
        )
        raise ConfigurationError(message)
    renderer = Renderer(settings.path or "", [(page.path, page.title) for page in PAGES])
    sources = Sources(
        stockade=stockade,
        limits=limits,
        sign_in=sign_in,
        cross_site=cross_site,
        found=found,
        renderer=renderer,
        fresh=require_fresh(settings.fresh),
    )
    opened = APIRouter(prefix=renderer.path, include_in_schema=False)
    add_sign_in(opened, sources)
    _add_style(opened, renderer)
    closed = APIRouter(
        prefix=renderer.path,
        include_in_schema=False,
        dependencies=[Depends(require_role(UserType.SUPER_ADMIN))],
    )
    for page in PAGES:
        page.add(closed, sources)
    for router in (opened, closed):
        app.include_router(router)
        # Before a route of the application that catches all paths.
        app.router.routes.insert(0, app.router.routes.pop())
    app.add_middleware(RefusalPagesMiddleware, renderer=renderer)


def _add_style(router: APIRouter, renderer: Renderer) -> None:
    @router.get(
        f"/static/{renderer.style_name}", name="stockade:dashboard-style", dependencies=[_STYLE]
    )
    async def style() -> Response:
        """Return the style sheet."""
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(renderer.style, media_type="text/css", headers=headers)
