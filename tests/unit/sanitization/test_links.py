"""A link leads where it says, by a scheme that is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.sanitization import find_policy, sanitize_html
from stockade.sanitization.links import is_allowed_link

DEFAULT = find_policy("default")
COMMENT = find_policy("comment")


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/a?b=c#d",
        "HTTP://x.example",
        "mailto:a@x.example",
        "/help",
        "#top",
        "?page=2",
        "help/a:b",
        " https://x.example ",
        "",
    ],
)
def test_honest_links_are_kept(url: str) -> None:
    """Links of an allowed scheme and links within the site are kept."""
    assert is_allowed_link(url, DEFAULT)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://x.example/y",
        "//evil.example",
        " //evil.example",
        "\\\\evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:\\\\evil.example",
        "x-unknown:y",
        "\xa0javascript:alert(1)",
        "\u2003javascript:alert(1)",
        "1:2",
    ],
)
def test_deceptive_links_are_dropped(url: str) -> None:
    """Script, other schemes, and other hosts in disguise are refused."""
    assert not is_allowed_link(url, DEFAULT)


def test_dropped_link_keeps_its_text() -> None:
    """The words stay when their link goes."""
    assert sanitize_html('<a href="//evil.example">x</a>') == (
        '<a rel="noopener noreferrer nofollow">x</a>'
    )


def test_relative_links_need_permission() -> None:
    """A policy without relative links keeps absolute ones alone."""
    assert not is_allowed_link("/help", COMMENT)
    assert is_allowed_link("https://x.example/", COMMENT)


@given(st.text(alphabet=" \t\n\r\0\x01/\\:jJavascript.", max_size=20))
def test_nothing_that_a_browser_reads_as_script_is_kept(prefix: str) -> None:
    """Whatever is mixed into it, a script URL stays one and is dropped (URL standard, 4.4)."""
    url = prefix + "javascript:alert(1)"
    as_read = "".join(c for c in url if c not in "\t\n\r").lstrip("".join(map(chr, range(33))))
    if as_read.lower().startswith("javascript:"):
        assert not is_allowed_link(url, DEFAULT)
