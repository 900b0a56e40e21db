"""Build the headers of pages that show rich text: the wall behind the sanitizer, in the browser.

A sanitizer that has missed something leaves markup in the page. Under these headers a browser runs
none of it: no script but the site's own files, no handler in an attribute, no ``javascript:`` link,
and no string that a script hands to ``innerHTML``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stockade.sanitization.errors import UnsafePolicyError
from stockade.sanitization.policies import HTMLPolicy, find_policy

if TYPE_CHECKING:
    from collections.abc import Iterable

# A host, with a scheme and a port if need be. A wildcard stands for the first label alone.
_SOURCE: Final = re.compile(
    r"(?:https?://)?(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?"
)
# Content Security Policy Level 3, Trusted Types: "tt-policy-name".
_POLICY_NAME: Final = re.compile(r"[A-Za-z0-9\-#=_/@.%]{1,100}")
_REPORT_URL: Final = re.compile(
    r"(?:https://[a-z0-9.-]+(?::[0-9]{1,5})?)?/(?!/)[A-Za-z0-9\-._~/]*", re.ASCII
)


def rich_text_page_policy(
    policy: str | HTMLPolicy = "default",
    *,
    image_hosts: Iterable[str] = (),
    frame_ancestors: Iterable[str] = (),
    trusted_types: Iterable[str] = (),
    report_to: str | None = None,
) -> dict[str, str]:
    """Return the headers of a page that shows rich text.

    Scripts, styles, fonts and requests come from the page's own host, in files of their own. A page
    that has inline scripts or styles has to move them into files first.

    Images come from the page's own host and from ``image_hosts``; where the policy keeps images and
    names its hosts, from these as well. A policy that keeps images of any host needs them to be
    named here, or the browser shows those of the page's own host alone.

    Args:
        policy: The policy of the rich text, or the name of a registered one.
        image_hosts: Hosts that images may come from, such as ``images.example.com``,
            ``https://images.example.com`` or ``*.example.com``.
        frame_ancestors: Hosts that may show the page in a frame; nobody by default.
        trusted_types: Names of the Trusted Types policies that the page's own scripts make; none by
            default. Each of them has to sanitize what it is given.
        report_to: Where browsers report what they stopped: a path, or a URL with HTTPS.

    Raises:
        UnsafePolicyError: The policy is unknown, or a value is not of the described form.

    Source: Content Security Policy Level 3 (W3C); Trusted Types (W3C); ASVS 5.0 V3.4.3.
    """
    rules = find_policy(policy)
    images = [*_matching("image_hosts", image_hosts, _SOURCE), *_policy_hosts(rules)]
    ancestors = _matching("frame_ancestors", frame_ancestors, _SOURCE)
    names = _matching("trusted_types", trusted_types, _POLICY_NAME)
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": " ".join(["'self'", *dict.fromkeys(images)]),
        "font-src": "'self'",
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": " ".join(ancestors) or "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": " ".join(names) or "'none'",
    }
    headers = {}
    if report_to is not None:
        _matching("report_to", [report_to], _REPORT_URL)
        # Browsers that know report-to pass over report-uri, and the others the other way round.
        directives |= {"report-uri": report_to, "report-to": "rich-text"}
        headers["Reporting-Endpoints"] = f'rich-text="{report_to}"'
    text = "; ".join(f"{name} {value}" for name, value in directives.items())
    return {"Content-Security-Policy": text, **headers}


def _policy_hosts(policy: HTMLPolicy) -> list[str]:
    return sorted(policy.image_hosts or ()) if "img" in policy.tags else []


def _matching(name: str, values: Iterable[str], form: re.Pattern[str]) -> list[str]:
    """Return values that fit a form: in a header, one that does not could say anything."""
    # A single text is a list of its letters, which are hosts of their own.
    found = [] if isinstance(values, str) else list(values)
    if isinstance(values, str) or not all(form.fullmatch(value) for value in found):
        message = (
            f"{name} holds a value that can't stand in a Content-Security-Policy: {_HINTS[name]}"
        )
        raise UnsafePolicyError(message)
    return found


_HINTS: Final = {
    "frame_ancestors": "write a list of hosts, such as ['www.example.com']",
    "image_hosts": "write a list of hosts, such as ['images.example.com']",
    "report_to": "write a path such as /csp-reports, or a URL with https",
    "trusted_types": "write a list of names, such as ['dompurify']",
}
