"""Markdown becomes HTML that its policy allows, within bounds of work."""

from __future__ import annotations

import sys
from typing import Annotated

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stockade.errors import ConfigurationError
from stockade.sanitization import (
    HTMLPolicy,
    SanitizationError,
    UnsafePolicyError,
    find_policy,
    sanitize_html,
)
from stockade.sanitization.markdown import MAX_DEPTH, MAX_LENGTH, Markdown, render_markdown
from tests.unit.sanitization.parsing import find_faults

REL = ' rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Tom & Jerry < 3", "<p>Tom &amp; Jerry &lt; 3</p>\n"),
        ("# A\n\n**b** *c*", "<h1>A</h1>\n<p><strong>b</strong> <em>c</em></p>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("[a](https://x.example)", f'<p><a href="https://x.example"{REL}>a</a></p>\n'),
        ("`<b>`", "<p>&lt;b&gt;</p>\n"),
        ("", ""),
    ],
    ids=["plain", "marks", "list", "link", "code", "empty"],
)
def test_markdown_becomes_html(text: str, html: str) -> None:
    """Marks become the elements that the policy keeps; all else is text."""
    assert render_markdown(text) == html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("|a|\n|-|\n|b|", "<td>b</td>"),
        ("~~a~~", "<s>a</s>"),
        ("![a](https://x.example/a.png)", '<img src="https://x.example/a.png" alt="a" loading='),
        ("```\na\n```", "<pre><code>a\n</code></pre>"),
        ("> a", "<blockquote>"),
        ("---", "<hr>"),
    ],
    ids=["table", "strikethrough", "image", "code", "quotation", "rule"],
)
def test_articles_have_more(text: str, shown: str) -> None:
    """What a policy keeps is read as markup."""
    assert shown in render_markdown(text, "article")


@pytest.mark.parametrize("text", ["|a|\n|-|\n|b|", "~~a~~"], ids=["table", "strikethrough"])
def test_what_a_policy_lacks_stays_as_it_was_written(text: str) -> None:
    """Marks for an element that would be taken away stay text, so that nothing runs together."""
    assert render_markdown(text) == f"<p>{text}</p>\n"


def test_an_image_is_a_link_where_images_are_not_kept() -> None:
    """A policy without images loads none, and the reader can still open it."""
    shown = f'<p>!<a href="https://x.example/a.png"{REL}>a</a></p>\n'
    assert render_markdown("![a](https://x.example/a.png)") == shown


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <b onmouseover=alert(1)>b</b>",
    "<!-- <script>alert(1)</script> -->",
    "<div>\n\n<script>alert(1)</script>\n\n</div>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a](javascript&#58;alert(1))",
    "[a](java&#9;script:alert(1))",
    "[a](<java\tscript:alert(1)>)",
    "[a](\x01javascript:alert(1))",
    "[a](vbscript:msgbox(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "[a](file:///etc/passwd)",
    "[a](//evil.example)",
    "[a](/\\evil.example)",
    "[a](https:evil.example)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "[a][b]\n\n[b]: javascript:alert(1)",
    '[a](https://x.example "title\\" onmouseover=\\"alert(1)")',
    '[a](https://x.example/"onmouseover="alert(1))',
    "![a](javascript:alert(1))",
    "![a](data:image/svg+xml;base64,PHN2Zy8+)",
    '![a" onerror="alert(1)](https://x.example/a.png)',
    '![a](https://x.example/"onerror="alert(1))',
    "```html onmouseover=alert(1)\nx\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "|<script>alert(1)</script>|\n|-|\n|<img src=x onerror=alert(1)>|",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "`</code><script>alert(1)</script>`",
    "[<img src=x onerror=alert(1)>](https://x.example)",
    "[a](https://x.example)[b](javascript:alert`1`)",
    "**<svg/onload=alert(1)>**",
    "\\<script>alert(1)\\</script>",
]


@pytest.mark.parametrize("policy", ["default", "comment", "article", "email"])
@pytest.mark.parametrize("text", HOSTILE)
def test_attacks_leave_nothing_that_runs(text: str, policy: str) -> None:
    """An independent parser finds only what the policy allows."""
    assert find_faults(render_markdown(text, policy), find_policy(policy)) == []


MARKS = st.text(st.sampled_from("[]()!*_`~<>-+#|=\\&;:\"' \n\t1.axé/"), max_size=200)


@given(MARKS | st.text())
@example("[a](\udc80)")
def test_any_text_is_safe_or_refused(text: str) -> None:
    """Any text becomes HTML that is sanitized already, or is refused in the declared way."""
    policy = find_policy("article")
    try:
        html = render_markdown(text, policy)
    except SanitizationError:
        return
    assert find_faults(html, policy) == []
    assert sanitize_html(html, policy) == html


def refusal(text: str, policy: str | HTMLPolicy = "article") -> str:
    """Return why a text is refused."""
    with pytest.raises(SanitizationError) as caught:
        render_markdown(text, policy)
    return caught.value.reason


@pytest.mark.parametrize(
    "text",
    [
        "> ---\na\n" * 400,
        "> > ---\n> a\n" * 400,
        "- > ---\n  a\n" * 400,
        ">---\r---\r(#\r" * 300,
        "> \n \ta\n" * 400 + "> ---\na\n" * 400,
        "|a" * 200 + "\n" + "|-" * 200 + "\n" + "|\n" * 300,
        "> " * (MAX_DEPTH + 1) + "a",
        "- " * MAX_DEPTH + "a",
        "> " * 5_000 + "a",
        "".join("  " * depth + "- a\n" for depth in range(MAX_DEPTH)),
    ],
    ids=[
        *("quotations", "nested", "in a list", "carriage returns", "behind blanks"),
        *("wide table", "deep quotation", "deep list", "deepest", "deep items"),
    ],
)
def test_costly_texts_are_refused(text: str) -> None:
    """A text that would take seconds, or lose what is nested too deep, is refused."""
    assert refusal(text) == "sanitization.too_complex"


@pytest.mark.parametrize(
    "text",
    [
        "> a\n" * 500,
        "> a\n\nb\n\n" * 500,
        "> a\n> > b\n" * 50,
        "|a|b|c|\n|-|-|-|\n" + "|1|2|3|\n" * 500,
        "- a\n  - b\n    - c\n      - d\n" * 100,
        "a > b | c\n\n" * 2_000,
    ],
    ids=["quotation", "answers", "nested", "table", "lists", "prose"],
)
def test_honest_texts_are_rendered(text: str) -> None:
    """What people write is not taken for an attack."""
    assert render_markdown(text, "article")


def test_the_length_is_bounded() -> None:
    """The limit holds before anything is parsed."""
    with pytest.raises(SanitizationError) as caught:
        render_markdown("x" * (MAX_LENGTH + 1))
    assert (caught.value.reason, caught.value.limit) == ("sanitization.too_long", MAX_LENGTH)


def test_the_limit_of_the_policy_holds_for_source_and_result() -> None:
    """A policy's own limit is the limit of what comes in and of what goes out."""
    small = HTMLPolicy(name="small", tags=frozenset({"p"}), max_length=20)
    assert render_markdown("x" * 12, small) == "<p>" + "x" * 12 + "</p>\n"
    assert refusal("x" * 21, small) == "sanitization.too_long"
    assert refusal("x" * 20, small) == "sanitization.too_long"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without markdown-it-py the error says what to install."""
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    other = HTMLPolicy(name="without-library", tags=frozenset({"p"}))
    with pytest.raises(ConfigurationError):
        render_markdown("a", other)


class Remark(BaseModel):
    body: Annotated[str, Markdown("comment")] = Field(max_length=1_000)
    footer: Annotated[str, Markdown()] | None = None


@given(st.text(max_size=100))
@example("<script>alert(1)</script>")
@example("[a](javascript:alert(1))")
def test_a_field_keeps_the_source(text: str) -> None:
    """What is stored is what the author wrote, to the byte."""
    try:
        remark = Remark(body=text)
    except ValidationError as error:
        assert [line["type"] for line in error.errors()] == ["string_unicode"]  # noqa: PT017
        return
    assert remark.body == text
    render_markdown(remark.body, "comment")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x" * 1_001, "string_too_long"),
        ("> " * 30 + "a", "rich_text_too_complex"),
    ],
    ids=["long", "deep"],
)
def test_a_field_refuses_what_could_not_be_shown(text: str, code: str) -> None:
    """A text that rendering would refuse is refused when it is written."""
    with pytest.raises(ValidationError) as caught:
        Remark(body=text)
    assert [line["type"] for line in caught.value.errors()] == [code]


def test_a_field_without_a_limit_has_that_of_markdown() -> None:
    """No Markdown is unbounded."""
    assert TypeAdapter(Annotated[str, Markdown()]).json_schema()["maxLength"] == MAX_LENGTH


@pytest.mark.parametrize(
    "annotation",
    [Annotated[str, Markdown("no such policy")], Annotated[list[str], Markdown()]],
    ids=["policy", "type"],
)
def test_a_wrong_marker_stops_the_start(annotation: type[str]) -> None:
    """A marker that can't work fails when the model is defined."""
    with pytest.raises(UnsafePolicyError):
        TypeAdapter(annotation)
