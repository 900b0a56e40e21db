"""A file's name is one component on every system, and shows itself as it is."""

from __future__ import annotations

import ntpath
import posixpath
import unicodedata
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stockade.validation import FileName
from stockade.validation.errors import LooseSchemaError
from stockade.validation.types import FileNameFormat

NAMES = TypeAdapter(FileName)


@pytest.mark.parametrize(
    "value",
    [
        "report.pdf",
        "a",
        "README",
        "Annual report (final) 2026-01-31, v1.2.pdf",
        "archive.tar.gz",
        "50%_off!.png",
        "it's.txt",
        "null.txt",
        "console.log",
        "com10.txt",
        "confetti.png",
        "\u00dcbersicht.pdf",
        "\u4f1a\u8bae\uff1a\u7eaa\u8981\uff1f.docx",
        "\u062a\u0642\u0631\u06cc\u0631\u200c\u0647\u0627.pdf",
        "\U0001f469\u200d\U0001f4bb.png",
        "x" * 255,
        "\u00e9" * 127,
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_names_are_accepted_as_they_are(value: str) -> None:
    """A plain name comes back unchanged."""
    assert NAMES.validate_python(value) == value


@pytest.mark.parametrize(
    "value",
    [
        ".",
        "..",
        "...",
        "/",
        "/etc/passwd",
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "a/b",
        "a\\b",
        "C:report.pdf",
        "C:\\report.pdf",
        "\\\\server\\share",
        "report.pdf::$DATA",
        "report.php:.jpg",
        ".htaccess",
        ".git",
        " report.pdf",
        "report.pdf ",
        "report.pdf.",
        "report.php. .",
        "-rf",
        "--output=x",
        "~root",
        "a*",
        "a?",
        'a"b',
        "a<b>",
        "a|b",
        "a\0.png",
        "a\n.png",
        "a\r\nX: y",
        "a\t.png",
        "a\x1b[2J",
        "a\x7f",
        "a\x85b",
        "a\u2028b",
        "a\ud800",
        "a\ufffdb",
        "a\uffff",
        "a\uf02fb",
        # Devices of Windows, with any extension, case and number of spaces.
        "con",
        "CON.txt",
        "nul",
        "NUL.tar.gz",
        "aux .txt",
        "PRN",
        "com1",
        "COM0.log",
        "LPT9.x",
        "com\u00b9",
        "LPT\u00b2.txt",
        "CONIN$",
        "conout$.x",
        "CLOCK$",
        "\uff23\uff2f\uff2e",
        # What turns or hides a part of the name.
        "photo_\u202egpj.exe",
        "a\u2066b",
        "a\u200eb",
        "a\u061cb",
        "a\u200bb",
        "\ufeffa",
        "a\u2060b",
        "a\u00adb",
        "\u3164",
        "a\U000e0041",
        # What looks like a separator or a dot becomes one on its way through other systems.
        "a\uff0fb",
        "a\uff3cb",
        "\uff0e\uff0e",
        "\u2025",
        "\u2024hidden",
        "\u200c.git",
        ".\u200cgit",
        "a.\u200d",
        "\u3000a",
        "a\u00a0",
        # macOS takes both spellings for one name, and would overwrite.
        unicodedata.normalize("NFD", "\u00fcber.pdf"),
        "\u00e9" * 128,
        "\u4f1a" * 86,
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_is_no_plain_name_is_refused(value: str) -> None:
    """Paths, devices, hidden names and look-alikes are refused."""
    with pytest.raises(ValidationError) as caught:
        NAMES.validate_python(value)
    (error,) = caught.value.errors()
    # A lone surrogate may already be no string to Pydantic.
    assert error["type"] in {"file_name", "string_unicode"}


@pytest.mark.parametrize(("value", "code"), [("", "too_short"), ("x" * 256, "too_long")])
def test_length_is_limited_at_both_ends(value: str, code: str) -> None:
    """An empty name and one that no file system takes are refused by their length."""
    with pytest.raises(ValidationError) as caught:
        NAMES.validate_python(value)
    assert [error["type"] for error in caught.value.errors()] == [f"string_{code}"]


def test_a_field_can_not_allow_more_than_file_systems_do() -> None:
    """A wider limit of the field is still 255 bytes."""

    class Model(BaseModel):
        name: FileName = Field(max_length=1_000)

    Model(name="x" * 255)
    with pytest.raises(ValidationError):
        Model(name="x" * 256)


def test_names_are_text() -> None:
    """The format stands on a string."""
    with pytest.raises(LooseSchemaError):
        TypeAdapter(Annotated[bytes, FileNameFormat()])


@given(
    st.text(max_size=20)
    | st.text(alphabet="./\\: ~-aA\0conul1$\u200c\u202e\uff0f\uff0e\u2025e\u0301", max_size=12)
)
def test_an_accepted_name_is_one_component_everywhere(value: str) -> None:
    """Joined to a folder it stays directly inside, to POSIX and to Windows, folded or not."""
    try:
        accepted = NAMES.validate_python(value)
    except ValidationError:
        return
    assert accepted == value
    for spelling in (accepted, unicodedata.normalize("NFKC", accepted)):
        assert posixpath.dirname(posixpath.normpath(posixpath.join("/a", spelling))) == "/a"
        assert ntpath.dirname(ntpath.normpath(ntpath.join("C:\\a", spelling))) == "C:\\a"
        assert ntpath.splitdrive(spelling)[0] == "" or "\uff1a" in accepted
    assert len(accepted.encode()) <= 255
