"""Describe the routes that serve API documentation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from starlette.routing import Route


class DocsKind(StrEnum):
    """What a documentation route serves."""

    OPENAPI = "openapi"
    SWAGGER = "swagger"
    OAUTH2_REDIRECT = "oauth2-redirect"
    REDOC = "redoc"
    ASSETS = "assets"


@dataclass(frozen=True, slots=True)
class DocsRoute:
    """One documentation route of one application.

    `route` is the very object that the application's router calls, and `path` is its template
    inside that application, without any mount prefix.
    """

    route: Route
    path: str
    kind: DocsKind
