"""A name is plain or refused, and nothing is stored under it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.validation.uploads import UploadRefusedError, generate_storage_name, safe_name
from stockade.validation.uploads.errors import UploadRuleError


@pytest.mark.parametrize(
    "name",
    [
        *("photo.png", "IMG_0001.JPG", "report 2024.pdf", "v1.2.3.zip", "Bericht (Kopie).docx"),
        *(
            "été.png",
            "写真.png",
            "\u62a5\u544a\uff1a\uff1f.pdf",
            "صورة.png",
            "שלום.pdf",
            "नमस्ते.txt",
            "a&b=c.txt",
        ),
        *("no extension", "example.com.pdf", "console.txt", "community.csv", "a'b.txt"),
        *("x" * 251 + ".png", "e\u0301.png", "\u0645\u06cc\u200c\u062e.txt"),
    ],
)
def test_plain_name_is_taken(name: str) -> None:
    """Names of any script pass as they are."""
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(None, "", ".", "..", "/etc/passwd", "../x.png", "a/b.png", "..\\x.png", "a\\b.png"),
        *("C:\\x.png", "C:x.png", "x.png::$DATA", "x.php:y.png", "\\\\host\\share\\x.png"),
        *(
            "x.png\0.php",
            "x\0.png",
            "x\n.png",
            "x\r\nSet-Cookie: a=b.png",
            "x\x1b[2J.png",
            "x\x7f.png",
        ),
        *("exe.\u202egnp.png", "\u2066x\u2069.png", "x\u2028.png", "x\u200b.png", "\ufeffx.png"),
        *("con", "CON.png", "nul.txt", "aux.tar.pdf", "COM1.png", "lpt9.pdf", "com\u00b9.png"),
        *("con .png", "conin$.txt", "x.png.", "x.png ", " x.png", ".htaccess", ".png", "-rf.png"),
        *("~x.png", 'x".png', "x<b>.png", "x|y.png", "x?.png", "x*.png", "\ud800.png"),
        *("x.php.png", "x.PHP.png", "x.phtml.jpg", "x.asp.gif", "x.jsp.pdf", "x.svg", "x.svg.png"),
        *("x.html", "x.exe.pdf", "x.js.txt", "x.php .png", "x.sh", "shell.pHp5.jpg", "x.cgi.png"),
        *("\uff0e\uff0e\uff0fx.png", "a\uff0fb.png", "a\uff3cb.png", "\uff43\uff4f\uff4e.png"),
        *(
            "x.\uff50\uff48\uff50.png",
            "\u2025",
            "x" * 252 + ".png",
            "é" * 126 + ".png",
            "x" * 100_000,
        ),
    ],
)
def test_other_name_is_refused(name: str | None) -> None:
    """Paths, devices, streams, hidden and turning characters, and programs are refused."""
    with pytest.raises(UploadRefusedError) as refused:
        safe_name(name)
    assert refused.value.rule == "upload_name"
    assert not name or len(name) < 3 or name not in str(refused.value)


@given(st.text(max_size=40))
def test_name_that_passes_is_one_step_of_a_path(name: str) -> None:
    """On every system, a plain name names something directly in its folder."""
    try:
        safe_name(name)
    except UploadRefusedError:
        return
    assert PurePosixPath("/store", name).parent == PurePosixPath("/store")
    assert PureWindowsPath("C:/store", name).parent == PureWindowsPath("C:/store")
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name
    name.encode("utf-8")


def test_storage_name_is_drawn() -> None:
    """It says the type, and nothing of the client is in it."""
    name = generate_storage_name("image/jpeg")
    assert re.fullmatch(r"u[A-Za-z0-9_-]{32}\.jpg", name)
    assert safe_name(name) == name
    assert generate_storage_name("image/jpeg") != name


def test_storage_name_needs_a_known_type() -> None:
    """A type that was not established has no extension."""
    with pytest.raises(UploadRuleError):
        generate_storage_name("text/html")
    with pytest.raises(UploadRuleError):
        generate_storage_name("../../x")
