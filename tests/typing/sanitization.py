"""Show that rich-text fields and the sanitizer's own functions type-check."""

from __future__ import annotations

from typing import Annotated, assert_type

from pydantic import BaseModel, Field

from stockade.sanitization import (
    HTMLPolicy,
    RichText,
    Sanitize,
    escape_html,
    register_policy,
    sanitize_html,
    strip_html,
)


class Article(BaseModel):
    """Rich text bare, narrowed, optional, and of another policy."""

    body: RichText = Field(max_length=20_000)
    summary: RichText = ""
    footer: RichText | None = None
    text: Annotated[str, Sanitize("article")] = Field(default="", max_length=50_000)


article = Article(body="<p>x</p>")
assert_type(article.body, str)
assert_type(article.footer, str | None)
assert_type(article.text, str)


def clean(required: str, optional: str | None, nothing: None) -> None:
    """The result has the type of the argument."""
    assert_type(sanitize_html(required), str)
    assert_type(sanitize_html(optional), str | None)
    assert_type(sanitize_html(nothing), None)
    assert_type(escape_html(required), str)
    assert_type(strip_html(required), str)


policy = register_policy(HTMLPolicy(name="plain", tags=frozenset({"p"})))
assert_type(sanitize_html("x", policy), str)
assert_type(sanitize_html("x", "plain"), str)
