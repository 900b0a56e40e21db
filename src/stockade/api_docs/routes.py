"""Replace what FastAPI serves as its documentation by pages that load nothing from elsewhere."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, applications
from starlette.routing import Match, Route

from stockade.api_docs.endpoints import (
    DocsEndpoint,
    DocsPaths,
    assets_endpoint,
    oauth2_redirect_endpoint,
    openapi_endpoint,
    redoc_endpoint,
    swagger_endpoint,
)
from stockade.api_docs.models import DocsKind, DocsRoute
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import Scope

# What FastAPI's handler of each kind calls, from the most telling to the least. The handlers are
# closures without a public name; what their code refers to is what tells them apart, also after an
# application has changed `docs_url` or replaced one of these functions.
_MARKS: Final = (
    ("get_swagger_ui_html", DocsKind.SWAGGER),
    ("get_swagger_ui_oauth2_redirect_html", DocsKind.OAUTH2_REDIRECT),
    ("get_redoc_html", DocsKind.REDOC),
    ("JSONResponse", DocsKind.OPENAPI),
)


def install_docs(app: FastAPI, *, connect_origins: tuple[str, ...] = ()) -> tuple[DocsRoute, ...]:
    """Serve the documentation of one application, root or mounted, from this package.

    FastAPI's own routes stay in place, with their paths and names; what they call is replaced. One
    route for scripts and styles is added beside them. A second call changes nothing. A mounted
    application has routes of its own: call this for each of them.

    Args:
        app: The application. Routes that a developer wrote are not touched, whatever their path.
        connect_origins: Checked origins that Swagger UI may call besides its own.

    Returns:
        Every documentation route of this application, in the order the router tries them; empty if
        the application has none.

    Raises:
        ConfigurationError: A route of FastAPI's own is of no known kind, or there is a page without
            a description to show.
    """
    found = _find(app)
    if any(not isinstance(docs_route.route.endpoint, DocsEndpoint) for docs_route in found):
        paths = _docs_paths(app, found)
        for docs_route in found:
            # The object stays the one that the router, and whoever bound something to it, holds.
            route = docs_route.route
            if not isinstance(route.endpoint, DocsEndpoint):
                route.endpoint = route.app = _endpoint(
                    docs_route, app=app, paths=paths, connect_origins=connect_origins
                )
            _quicken(route)
        _add_assets(app, found, paths)
    return _find(app)


def _find(app: FastAPI) -> tuple[DocsRoute, ...]:
    return tuple(
        DocsRoute(route=route, path=route.path, kind=kind)
        for route in app.router.routes
        if isinstance(route, Route) and (kind := _kind_of(route)) is not None
    )


def _kind_of(route: Route) -> DocsKind | None:
    endpoint = route.endpoint
    if isinstance(endpoint, DocsEndpoint):
        return endpoint.kind
    # A function keeps the very namespace of the module that defined it; nothing else has this one.
    if not isinstance(endpoint, FunctionType) or endpoint.__globals__ is not vars(applications):
        return None
    used = endpoint.__code__.co_names
    for name, kind in _MARKS:
        if name in used:
            return kind
    raise ConfigurationError(
        f"FastAPI serves {route.path} by a handler of its own that this version of Stockade does "
        "not know; set that URL to None, or use a FastAPI release that Stockade supports"
    )


def _docs_paths(app: FastAPI, found: tuple[DocsRoute, ...]) -> DocsPaths:
    by_kind = {docs_route.kind: docs_route.path for docs_route in found}
    # An application may have taken over the description by a route of its own, at the same URL.
    openapi = by_kind.get(DocsKind.OPENAPI) or app.openapi_url
    if openapi is None:
        raise ConfigurationError(
            "there is a documentation page but no OpenAPI document; set openapi_url, or set "
            "docs_url and redoc_url to None"
        )
    page = by_kind.get(DocsKind.SWAGGER) or by_kind.get(DocsKind.REDOC) or ""
    # "/" would put the folder among the application's own paths, and a path with a parameter has no
    # fixed address that a page could name.
    base = "/api-docs" if page.strip("/") == "" or "{" in page else page.rstrip("/")
    return DocsPaths(
        openapi=openapi,
        assets=f"{base}/assets",
        oauth2_redirect=by_kind.get(DocsKind.OAUTH2_REDIRECT),
    )


def _endpoint(
    docs_route: DocsRoute, *, app: FastAPI, paths: DocsPaths, connect_origins: tuple[str, ...]
) -> DocsEndpoint:
    match docs_route.kind:
        case DocsKind.OPENAPI:
            return openapi_endpoint(docs_route.route.endpoint)
        case DocsKind.SWAGGER:
            return swagger_endpoint(app, paths, connect_origins)
        case DocsKind.OAUTH2_REDIRECT:
            return oauth2_redirect_endpoint(paths)
        case DocsKind.REDOC:
            return redoc_endpoint(app, paths)
        case DocsKind.ASSETS:
            return assets_endpoint()


class QuickRoute(Route):
    """Tell a request that it is not for the documentation with one search in its path.

    The documentation stands before every route of the application, so each request for one of these
    is matched against all of it first, which costs more than most of what the gate does.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, if the fixed part of the path is in the request's at all."""
        return super().matches(scope) if self.fixed in scope["path"] else (Match.NONE, {})

    fixed: str
    """What stands before the first parameter of the path."""


def _quicken(route: Route) -> None:
    if type(route) is Route:
        # The class only overrides a method, so that the object may become one of these as it is.
        route.__class__ = QuickRoute
        route.fixed = route.path.partition("{")[0]  # type: ignore[attr-defined]  # Since the line above.


def _add_assets(app: FastAPI, found: tuple[DocsRoute, ...], paths: DocsPaths) -> None:
    kinds = {docs_route.kind for docs_route in found}
    if DocsKind.ASSETS in kinds or kinds <= {DocsKind.OPENAPI}:
        return
    route = Route(
        f"{paths.assets}/{{file}}",
        assets_endpoint(),
        methods=["GET"],
        name="stockade_docs_assets",
        include_in_schema=False,
    )
    _quicken(route)
    # Right after the last of FastAPI's own, which stand before every route of the application: one
    # that catches all paths would otherwise answer in its place.
    routes = app.router.routes
    last = max(index for index, known in enumerate(routes) if any(known is d.route for d in found))
    routes.insert(last + 1, route)
