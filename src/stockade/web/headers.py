"""Build the security headers once, at start-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.web.settings import WebSettings


def security_headers(settings: WebSettings, *, hsts: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that every answer gets unless it has its own.

    Args:
        settings: Content security policy and the age of HSTS.
        hsts: Whether to tell browsers to come by HTTPS alone.

    Source: OWASP HTTP Headers Cheat Sheet; ASVS 5.0 V3.4.
    """
    headers = {
        "content-security-policy": settings.content_security_policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "cache-control": "no-store",
    }
    if hsts and settings.hsts_max_age:
        headers["strict-transport-security"] = f"max-age={settings.hsts_max_age}; includeSubDomains"
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())
