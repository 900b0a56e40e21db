"""Addresses in text become links, and nothing else changes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.sanitization import (
    HTMLPolicy,
    SanitizationError,
    UnsafePolicyError,
    find_policy,
    sanitize_html,
    strip_html,
)
from stockade.sanitization.autolinks import linkify
from tests.unit.sanitization.parsing import find_faults

REL = ' rel="noopener noreferrer nofollow"'


def linked(address: str) -> str:
    """Return the link to an address."""
    return f'<a href="{address}"{REL}>{address}</a>'


@pytest.mark.parametrize(
    "address",
    [
        "https://x.example",
        "http://x.example/",
        "HTTPS://X.example",
        "https://x.example:8443/a?b=1#c",
        "https://x.example/a?b=1&amp;c=2",
        "https://x.example/a_(b)",
        "https://de.wiki.example/Zürich",
        "https://192.0.2.1/",
        "mailto:ada@x.example",
    ],
)
@pytest.mark.parametrize("frame", ["{}", "see {} now", "<p>{}</p>", "<p>{}, and</p>", "({})."])
def test_addresses_become_links(address: str, frame: str) -> None:
    """An address is a link as a whole; the sentence around it is not part of it."""
    # Alone in plain text, an ampersand is written as it is.
    value = frame.format(address)
    text = value if "<" in value else value.replace("&amp;", "&")
    assert linkify(text) == frame.format(linked(address))


@pytest.mark.parametrize(
    "text",
    [
        "www.x.example",
        "x.example/a",
        "setup.py",
        "ada@x.example",
        "javascript:alert(1)",
        "javascript://x.example/%0aalert(1)",
        "data:text/html,x",
        "ftp://x.example",
        "tel:110",
        "xhttps://x.example",
        "éhttps://x.example",
        "git+https://x.example",
        "https://",
        "https:///evil.example",
        "https:evil.example",
        "https://münchen.example",
        "https://x.exämple",
        "https://a.ä",
        "https://bank.example@evil.example",
        "https://user:word@evil.example",
        "https://bank.example%2eevil.example",
        "https://x.example:99999x",
        "mailto:",
        "mailto:ada",
        "mailto:@x.example",
    ],
)
def test_other_text_stays_text(text: str) -> None:
    """Nothing is guessed, and no part of a longer address becomes a link of its own."""
    assert linkify(text) == text


@pytest.mark.parametrize("tag", ["code", "pre", "kbd"])
def test_code_stays_text(tag: str) -> None:
    """An address in code is not touched, also inside other elements."""
    value = f"<{tag}>https://x.example <em>https://y.example</em></{tag}>"
    assert linkify(value, "article") == value


def test_links_are_left_alone() -> None:
    """The text of a link is no link of its own."""
    value = f'<a href="https://x.example"{REL}>https://y.example <em>https://z.example</em></a>'
    assert linkify(value) == value


def test_an_address_behind_code_is_a_link_again() -> None:
    """Text after a link or code is prose."""
    assert linkify("<code>a</code> https://x.example", "comment") == (
        f"<code>a</code> {linked('https://x.example')}"
    )


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Tom & Jerry < 3", "Tom & Jerry < 3"),
        ("1 < 2 & https://x.example", f"1 &lt; 2 &amp; {linked('https://x.example')}"),
        ("https://x.example?a=1&copy=2", f"{linked('https://x.example?a=1')}©=2"),
        ("https://x.example&lt;b", f"{linked('https://x.example')}&lt;b"),
        (
            'https://x.example"onmouseover="alert(1)',
            f'{linked("https://x.example")}"onmouseover="alert(1)',
        ),
        ("https://x.example'onclick='x", f"{linked('https://x.example')}'onclick='x"),
        ("https://x.example/<script>alert(1)</script>", linked("https://x.example/")),
        ("https://x.example。", f"{linked('https://x.example')}。"),
        ("https://x.example/&amp;.", f"{linked('https://x.example/&amp;')}."),
        ("https://x.example/a\\b", f"{linked('https://x.example/a')}\\b"),
        ("[https://x.example]", f"[{linked('https://x.example')}]"),
    ],
    ids=[
        *("without", "escaped", "reference", "escape", "quote", "apostrophe", "script"),
        *("full stop", "ampersand", "backslash", "bracket"),
    ],
)
def test_text_around_an_address(text: str, html: str) -> None:
    """Text becomes HTML where a link is put into it, and stays as it is without one."""
    assert linkify(text) == html


def test_schemes_are_those_of_the_policy() -> None:
    """A scheme that the policy does not have makes no link."""
    secure = replace(find_policy("default"), name="secure", schemes=frozenset({"https"}))
    assert linkify("http://x.example mailto:a@x.example", secure) == (
        "http://x.example mailto:a@x.example"
    )


def test_the_relation_is_that_of_the_policy() -> None:
    """Links carry the relation that the policy sets."""
    plain = replace(find_policy("default"), name="plain-rel", rel="ugc")
    assert 'rel="ugc"' in linkify("https://x.example", plain)


def test_a_policy_without_links_is_refused() -> None:
    """Asking for links where none are kept is a mistake of the program."""
    with pytest.raises(UnsafePolicyError):
        linkify("https://x.example", HTMLPolicy(name="no-links", tags=frozenset({"p"})))


def test_the_limit_holds_for_the_result() -> None:
    """A value that fits without its links and not with them is refused, not cut."""
    small = replace(find_policy("default"), name="small-links", max_length=60)
    assert linkify("x" * 60, small) == "x" * 60
    with pytest.raises(SanitizationError) as caught:
        linkify("https://x.example", small)
    assert (caught.value.reason, caught.value.limit) == ("sanitization.too_long", 60)


PIECES = st.lists(
    st.sampled_from(
        [
            *("https://x.example", "http://a.b/c?d=e&amp;f", "mailto:a@b.example", "http", "://"),
            *("<p>", "</p>", "<a href=/x>", "</a>", "<code>", "</code>", "<em>", "</em>", "<pre>"),
            *("</pre>", "<li>", "<table><tr><td>", "&amp;", "&", "&lt;", "<", ">", '"', "'", " "),
            *(
                "\n",
                "\r",
                "\xa0",
                ".",
                ",",
                "(",
                ")",
                "]",
                "@",
                "é",
                "\0",
                "\u202e",
                "<b title='>'>",
            ),
        ]
    ),
    max_size=30,
).map("".join)


@given(PIECES | st.text())
def test_any_value(value: str) -> None:
    """The result holds what the policy allows and the same text; linking again changes nothing."""
    policy = find_policy("article")
    try:
        before = sanitize_html(value, policy)
        after = linkify(value, policy)
    except SanitizationError:
        return
    assert find_faults(after, policy) == []
    assert sanitize_html(after, policy) == after
    assert linkify(after, policy) == after
    if after != before:
        # Compared as HTML, which is what the text became.
        assert re.sub(r"\s", "", strip_html(after)) == re.sub(r"\s", "", strip_html(before))
