"""Answer requests for the documentation of one application.

Nothing here asks who the reader is: the gate decides that before it calls one of these handlers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stockade.api_docs.assets import served_assets
from stockade.api_docs.models import DocsKind
from stockade.api_docs.pages import oauth2_redirect_page, redoc_page, swagger_page
from stockade.api_docs.policy import docs_headers

Responder = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class DocsPaths:
    """Where the documentation of one application lives, inside that application."""

    openapi: str
    assets: str
    oauth2_redirect: str | None


# Two endpoints are equal only if they are the same object, as functions are.
@dataclass(frozen=True, slots=True, eq=False)
class DocsEndpoint:
    """An ASGI endpoint for one kind of documentation."""

    kind: DocsKind
    respond: Responder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self.respond(Request(scope, receive))
        await response(scope, receive, send)


def root_prefix(scope: Scope) -> str:
    """Return the path that stands before every path of the application, ready for a URL.

    It is taken from `root_path`, which the server, the application and its mounts set; the `Host`
    header and the request's path have no part in it. A leading double slash, which a browser would
    read as the name of a host, is made single.
    """
    path = str(scope.get("root_path", "")).strip("/")
    return f"/{quote(path, safe='/:@!$&()*+,;=~', errors='replace')}" if path else ""


def openapi_endpoint(original: Responder) -> DocsEndpoint:
    """Return FastAPI's own handler of the description, with our headers on what it answers."""

    async def respond(request: Request) -> Response:
        # FastAPI names `root_path` as a server, so it gets the cleaned one too.
        scope = {**request.scope, "root_path": root_prefix(request.scope)}
        response = await original(Request(scope, request.receive))
        response.headers.update(docs_headers(DocsKind.OPENAPI))
        response.headers["Cache-Control"] = "no-store"
        return response

    return DocsEndpoint(DocsKind.OPENAPI, respond)


def swagger_endpoint(
    app: FastAPI, paths: DocsPaths, connect_origins: tuple[str, ...]
) -> DocsEndpoint:
    """Return the handler of the Swagger UI page of one application."""
    headers = docs_headers(DocsKind.SWAGGER, connect_origins)

    async def respond(request: Request) -> Response:
        prefix = root_prefix(request.scope)
        redirect = paths.oauth2_redirect
        page = swagger_page(
            title=f"{app.title} - Swagger UI",
            openapi_url=prefix + paths.openapi,
            assets_url=prefix + paths.assets,
            oauth2_redirect_url=None if redirect is None else prefix + redirect,
            parameters=_json_object(app.swagger_ui_parameters),
            oauth=_json_object(app.swagger_ui_init_oauth),
        )
        return _html(page, headers)

    return DocsEndpoint(DocsKind.SWAGGER, respond)


def redoc_endpoint(app: FastAPI, paths: DocsPaths) -> DocsEndpoint:
    """Return the handler of the ReDoc page of one application."""
    headers = docs_headers(DocsKind.REDOC)

    async def respond(request: Request) -> Response:
        prefix = root_prefix(request.scope)
        page = redoc_page(
            title=f"{app.title} - ReDoc",
            openapi_url=prefix + paths.openapi,
            assets_url=prefix + paths.assets,
        )
        return _html(page, headers)

    return DocsEndpoint(DocsKind.REDOC, respond)


def oauth2_redirect_endpoint(paths: DocsPaths) -> DocsEndpoint:
    """Return the handler of the page where a provider sends the browser back."""
    headers = docs_headers(DocsKind.OAUTH2_REDIRECT)

    async def respond(request: Request) -> Response:
        prefix = root_prefix(request.scope)
        return _html(oauth2_redirect_page(assets_url=prefix + paths.assets), headers)

    return DocsEndpoint(DocsKind.OAUTH2_REDIRECT, respond)


def assets_endpoint() -> DocsEndpoint:
    """Return the handler of the scripts and styles: a look-up in a fixed table.

    Its responder raises HTTPException (404) for every other name.
    """
    table = served_assets()
    shared = docs_headers(DocsKind.ASSETS)
    # `private`: what was asked for with credentials has no place in a shared cache.
    shared["Cache-Control"] = "private, max-age=31536000, immutable"

    async def respond(request: Request) -> Response:
        asset = table.get(request.path_params["file"])
        if asset is None:
            raise HTTPException(404)
        headers = {**shared, "ETag": asset.etag}
        if _has_etag(request.headers.getlist("if-none-match"), asset.etag):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return DocsEndpoint(DocsKind.ASSETS, respond)


def _has_etag(if_none_match: list[str], etag: str) -> bool:
    """Compare weakly, as `If-None-Match` asks (RFC 9110, section 13.1.2)."""
    given = [tag.strip().removeprefix("W/") for line in if_none_match for tag in line.split(",")]
    return etag in given or "*" in given


def _json_object(value: dict[str, Any] | None) -> dict[str, Any] | None:
    # FastAPI lets the values be anything it can turn into JSON, such as an enum.
    return None if value is None else {str(k): jsonable_encoder(v) for k, v in value.items()}


def _html(page: bytes, headers: dict[str, str]) -> Response:
    return Response(
        page,
        media_type="text/html; charset=utf-8",
        headers={**headers, "Cache-Control": "no-store"},
    )
