"""Render Markdown as HTML that is safe to show.

Store what the author wrote and render it when it is read: the source can be edited again, and a
stricter policy holds for old texts at once. `Markdown` declares such a field.

Measured on markdown-it-py 4.3: 20,000 characters of a quotation that is opened in each second line
take 7 s, and one wide heading over 4,000 short lines becomes a table 75 times as long. Such texts
are refused before they are parsed; what passes takes at most about a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from stockade.errors import ConfigurationError
from stockade.sanitization.cleaning import sanitize_html
from stockade.sanitization.errors import SanitizationError
from stockade.sanitization.fields import bound_text, refusal
from stockade.sanitization.policies import HTMLPolicy, find_policy

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from pydantic import GetCoreSchemaHandler

# Ordinary text takes 1 us a character, the worst that passes 20 us.
MAX_LENGTH: Final = 50_000
MAX_DEPTH: Final = 20

# A blank line ends a quotation and a table, so that what lies between two of them is read again for
# each quotation that begins in it.
_BLANK_LINE: Final = re.compile(r"\n[ \t]*(?=\n)")
_LINE_BREAK: Final = re.compile(r"\r\n?")
_QUOTATION: Final = re.compile(r"[ \t>*+\-0-9.)]*>")
_MAX_READINGS: Final = 50_000  # Lines, times the quotations that are opened among them.
_MAX_CELLS: Final = 20_000  # Lines, times the columns of the widest.


def render_markdown(text: str, policy: str | HTMLPolicy = "default") -> str:
    r"""Return the HTML of a Markdown text, with nothing in it but what a policy allows.

    Syntax is CommonMark; tables, strikethrough and images are read where the policy has them.
    HTML in the text is shown as text. The result is sanitized like any rich text.

    >>> render_markdown("# Hello\n\n**world** <script>")
    '<h1>Hello</h1>\n<p><strong>world</strong> &lt;script&gt;</p>\n'

    Args:
        text: Untrusted Markdown, of at most 50,000 characters.
        policy: A policy, or the name of a registered one.

    Raises:
        SanitizationError: The text, or its HTML, is too long, needs too much work, is nested more
            than 20 deep, or is not Unicode text.
        UnsafePolicyError: The policy's name is unknown.
        ConfigurationError: markdown-it-py is not installed.

    Source: ASVS 5.0 V1.3.5.
    """
    rules = find_policy(policy)
    limit = min(MAX_LENGTH, rules.max_length)
    if len(text) > limit:
        raise SanitizationError(reason="sanitization.too_long", limit=limit)
    _check_lines(_LINE_BREAK.sub("\n", text))
    parser = _parser_of(rules)
    environment: dict[str, object] = {}
    tokens = parser.parse(text, environment)
    if any(token.level > MAX_DEPTH for token in tokens):
        raise SanitizationError(reason="sanitization.too_complex")
    html: str = parser.renderer.render(tokens, parser.options, environment)
    return sanitize_html(html, rules)


@dataclass(frozen=True, slots=True)
class Markdown:
    """Mark a ``str`` field as Markdown: ``Annotated[str, Markdown("comment")]``.

    The field keeps what the author wrote. It is refused when `render_markdown` could not show it,
    so that reading never fails. A maximum length holds for the source.

    Args:
        policy: The policy that it will be rendered with.

    Raises:
        UnsafePolicyError: The policy is unknown, or the field is not a ``str``; both when the
            model is defined.
        ConfigurationError: markdown-it-py is not installed.
    """

    policy: str | HTMLPolicy = "default"

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        policy = find_policy(self.policy)
        _parser_of(policy)
        schema = handler(source)
        limit = bound_text(schema, min(MAX_LENGTH, policy.max_length))

        def verify(value: str | None) -> str | None:
            # A limit that stands behind the marker is checked after it, which is too late.
            if value is not None and len(value) > limit:
                raise PydanticKnownError("string_too_long", {"max_length": limit})
            try:
                _ = None if value is None else render_markdown(value, policy)
            except SanitizationError as error:
                raise refusal(error) from None
            return value

        return core_schema.no_info_after_validator_function(verify, schema)


@lru_cache(maxsize=64)
def _parser_of(policy: HTMLPolicy) -> MarkdownIt:
    try:
        from markdown_it import MarkdownIt  # noqa: PLC0415 - an extra brings it.
    except ImportError:
        message = "markdown-it-py is not installed: pip install 'stockade[markdown]'"
        raise ConfigurationError(message) from None
    # The parser leaves out what is nested deeper than it may, and nobody would see that it is gone;
    # so it may go a little deeper than we do.
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_DEPTH + 2})
    # What the policy would take away again is not read as markup, so that no text is lost.
    parser.enable(
        [rule for rule, tag in (("table", "table"), ("strikethrough", "s")) if tag in policy.tags]
    )
    if "img" not in policy.tags:
        parser.disable("image")
    return parser


def _check_lines(text: str) -> None:
    readings = cells = 0
    for part in _BLANK_LINE.split(text):
        lines = part.split("\n")
        readings += len(lines) * _quotations(lines) if ">" in part else 0
        if "|" in part:
            cells += len(lines) * max(line.count("|") for line in lines)
    if readings > _MAX_READINGS or cells > _MAX_CELLS:
        raise SanitizationError(reason="sanitization.too_complex")


def _quotations(lines: list[str]) -> int:
    """Count the lines at which a quotation may begin: those with other marks than the line above.

    Marks of lists count always, because each item has quotations of its own.
    """
    found = 0
    above = ""
    for line in lines:
        prefix = _QUOTATION.match(line)
        marks = "" if prefix is None else re.sub(r"[ \t]", "", prefix[0])
        found += bool(marks) and (marks != above or marks.strip(">") != "")
        above = marks
    return found
