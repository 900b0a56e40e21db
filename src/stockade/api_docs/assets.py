"""Load the scripts and styles of the documentation pages into one fixed table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

SWAGGER_CSS: Final = "swagger-ui/swagger-ui.css"
SWAGGER_BUNDLE: Final = "swagger-ui/swagger-ui-bundle.js"
SWAGGER_INIT: Final = "stockade/swagger-init.js"
OAUTH2_REDIRECT: Final = "swagger-ui/oauth2-redirect.js"
FAVICON: Final = "swagger-ui/favicon-32x32.png"
REDOC_BUNDLE: Final = "redoc/redoc.standalone.js"
REDOC_INIT: Final = "stockade/redoc-init.js"
PAGE_CSS: Final = "stockade/page.css"

_MEDIA_TYPES: Final = {
    SWAGGER_CSS: "text/css; charset=utf-8",
    SWAGGER_BUNDLE: "text/javascript; charset=utf-8",
    SWAGGER_INIT: "text/javascript; charset=utf-8",
    OAUTH2_REDIRECT: "text/javascript; charset=utf-8",
    FAVICON: "image/png",
    REDOC_BUNDLE: "text/javascript; charset=utf-8",
    REDOC_INIT: "text/javascript; charset=utf-8",
    PAGE_CSS: "text/css; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: the name it is served under, which holds its digest, and its content."""

    name: str
    media_type: str
    etag: str
    content: bytes


@cache
def load_assets() -> Mapping[str, Asset]:
    """Return the files by their name in the package, read once.

    Only the files named in this module are read. A request can choose among them and nothing else,
    because its text is compared with names and never becomes part of a path.
    """
    return MappingProxyType({name: _load(name) for name in _MEDIA_TYPES})


@cache
def served_assets() -> Mapping[str, Asset]:
    """Return the same files by the name they are served under."""
    return MappingProxyType({asset.name: asset for asset in load_assets().values()})


def _load(name: str) -> Asset:
    folder, file = name.split("/")
    content = resources.files(__package__).joinpath("static", folder, file).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    stem, _, suffix = file.rpartition(".")
    # A name that changes with the content may be cached for ever, and an upgrade is seen at once.
    return Asset(
        name=f"{stem}.{digest}.{suffix}",
        media_type=_MEDIA_TYPES[name],
        etag=f'"{digest}"',
        content=content,
    )
