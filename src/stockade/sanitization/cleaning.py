"""Sanitize rich text."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, overload

import nh3

from stockade.sanitization.errors import SanitizationError
from stockade.sanitization.links import URL_ATTRIBUTES, is_allowed_link
from stockade.sanitization.plain_text import is_plain_text
from stockade.sanitization.policies import HTMLPolicy, find_policy
from stockade.sanitization.work import check_work

if TYPE_CHECKING:
    from collections.abc import Callable


@overload
def sanitize_html(value: str, policy: str | HTMLPolicy = ...) -> str: ...
@overload
def sanitize_html(value: None, policy: str | HTMLPolicy = ...) -> None: ...
@overload
def sanitize_html(value: str | None, policy: str | HTMLPolicy = ...) -> str | None: ...
def sanitize_html(value: str | None, policy: str | HTMLPolicy = "default") -> str | None:
    """Return rich text with nothing in it but what a policy allows.

    The result is safe as the content of an element, and sanitizing it again changes nothing. Text
    that holds no markup at all comes back as it is, so ``Tom & Jerry < 3`` stays what it was.

    >>> sanitize_html("<p onclick=alert(1)>Hello <script>alert(1)</script><b>world</b></p>")
    '<p>Hello world</p>'

    Args:
        value: Untrusted rich text; None stays None.
        policy: A policy, or the name of a registered one.

    Raises:
        SanitizationError: The value is longer than the policy takes, before or after sanitizing,
            needs too much work, or is not Unicode text.
        UnsafePolicyError: The policy's name is unknown.
        TypeError: The value is no text.
    """
    rules = find_policy(policy)
    if value is None:
        return None
    _check_length(value, rules)
    if is_plain_text(value):
        return value
    check_work(value)
    try:
        cleaned = build_cleaner(rules).clean(value)
    except UnicodeEncodeError:
        # A lone surrogate: JSON can spell it, no encoding can hold it.
        raise SanitizationError(reason="sanitization.not_unicode") from None
    # The engine writes the line break of "&#13;" as it is, and parsers read it as another one.
    cleaned = cleaned.replace("\r\n", "\n").replace("\r", "\n")
    # What is stored has to pass again when it is sanitized on its way out.
    _check_length(cleaned, rules)
    check_work(cleaned)
    return cleaned


def _check_length(value: str, policy: HTMLPolicy) -> None:
    if len(value) > policy.max_length:
        raise SanitizationError(reason="sanitization.too_long", limit=policy.max_length)


@lru_cache(maxsize=64)
def build_cleaner(policy: HTMLPolicy) -> nh3.Cleaner:
    """Build the engine of a policy, once: it costs three times a small value's cleaning."""
    attributes: dict[str, set[str]] = {}
    for tag, attribute in policy.attributes:
        attributes.setdefault(tag, set()).add(attribute)
    return nh3.Cleaner(
        tags=policy.tags,
        clean_content_tags=policy.dropped,
        attributes=attributes,
        attribute_filter=_link_filter(policy),
        link_rel=policy.rel,
        url_schemes=policy.schemes,
    )


def _link_filter(policy: HTMLPolicy) -> Callable[[str, str, str], str | None]:
    def filter_attribute(_element: str, attribute: str, value: str) -> str | None:
        if attribute in URL_ATTRIBUTES and not is_allowed_link(value, policy):
            return None
        return value

    return filter_attribute
