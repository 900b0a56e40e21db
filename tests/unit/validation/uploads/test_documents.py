"""PDF begins and ends as PDF, and text is text to every browser."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.validation.uploads.files import pdf, refusal

TEXTS = ["text/plain", "text/csv"]


@pytest.mark.parametrize(
    "data",
    [
        b"junk\n" + pdf(),
        b"<html>" + b" " * 200 + pdf(),
        b"%PDF-" + b"<script>alert(1)</script>",
        b"%PDF-9.9\n" + pdf()[9:],
        b"%PDF-1.7\n",
        pdf()[:-6],
        pdf() + b"<script>alert(1)</script>",
        pdf() + b" " * 3000 + b"x",
    ],
    ids=["junk", "page", "signature", "version", "line", "cut", "script behind", "far behind"],
)
def test_what_is_no_pdf_is_refused(data: bytes) -> None:
    """Readers search a kilobyte for the signature; here it comes first, and the end last."""
    assert refusal("application/pdf", data) in {"upload_type", "upload_malformed"}


def test_script_inside_of_a_pdf_is_not_seen() -> None:
    """This is what the documentation says: what is part of the format stays."""
    data = pdf().replace(b"<< >>", b"<< /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >>", 1)
    assert refusal("application/pdf", data) is None


@pytest.mark.parametrize("media_type", TEXTS)
@pytest.mark.parametrize(
    "data",
    [
        b"plain",
        "Grüße, 世界, \U0001f600\r\n\tאבג".encode(),
        codecs.BOM_UTF8 + b"a;b\r\n",
        b"5 < 6, and a <b> in the middle",
        b"a\x0cb",
        b"x" * 65_535 + "é".encode() + b"x",
        b"< html>",
        b"<pre-release>",
    ],
    ids=str,
)
def test_text_is_taken(media_type: str, data: bytes) -> None:
    """Text of any script passes, wherever the pieces part it."""
    assert refusal(media_type, data) is None


@pytest.mark.parametrize("media_type", TEXTS)
@pytest.mark.parametrize(
    "data",
    [
        b"a\0b",
        b"a\x1b[2Jb",
        b"a\x1b$B\x1b(Bb",
        b"a\x7f",
        b"\xff\xfea\0",
        codecs.BOM_UTF16_BE + "text".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "text".encode("utf-32-le"),
        "text".encode("utf-16-le"),
        b"Gr\xfc\xdfe",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        "é".encode()[:1],
        b"x" * 65_535 + b"\xc3",
        b"x" * 200_000 + b"\0",
    ],
    ids=[
        *("NUL", "escape", "ISO-2022-JP", "DEL", "UTF-16 LE", "UTF-16 BE", "UTF-32", "no BOM"),
        *("Latin-1", "overlong", "surrogate", "cut", "cut at a piece", "far behind"),
    ],
)
def test_other_encodings_and_binaries_are_refused(media_type: str, data: bytes) -> None:
    """What is not UTF-8 would be read as something else by somebody."""
    assert refusal(media_type, data) == "upload_text"


@pytest.mark.parametrize("media_type", [*TEXTS, "application/json"])
@pytest.mark.parametrize("before", [b"", b" \t\r\n", codecs.BOM_UTF8, b"\n" * 70_000], ids=len)
@pytest.mark.parametrize(
    "markup",
    [
        *(b"<!DOCTYPE html>", b"<html>", b"<HtMl lang=en>", b"<script>", b"<iframe src=x>"),
        *(b"<body onload=x>", b"<svg/onload=alert(1)>", b"<!-- -->", b"<?xml version='1.0'?>"),
        *(b"<?php system(1);", b"<a href=x>", b"<p>", b"<b\t", b"%PDF-1.7", b"%!PS-Adobe-3.0"),
        *(b"<math>", b"<img src=x onerror=alert(1)>", b"<% eval %>", b"<style>"),
    ],
)
def test_text_that_begins_as_a_page_is_refused(
    media_type: str, before: bytes, markup: bytes
) -> None:
    """A browser that guesses would show it as a page."""
    assert refusal(media_type, before + markup + b"x") == "upload_text"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_text_of_any_characters_is_taken(text: str) -> None:
    """But for what a page begins with, no character is wrong."""
    assert refusal("text/plain", ("x" + text).encode()) is None


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"",
        b"   ",
        b"[" * 65,
        b'{"a": 1, "a": 2}',
        b"[NaN]",
        b"[1e999]",
        b"{'a': 1}",
        b"[" + b"1," * 1_000_000 + b"1]",
    ],
    ids=["word", "empty", "space", "deep", "twice", "NaN", "infinite", "quotes", "many"],
)
def test_json_that_parsers_differ_on_is_refused(data: bytes) -> None:
    """The rules are those of JSON bodies."""
    assert refusal("application/json", data) in {"upload_text", "upload_type"}
