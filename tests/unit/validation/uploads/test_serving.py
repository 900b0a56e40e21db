"""What was uploaded is handed out to be saved, and runs nowhere."""

from __future__ import annotations

from email.message import Message
from typing import Literal
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.validation.uploads import (
    Content,
    ContentBounds,
    FileKind,
    UploadRefusedError,
    download_headers,
    safe_name,
)
from stockade.validation.uploads.errors import UploadRuleError


def take_all(content: Content, bounds: ContentBounds) -> None:
    """Take whatever comes."""


STL = FileKind(media_type="model/stl", extensions=("stl",), check=take_all)


def test_file_is_an_attachment_that_nobody_guesses() -> None:
    """A browser saves it under its name, and trusts no other type."""
    assert download_headers("report.pdf", "application/pdf") == {
        "Content-Type": "application/pdf",
        "Content-Disposition": 'attachment; filename="report.pdf"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }


def test_text_has_its_encoding() -> None:
    """No reader guesses the character set."""
    headers = download_headers("a.csv", "text/csv")
    assert headers["Content-Type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html",
        "image/svg+xml",
        "application/xml",
        "application/x-unknown",
        "x\r\nSet-Cookie: a",
    ],
)
def test_unknown_and_active_types_are_bytes(media_type: str) -> None:
    """What could run is not even called by its name, and never shown."""
    assert download_headers("x.txt", media_type)["Content-Type"] == "application/octet-stream"
    with pytest.raises(UploadRuleError):
        download_headers("x.txt", media_type, disposition="inline")


@pytest.mark.parametrize("media_type", ["application/pdf", "text/csv", "application/zip", STL])
def test_only_pixels_sound_and_text_are_shown(media_type: str | FileKind) -> None:
    """What a viewer would run stays an attachment."""
    with pytest.raises(UploadRuleError):
        download_headers("x.bin", media_type, disposition="inline")


@pytest.mark.parametrize("media_type", ["image/png", "video/mp4", "text/plain"])
def test_image_may_be_shown(media_type: str) -> None:
    """It is asked for, and the sandbox stays."""
    headers = download_headers("x.png", media_type, disposition="inline")
    assert headers["Content-Disposition"].startswith("inline;")
    assert "sandbox" in headers["Content-Security-Policy"]


def test_own_kind_has_its_type() -> None:
    """A described kind is sent as what it is."""
    assert download_headers("x.stl", STL)["Content-Type"] == "model/stl"


def test_other_disposition_injects_nothing() -> None:
    """A word that is none of the two is an attachment."""
    wrong: Literal["inline"] = "inline\r\nX: y"  # type: ignore[assignment] # what a checker refuses
    value = download_headers("x.png", "image/png", disposition=wrong)["Content-Disposition"]
    assert value == 'attachment; filename="x.png"'


@pytest.mark.parametrize("name", ["a\r\nX: y.png", '"; filename=x.exe', "../x.png", "x.html"])
def test_unsafe_name_is_refused(name: str) -> None:
    """A name that would not have been taken is not handed out."""
    with pytest.raises(UploadRefusedError):
        download_headers(name, "image/png")


@given(st.text(min_size=1, max_size=40))
def test_name_arrives_as_it_is(name: str) -> None:
    """Any plain name is read back the same, in one header line of ASCII."""
    try:
        safe_name(name)
    except UploadRefusedError:
        return
    value = download_headers(name, "image/png")["Content-Disposition"]
    assert value.isascii()
    assert value.isprintable()
    message = Message()
    message["Content-Disposition"] = value
    parts = dict(message.get_params(header="Content-Disposition", unquote=True) or ())
    assert set(parts) <= {"attachment", "filename", "filename*"}
    if "filename*=" in value:
        assert unquote(value.partition("filename*=UTF-8''")[2], errors="strict") == name
    else:
        assert parts["filename"] == name
