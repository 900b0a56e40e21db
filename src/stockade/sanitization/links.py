"""Decide which URLs rich text may carry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stockade.sanitization.policies import HTMLPolicy

URL_ATTRIBUTES: Final = frozenset({"cite", "href", "src"})

# Browsers drop tabs and line breaks from URLs and read a backslash as a slash (URL standard,
# "basic URL parser"), so "/\t/host" and "/\\host" lead to another host. No honest link holds one.
_DECEPTIVE: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
# RFC 3986, section 4.2: the first segment of a relative path holds no colon. What looks like a
# scheme behind an exotic space is nothing an editor writes.
_COLON_FIRST: Final = re.compile(r"[^/?#]*:")
_WITH_HOST: Final = frozenset({"http", "https"})
_HOST: Final = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)


def is_allowed_link(url: str, policy: HTMLPolicy) -> bool:
    """Tell whether a policy keeps a URL.

    A URL is judged as a browser reads it and kept as it is, or dropped; none is rewritten.

    Source: URL standard (WHATWG), section 4.4; RFC 3986, section 4.2.
    """
    if _DECEPTIVE.search(url):
        return False
    target = url.strip(" ")
    scheme = _SCHEME.match(target)
    if scheme is None:
        relative = not target.startswith("//") and not _COLON_FIRST.match(target)
        return relative and policy.relative_links
    name = scheme[1].lower()
    if name not in policy.schemes:
        return False
    # "https:host" is relative on an https page and absolute elsewhere.
    return name not in _WITH_HOST or target.startswith("//", scheme.end())


def is_allowed_image(url: str, policy: HTMLPolicy) -> bool:
    """Tell whether a policy keeps the source of an image.

    It is a link by HTTP or within the site, and to one of the policy's image hosts. A host is
    compared as it is written: with a user name, an escape or a trailing dot it is another one.
    """
    target = url.strip(" ")
    if not is_allowed_link(url, policy):
        return False
    if _SCHEME.match(target) is None:
        return True
    host = _HOST.match(target)
    return host is not None and (
        policy.image_hosts is None or host[1].lower() in policy.image_hosts
    )
