"""Write the HTML of the documentation pages: nothing inline, every value escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from stockade.api_docs.assets import (
    FAVICON,
    OAUTH2_REDIRECT,
    PAGE_CSS,
    REDOC_BUNDLE,
    REDOC_INIT,
    SWAGGER_BUNDLE,
    SWAGGER_CSS,
    SWAGGER_INIT,
    load_assets,
)

# What FastAPI's own page sets; an application's `swagger_ui_parameters` come on top.
DEFAULT_PARAMETERS: Final[Mapping[str, Any]] = {
    "deepLinking": True,
    "showExtensions": True,
    "showCommonExtensions": True,
    "tryItOutEnabled": True,
}

# Parameters that decide what the page loads, where it sends it, or whether it cleans what it shows.
# The script of the page sets or leaves them, whatever the application says.
PINNED_PARAMETERS: Final = frozenset(
    {
        "configUrl",
        "dom_id",
        "domNode",
        "layout",
        "oauth2RedirectUrl",
        "plugins",
        "presets",
        "queryConfigEnabled",
        "spec",
        "url",
        "urls",
        "useUnsafeMarkdown",
        "validatorUrl",
    }
)


def swagger_page(
    *,
    title: str,
    openapi_url: str,
    assets_url: str,
    oauth2_redirect_url: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    oauth: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the page of Swagger UI.

    Args:
        title: Title of the browser tab.
        openapi_url: Path of the description, with the prefix of the application.
        assets_url: Path of the folder of scripts and styles, without a final slash.
        oauth2_redirect_url: Path of the page where a provider sends the browser back.
        parameters: Swagger UI parameters that JSON can express; pinned ones are left out.
        oauth: Arguments of `initOAuth` that JSON can express.
    """
    chosen = {**DEFAULT_PARAMETERS, **(parameters or {})}
    data = {
        "openapi-url": openapi_url,
        "parameters": json.dumps({k: v for k, v in chosen.items() if k not in PINNED_PARAMETERS}),
    }
    if oauth2_redirect_url is not None:
        data["oauth2-redirect-url"] = oauth2_redirect_url
    if oauth is not None:
        data["oauth"] = json.dumps(dict(oauth))
    return _page(
        title=title,
        assets_url=assets_url,
        styles=(SWAGGER_CSS, PAGE_CSS),
        scripts=(SWAGGER_BUNDLE, SWAGGER_INIT),
        body=_element("swagger-ui", data),
    )


def redoc_page(*, title: str, openapi_url: str, assets_url: str) -> bytes:
    """Return the page of ReDoc; the arguments are those of `swagger_page`."""
    return _page(
        title=title,
        assets_url=assets_url,
        styles=(PAGE_CSS,),
        scripts=(REDOC_BUNDLE, REDOC_INIT),
        body=_element("redoc", {"openapi-url": openapi_url}),
    )


def oauth2_redirect_page(*, assets_url: str) -> bytes:
    """Return the page that hands a provider's answer to the window of Swagger UI."""
    return _page(
        title="Sign-in",
        assets_url=assets_url,
        styles=(),
        scripts=(OAUTH2_REDIRECT,),
        body="",
    )


def _page(
    *, title: str, assets_url: str, styles: tuple[str, ...], scripts: tuple[str, ...], body: str
) -> bytes:
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f'<link rel="icon" type="image/png" href="{_asset_url(assets_url, FAVICON)}">',
        *(f'<link rel="stylesheet" href="{_asset_url(assets_url, name)}">' for name in styles),
    ]
    tail = [f'<script src="{_asset_url(assets_url, name)}"></script>' for name in scripts]
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        *head,
        "</head>",
        "<body>",
        body,
        "<noscript>This page needs JavaScript.</noscript>",
        *tail,
        "</body>",
        "</html>",
        "",
    ]
    # A lone surrogate in a title can't be encoded; a character reference shows it as unknown.
    return "\n".join(lines).encode(errors="xmlcharrefreplace")


def _element(element_id: str, data: Mapping[str, str]) -> str:
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    return f'<div id="{element_id}"{attributes}></div>'


def _asset_url(assets_url: str, name: str) -> str:
    return escape(f"{assets_url}/{load_assets()[name].name}")
