"""Plain text is told from markup by the rules of the HTML standard."""

from __future__ import annotations

import html
from html.parser import HTMLParser

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.sanitization import SanitizationError, escape_html, sanitize_html, strip_html
from stockade.sanitization.plain_text import is_plain_text

near_markup = st.text(alphabet="<>&;#xX/!?aAlLtTgmp019 \r\n\xa0\0-\"'=", max_size=40)


class Recorder(HTMLParser):
    """Note everything that is not text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.markup: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.markup.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.markup.append(tag)

    def handle_comment(self, data: str) -> None:
        self.markup.append(data)

    def handle_decl(self, decl: str) -> None:
        self.markup.append(decl)

    def handle_pi(self, data: str) -> None:
        self.markup.append(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Tom & Jerry < 3",
        "a<3",
        "< b>",
        "1 << 2",
        "a > b",
        "&",
        "&&",
        "& lt;",
        "&#",
        "&#;",
        "&#x;",
        "&#xg;",
        "&nosuch;",
        "&Zz",
        "a\xa0b",
        "a\rb",
    ],
)
def test_text_is_plain(text: str) -> None:
    """Brackets and ampersands that begin nothing are text."""
    assert is_plain_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "<b",
        "<B>",
        "</",
        "</b>",
        "<!",
        "<!-- x",
        "<!doctype html>",
        "<?php",
        "<",
        "a <",
        "&lt;",
        "&lt",
        "&ampere",
        "&AMP",
        "&notit;",
        "&CounterClockwiseContourIntegral;",
        "&#60",
        "&#x3C;",
        "&#X3c",
        "a\0b",
    ],
)
def test_markup_is_not_plain(text: str) -> None:
    """Whatever a parser would read as more than text is not plain, finished or not."""
    assert not is_plain_text(text)


@given(near_markup)
def test_parsers_find_no_markup_in_plain_text(value: str) -> None:
    """Two independent parsers see text alone where we do, and read it as it stands."""
    if is_plain_text(value):
        recorder = Recorder()
        recorder.feed(value)
        recorder.close()
        assert recorder.markup == []
        assert html.unescape(value) == value
        shown = nh3.clean(value, tags=set(), clean_content_tags=set())
        assert html.unescape(shown) == value.replace("\r\n", "\n").replace("\r", "\n")


@given(near_markup)
def test_escaped_text_reads_as_the_original(value: str) -> None:
    """Escaping keeps the text and leaves no markup."""
    escaped = escape_html(value)
    assert html.unescape(escaped) == value or "\0" in value or "\r" in value
    assert "<" not in escaped
    assert '"' not in escaped
    assert "'" not in escaped


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a</p><p>b</p>", "a\nb"),
        ("a<br>b", "a\nb"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<b>Tom</b> &amp; Jerry", "Tom & Jerry"),
        ("Tom & Jerry", "Tom & Jerry"),
        ("&lt;b&gt;", "<b>"),
        ("&amp;lt;", "&lt;"),
        ("<script>x</script>y<style>z</style>", "y"),
        ("<a href='x' title='>'>link</a>", "link"),
    ],
)
def test_strip_html_returns_the_text(markup: str, text: str) -> None:
    """Only the words are left, one line for each block, and decoded once."""
    assert strip_html(markup) == text


@given(near_markup)
def test_stripped_text_is_what_was_shown(value: str) -> None:
    """A text that was escaped comes back from stripping as it was."""
    if "\r" not in value and "\0" not in value:
        assert strip_html(escape_html(value)) in {value, value.strip("\n")}


def test_strip_html_refuses_what_it_can_not_bound() -> None:
    """Stripping has the same bounds as sanitizing."""
    with pytest.raises(SanitizationError):
        strip_html("<div>" * 10_000)
    with pytest.raises(SanitizationError):
        strip_html("x" * 1_000_001)
    with pytest.raises(SanitizationError):
        strip_html("<p>\ud800")


def test_sanitized_text_of_stripped_markup_is_not_html() -> None:
    """Text taken out of markup has to be escaped again, and then is safe."""
    text = strip_html("&lt;img src=x onerror=alert(1)&gt;")
    assert text == "<img src=x onerror=alert(1)>"
    assert sanitize_html(escape_html(text)) == "&lt;img src=x onerror=alert(1)&gt;"
