"""State the response headers of the documentation, above all its Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from stockade.api_docs.models import DocsKind

# ReDoc puts two style elements into its page: the scroll bar's rules, always the same text, and one
# of styled-components that stays empty (its rules come through the CSSOM, which no policy governs).
# Each is allowed by its digest, which admits these two texts alone; a nonce would admit any.
REDOC_STYLE_HASHES: Final = (
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
)

_NOTHING: Final = MappingProxyType({"default-src": "'none'", "frame-ancestors": "'none'"})

# No inline script, no eval, no frame, no plug-in, no worker, no form target, no foreign origin.
_PAGE: Final = MappingProxyType(
    {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
)


def content_security_policy(kind: DocsKind, connect_origins: Sequence[str] = ()) -> str:
    """Return the policy of one kind of documentation response.

    Args:
        kind: What the response is.
        connect_origins: Checked origins that Swagger UI may call besides its own.

    Source: Content Security Policy Level 3, sections 6 and 8.
    """
    match kind:
        case DocsKind.SWAGGER:
            connect = " ".join(("'self'", *connect_origins))
            return _join({**_PAGE, "connect-src": connect})
        case DocsKind.REDOC:
            return _join({**_PAGE, "style-src": " ".join(("'self'", *REDOC_STYLE_HASHES))})
        case DocsKind.OAUTH2_REDIRECT:
            return _join({**_NOTHING, "script-src": "'self'", "base-uri": "'none'"})
        case DocsKind.OPENAPI | DocsKind.ASSETS:
            return _join(_NOTHING)


def docs_headers(kind: DocsKind, connect_origins: Sequence[str] = ()) -> dict[str, str]:
    """Return the headers of one kind of response, but for its media type and caching."""
    return {
        "Content-Security-Policy": content_security_policy(kind, connect_origins),
        "X-Content-Type-Options": "nosniff",
        # Not `no-referrer`: that makes browsers send `Origin: null` from the page, and a check of
        # the origin against cross-site requests would refuse what "Try it out" sends.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": _opener_policy(kind),
    }


def _opener_policy(kind: DocsKind) -> str:
    # A sign-in runs in a window that Swagger UI opens, on the provider's origin, and ends on the
    # redirect page, which hands the code back through `window.opener`. Anything stricter parts
    # the two.
    match kind:
        case DocsKind.SWAGGER:
            return "same-origin-allow-popups"
        case DocsKind.OAUTH2_REDIRECT:
            return "unsafe-none"
        case DocsKind.REDOC | DocsKind.OPENAPI | DocsKind.ASSETS:
            return "same-origin"


def _join(directives: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())
