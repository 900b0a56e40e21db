"""Rich text keeps what its policy allows, and nothing else."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.sanitization import (
    HTMLPolicy,
    SanitizationError,
    UnsafePolicyError,
    find_policy,
    sanitize_html,
)
from tests.unit.sanitization.parsing import find_faults

REL = 'rel="noopener noreferrer nofollow"'

# Pieces from which hypothesis builds markup that parsers disagree on.
PIECES = [
    *("<", ">", "&", "</", "<!--", "-->", "--!>", "<!", "<?", "]]>", "<![CDATA[", "\0", "\r", "\n"),
    *("<p>", "</p>", "<a href=", "<a title='", "'>", '">', "</a>", "<b>", "<script>", "</script>"),
    *(
        "<style>",
        "</style>",
        "<svg>",
        "<math>",
        "<mtext>",
        "<mglyph>",
        "<table>",
        "<td>",
        "<select>",
    ),
    *("<noscript>", "<template>", "<textarea>", "<title>", "<xmp>", "<plaintext>", "<img src=x "),
    *("onerror=alert(1)", "javascript:alert(1)", "java\tscript:", "//evil.example", "\\", "&lt;"),
    *("&amp", "&#x3c;", "&notin;", "&nosuch;", "&", "x", " ", "\xa0", "é", "ﬁ", "<ul><li>"),
    *("<pre>", "</pre>", "<code>", "<img src=/a>", "<img alt=", "<div>", "</div>", "<tr>", "<dd>"),
    *("<caption>", "</table>", "<blockquote>", "<h1>", "</h1>", "<q>", "<colgroup>", "<figure>"),
]
markup = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30).map("".join)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("<p>Hi <strong>you</strong></p>", "<p>Hi <strong>you</strong></p>"),
        ("<script>alert(1)</script>ok", "ok"),
        ("<style>p{}</style>ok", "ok"),
        ("<img src=x onerror=alert(1)>ok", "ok"),
        ("<p onclick=alert(1) style=color:red class=x id=y>ok</p>", "<p>ok</p>"),
        ("<iframe src=//evil></iframe>ok", "ok"),
        ("<object data=x><embed src=x>ok</object>", "ok"),
        ("<svg onload=alert(1)><p>ok</p></svg>", "<p>ok</p>"),
        ("<p title=x lang=y>ok</p>", "<p>ok</p>"),
        ("<!-- secret -->ok", "ok"),
        ("<div>kept text</div>", "kept text"),
        ("<h1>a</h1><h2>b</h2><h3>c</h3>", "<h1>a</h1><h2>b</h2><h3>c</h3>"),
        ("<u>a</u><em>b</em><br>", "<u>a</u><em>b</em><br>"),
        ("<ul><li>a</li></ul><ol><li>b</li></ol>", "<ul><li>a</li></ul><ol><li>b</li></ol>"),
        ("<b>AT&T</b>", "AT&amp;T"),
        ("a&#13;b", "a\nb"),
    ],
)
def test_default_policy_keeps_formatting_and_drops_the_rest(dirty: str, clean: str) -> None:
    """The default policy keeps the elements of requirement R3 and removes everything else."""
    assert sanitize_html(dirty) == clean


@pytest.mark.parametrize(
    "scheme", ["http://x.example/", "https://x.example/", "mailto:a@x.example"]
)
def test_allowed_schemes_are_kept(scheme: str) -> None:
    """Links to the web and to mail are kept and get their relation."""
    assert sanitize_html(f'<a href="{scheme}">x</a>') == f'<a href="{scheme}" {REL}>x</a>'


def test_none_and_empty_pass() -> None:
    """None stays None and an empty value stays empty."""
    assert sanitize_html(None) is None
    assert not sanitize_html("")


@pytest.mark.parametrize(
    "text",
    [
        "Tom & Jerry < 3",
        "a < b > c",
        "R&D",
        "1 <3 2",
        "fish & chips &c.",
        "x\ry",
        "a\xa0b",
        "&nosuch;",
    ],
)
def test_plain_text_comes_back_unchanged(text: str) -> None:
    """Text without markup is left as it is, whatever characters it holds."""
    assert sanitize_html(text) == text


def test_text_that_ends_in_an_open_bracket_is_escaped() -> None:
    """A "<" at the end can't join with what a template puts behind it."""
    assert sanitize_html("a <") == "a &lt;"


def test_a_second_value_can_not_complete_the_first() -> None:
    """Two sanitized values side by side hold no tag that neither of them holds."""
    together = sanitize_html("<") + sanitize_html("img src=x onerror=alert(1)>")
    assert "<" not in together


POLICIES = ("default", "comment", "article", "email")


@pytest.mark.parametrize("policy", POLICIES)
@given(value=markup)
def test_sanitizing_twice_changes_nothing(value: str, policy: str) -> None:
    """Sanitizing is idempotent under each policy."""
    once = sanitize_or_refuse(value, policy)
    if once is not None:
        assert sanitize_html(once, policy) == once


@pytest.mark.parametrize("policy", POLICIES)
@given(value=markup)
def test_only_what_the_policy_allows_is_left(value: str, policy: str) -> None:
    """Another parser finds nothing in the result that the policy does not allow."""
    once = sanitize_or_refuse(value, policy)
    if once is not None:
        assert find_faults(once, find_policy(policy)) == []


def sanitize_or_refuse(value: str, policy: str) -> str | None:
    """Sanitize, or return None for a declared refusal."""
    try:
        return sanitize_html(value, policy)
    except SanitizationError:
        return None


@pytest.mark.parametrize(
    "value",
    ["<pre></a>\n\n", "<pre>\n\nx", "<pre>&#13;x", "<pre>&#13;&#10;x", "<pre><img alt=a>\nx"],
    ids=["stray end", "two", "return", "return and feed", "dropped image"],
)
def test_line_breaks_at_the_start_of_pre_are_kept(value: str) -> None:
    """A parser skips the first line break there, so the result has one more than it shows."""
    once = sanitize_html(value, "article")
    assert sanitize_html(once, "article") == once
    assert once.startswith("<pre>\n\n")


@given(st.text(alphabet=st.characters(exclude_characters="\0\r&<>\xa0")))
def test_text_without_special_characters_is_unchanged(value: str) -> None:
    """Ordinary text passes unchanged."""
    assert sanitize_html(value) == value


def test_lone_surrogates_beside_markup_are_refused() -> None:
    """What no encoding can hold is refused with a reason."""
    with pytest.raises(SanitizationError) as caught:
        sanitize_html("<p>\ud800</p>")
    assert caught.value.reason == "sanitization.not_unicode"


def test_refusal_is_a_value_error() -> None:
    """A refusal inside a validator of Pydantic becomes a validation error."""
    assert issubclass(SanitizationError, ValueError)


def test_long_values_are_refused() -> None:
    """A value longer than the policy takes is refused, not cut."""
    policy = HTMLPolicy(name="short", tags=frozenset({"p"}), max_length=10)
    with pytest.raises(SanitizationError) as caught:
        sanitize_html("x" * 11, policy)
    assert caught.value.reason == "sanitization.too_long"
    assert caught.value.limit == 10


@pytest.mark.parametrize(
    "value",
    [
        "<p>" + "&" * 1_000,
        "<p>" + "\xa0" * 1_000,
        "<a title='" + '"' * 1_000 + "'>x</a>",
        "<a>" * 300,
        "<img src=a>" * 300,
        "<em>" * 100 + "<p>" * 600,
        "".join(f"<b {number}>" for number in range(120)) + "<p>" * 100,
        "<table><td>" * 50,
    ],
    ids=["ampersands", "blanks", "quotes", "links", "images", "marks", "other marks", "cells"],
)
def test_growth_is_bounded(value: str) -> None:
    """Nothing that is accepted becomes more than 15 times as long."""
    assert len(sanitize_html(value, "article")) <= 15 * len(value)


def test_growth_beyond_the_limit_is_refused() -> None:
    """A value that fits until it is escaped is refused."""
    policy = HTMLPolicy(name="short", tags=frozenset({"p"}), max_length=10)
    with pytest.raises(SanitizationError):
        sanitize_html("<p>&&&</p>", policy)


def test_refusal_does_not_repeat_the_value() -> None:
    """The error's text holds nothing of the value."""
    with pytest.raises(SanitizationError) as caught:
        sanitize_html("<p>hunter2\ud800</p>")
    assert "hunter2" not in repr(caught.value)


def test_unknown_policy_is_an_error_even_for_plain_text() -> None:
    """A misspelt policy is noticed on the first value, not on the first attack."""
    with pytest.raises(UnsafePolicyError):
        sanitize_html("plain", "no such policy")


def test_other_types_are_refused() -> None:
    """Bytes and numbers are a mistake of the caller."""
    with pytest.raises(TypeError):
        sanitize_html(b"<p>")  # type: ignore[call-overload]


def test_str_subclasses_are_text() -> None:
    """A member of a string enumeration is sanitized like its value."""

    class Greeting(enum.StrEnum):
        HELLO = "<b>hello</b>"

    assert sanitize_html(Greeting.HELLO) == "hello"
