"""Office documents are told apart by what they declare, and hold no macros and no entities."""

from __future__ import annotations

import pytest

from tests.unit.validation.uploads.files import (
    DOCX,
    ODF,
    ODT,
    PPTX,
    XLSX,
    archive,
    office,
    open_document,
    refusal,
    types,
)

MAIN = f"{DOCX}.main+xml"
TYPES = "[Content_Types].xml"
ENTITIES = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize("media_type", [DOCX, XLSX, PPTX])
def test_document_with_pictures_is_taken(media_type: str) -> None:
    """Parts that are no XML are parts all the same."""
    extra: dict[str, bytes | str] = {
        "word/media/image1.png": b"\x89PNG",
        "_rels/.rels": "<Relationships/>",
    }
    assert refusal(media_type, office(media_type, extra)) is None


def test_main_part_may_have_another_name() -> None:
    """The list of types says which part is the document."""
    data = archive(
        {TYPES: types(("/word/document2.xml", MAIN)), "word/document2.xml": "<document/>"}
    )
    assert refusal(DOCX, data) is None


@pytest.mark.parametrize(
    "entries",
    [
        {"word/document.xml": "<document/>"},
        {TYPES: types(("/word/document.xml", f"{XLSX}.main+xml")), "word/document.xml": "<x/>"},
        {TYPES: types(("/word/document.xml", MAIN))},
        {TYPES: types(("/a.xml", MAIN), ("/b.xml", MAIN)), "a.xml": "<x/>", "b.xml": "<x/>"},
        {TYPES: types(default=f'<Default Extension="doc" ContentType="{MAIN}"/>')},
        {
            TYPES: f'<Types><Override PartName="/a.xml" ContentType="{MAIN}"/></Types>',
            "a.xml": "<x/>",
        },
    ],
    ids=["no types", "another kind", "no part", "two parts", "extension", "no namespace"],
)
def test_archive_that_is_no_document_is_refused(entries: dict[str, str]) -> None:
    """A name inside of an archive makes no document."""
    assert refusal(DOCX, archive(entries)) == "upload_type"


@pytest.mark.parametrize(
    "data",
    [
        office(DOCX, {"word/vbaProject.bin": b"x"}),
        office(DOCX, {"word/VBAPROJECT.BIN": b"x"}),
        office(XLSX, {"xl/activeX/activeX1.bin": b"x"}),
        archive(
            {
                TYPES: types(
                    ("/word/document.xml", MAIN),
                    ("/word/x.bin", "application/vnd.ms-office.vbaProject"),
                ),
                "word/document.xml": "<document/>",
            }
        ),
        archive(
            {
                TYPES: types(
                    ("/word/document.xml", MAIN),
                    ("/a.xml", "application/vnd.ms-word.document.macroEnabled.main+xml"),
                ),
                "word/document.xml": "<document/>",
            }
        ),
    ],
    ids=["part", "capitals", "ActiveX", "type", "enabled"],
)
def test_macros_are_refused(data: bytes) -> None:
    """The types without macros hold none."""
    assert refusal(XLSX if b"xl/" in data else DOCX, data) == "upload_archive"


@pytest.mark.parametrize(
    "part",
    [
        ENTITIES,
        ENTITIES.encode("utf-16"),
        '<!DOCTYPE x SYSTEM "http://example.com/x.dtd"><x/>',
        "<!DOCTYPE x><x/>",
        "<x>",
        "<?xml version='1.0' encoding='x-unknown'?><x/>",
        "<?xml version='1.0' encoding='shift_jis'?><x/>",
        "<x>" * 10 + "&a;",
    ],
    ids=[
        *("entity", "UTF-16", "external", "empty type", "cut", "unknown", "several bytes"),
        "undeclared",
    ],
)
@pytest.mark.parametrize("name", ["word/settings.xml", "word/_rels/a.rels", "word/DRAWING.VML"])
def test_part_with_a_document_type_is_refused(name: str, part: str | bytes) -> None:
    """Whoever reads the document later meets no entity (XXE, billion laughs)."""
    assert refusal(DOCX, office(DOCX, {name: part})) == "upload_archive"


def test_entity_in_the_list_of_types_is_refused() -> None:
    """The list itself is read by us as well."""
    assert refusal(DOCX, archive({TYPES: ENTITIES})) == "upload_archive"


def test_list_of_types_is_bounded() -> None:
    """It is not read beyond a megabyte."""
    data = archive({TYPES: types() + " " * 1_000_000})
    assert refusal(DOCX, data) == "upload_archive"


def test_bomb_in_a_document_is_refused() -> None:
    """The limits of archives hold for documents."""
    data = office(DOCX, {f"word/media/{number}.bmp": b"\0" * 5_000_000 for number in range(10)})
    assert refusal(DOCX, data) == "upload_archive"


def test_part_without_bytes_is_taken() -> None:
    """LibreOffice writes some."""
    name = "Configurations2/accelerator/current.xml"
    assert refusal(ODT, open_document(ODT, {name: ""})) is None
    assert refusal(DOCX, office(DOCX, {"word/empty.xml": ""})) is None


@pytest.mark.parametrize(
    "data",
    [
        archive({"META-INF/manifest.xml": "<x/>", "mimetype": ODT}),
        archive({"mimetype": ODT + "x", "META-INF/manifest.xml": "<x/>"}),
        archive({"mimetype": f"{ODF}.spreadsheet", "META-INF/manifest.xml": "<x/>"}),
        archive({"a": "x"}),
    ],
    ids=["not first", "longer", "another kind", "none"],
)
def test_archive_that_is_no_open_document_is_refused(data: bytes) -> None:
    """The type stands first."""
    assert refusal(ODT, data) == "upload_type"


@pytest.mark.parametrize(
    "data",
    [
        archive({"mimetype": ODT}),
        open_document(ODT, {"Basic/Standard/Module1.xml": "<x/>"}),
        open_document(ODT, {"Scripts/python/x.py": "import os"}),
        open_document(ODT, {"settings.xml": ENTITIES}),
    ],
    ids=["no manifest", "Basic", "scripts", "entity"],
)
def test_open_document_with_programs_is_refused(data: bytes) -> None:
    """Macros and entities are refused here, too."""
    assert refusal(ODT, data) == "upload_archive"
