"""Sanitize rich text."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from stockade.sanitization.engine import engine_of
from stockade.sanitization.errors import SanitizationError
from stockade.sanitization.plain_text import is_plain_text
from stockade.sanitization.policies import find_policy
from stockade.sanitization.work import check_work

if TYPE_CHECKING:
    from stockade.sanitization.policies import HTMLPolicy


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
    if len(value) > rules.max_length:
        raise SanitizationError(reason="sanitization.too_long", limit=rules.max_length)
    if is_plain_text(value):
        return value
    check_work(value)
    return engine_of(rules).clean(value)
