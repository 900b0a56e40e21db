"""Make rich text safe to show as HTML, and leave every other kind of text alone."""

from stockade.sanitization.autolinks import linkify
from stockade.sanitization.cleaning import sanitize_html
from stockade.sanitization.errors import SanitizationError, UnsafePolicyError
from stockade.sanitization.fields import RichText, Sanitize
from stockade.sanitization.plain_text import escape_html, strip_html
from stockade.sanitization.policies import HTMLPolicy, find_policy, register_policy

__all__ = [
    "HTMLPolicy",
    "RichText",
    "SanitizationError",
    "Sanitize",
    "UnsafePolicyError",
    "escape_html",
    "find_policy",
    "linkify",
    "register_policy",
    "sanitize_html",
    "strip_html",
]
