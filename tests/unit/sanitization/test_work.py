"""A value that would keep a parser busy is refused before the parser sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.sanitization import SanitizationError, sanitize_html
from stockade.sanitization.work import MAX_DEPTH, _scan, check_work

HOSTILE = {
    "nested": "<div>" * 50_000,
    "nested with closed siblings": "<div><br></br>" * 5_000,
    "ends hidden in comments": "<div><!--</div>-->" * 5_000,
    "ends hidden in attributes": "<div title='</div>'>" * 5_000,
    "ends hidden in odd attributes": "<div x'></div>'>" * 5_000,
    "ends hidden in text elements": "<div><textarea></div></textarea>" * 5_000,
    "ends out of scope": ("<div>" * 50 + "<object>" + "</div>" * 50) * 100,
    "ends of another language": "<div><svg></div></svg>" * 5_000,
    "ends with attributes": "<div><p></div x='>'></p>" * 5_000,
    "attributes": "<a " + " ".join(f"a{i}" for i in range(20_000)) + ">",
    "attributes of the root": "".join(f"<html a{i}>" for i in range(5_000)),
    "attributes of an unclosed tag": "<p>x</p>" * 600 + "<a " + "b " * 20_000,
    "ampersands": "<p>" + "& " * 200_000,
    "no-break spaces": "<p>" + "\xa0" * 200_000,
    "formatting opened again": "<p>"
    + "".join(f"<strong a={i}>" for i in range(200))
    + "<p>x" * 4_000,
    "script that hides its end": "<script><!--<script></script>" + "<div>" * 5_000,
    "plaintext": "<plaintext>" + "<div>" * 5_000,
    "tables": "<table><tr><td>" * 2_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markup_is_refused(name: str) -> None:
    """Each known way to make a parser work without end is refused."""
    with pytest.raises(SanitizationError) as caught:
        sanitize_html(HOSTILE[name])
    assert caught.value.reason == "sanitization.too_complex"


HARMLESS = {
    "long article": "<p>Some <strong>words</strong> and <a href='https://x.example'>a link</a>.</p>"
    * 5_000,
    "paragraphs without end tags": "<p>Some words<br>more words" * 10_000,
    "list without end tags": "<ul>" + "<li>item" * 10_000 + "</ul>",
    "comments": "<!--StartFragment--><p>x</p><!--EndFragment-->" * 2_000,
    "office document": "<!DOCTYPE html><html lang=en><head><style><!-- p > a {} --></style></head>"
    "<body>"
    + "<p class=MsoNormal><span lang='en'>x<o:p></o:p></span></p>" * 2_000
    + "</body></html>",
    "brackets in attributes": "<a title='a > b < c' href='/x'>y</a>" * 2_000,
    "entities": "<p>&eacute;&nbsp;&amp;</p>" * 3_000,
    "tables": "<table><tbody>" + "<tr><td>a</td><td>b</td></tr>" * 3_000 + "</tbody></table>",
    "script": "<script>if (a < b) { x('</p>') }</script><p>x</p>" * 300,
}


@pytest.mark.parametrize("name", HARMLESS)
def test_large_ordinary_documents_pass(name: str) -> None:
    """Size alone is no reason to refuse what people write."""
    assert sanitize_html(HARMLESS[name])


def test_depth_is_counted_exactly_in_well_formed_markup() -> None:
    """The deepest well-formed markup passes and the next level does not."""
    padding = "<p>x</p>" * 1_000
    check_work(padding + "<div>" * MAX_DEPTH + "</div>" * MAX_DEPTH)
    with pytest.raises(SanitizationError):
        check_work(padding + "<div>" * (MAX_DEPTH + 1) + "</div>" * (MAX_DEPTH + 1))


PIECES = [
    *("<div>", "</div>", "<b>", "</b>", "<p>", "</p>", "<li>", "<!--", "-->", "<a", "x='</div>'>"),
    *("<svg>", "x'", "</", "<br>", "<title>", "</title>", "<style>", "</style>", "<script>"),
    *("</script>", "<![CDATA[", "<?x", '"', ">", "<", "<select>", "</select>"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.integers(1, 30))
def test_no_surroundings_hide_depth(before: str, depth: int) -> None:
    """Elements left open at the end are counted, whatever came before them."""
    # What swallows them in every reading is not counted: nothing is nested in it.
    if before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
        assert _scan(before + "<i>" * depth).depth >= depth - 1


@given(st.text(alphabet="<>/!-?'\"= abdivp&\n", max_size=200))
def test_any_text_is_scanned_without_error(value: str) -> None:
    """The scan ends on any text."""
    _scan(value)
