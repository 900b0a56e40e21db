"""Tell office documents from each other and from other archives.

Source: ISO/IEC 29500-2 (Open Packaging Conventions), section 10.1; OpenDocument 1.3, part 2.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from stockade.validation.uploads.archives import Archive, look_through
from stockade.validation.uploads.content import Content, refuse
from stockade.validation.uploads.errors import UploadRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.validation.uploads.archives import Entry
    from stockade.validation.uploads.limits import ContentBounds

_TYPES: Final = "[Content_Types].xml"
_MOST_TYPES: Final = 1_000_000
_NAMESPACE: Final = "http://schemas.openxmlformats.org/package/2006/content-types"
_MACROS: Final = re.compile(r"macro|vba|activex", re.IGNORECASE)
_MACRO_PART: Final = re.compile(r"vbaproject|vbadata|/activex/", re.IGNORECASE)
_XML: Final = (".xml", ".rels", ".vml")


class _DeclaredTypeError(Exception):
    """A part declares a document type."""


def check_zip(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no harmless ZIP archive.

    Raises:
        UploadRefusedError: It is another kind of file, or would do harm when it is unpacked.
    """
    look_through(content, bounds.archive)


def check_office(main: str) -> Callable[[Content, ContentBounds], None]:
    """Make a check for one kind of Office Open XML, without macros.

    Args:
        main: Content type of its main part.
    """
    return partial(_check_office, main=main)


def _check_office(content: Content, bounds: ContentBounds, *, main: str) -> None:
    archive = look_through(content, bounds.archive)
    entry = archive.find(_TYPES)
    if entry is None:
        raise UploadRefusedError("upload_type")
    refuse("upload_archive", when=entry.size > _MOST_TYPES)
    parts = _read_types(archive, entry)
    refuse("upload_archive", when=any(_MACROS.search(kind) for kind in parts))
    named = [part for part in parts.get(main, []) if part is not None]
    refuse("upload_type", when=len(named) != 1 or archive.find(named[0].lstrip("/")) is None)
    for each in archive.entries:
        refuse("upload_archive", when=bool(_MACRO_PART.search(each.name)))
        if each.name.lower().endswith(_XML):
            _parse(archive, each)


def _read_types(archive: Archive, entry: Entry) -> dict[str, list[str | None]]:
    """Return the parts of each content type; None stands for all of an extension."""
    found: dict[str, list[str | None]] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if namespace == _NAMESPACE and tag in {"Default", "Override"}:
            found.setdefault(attributes.get("ContentType", ""), []).append(
                attributes.get("PartName")
            )

    _parse(archive, entry, start)
    return found


def _parse(
    archive: Archive, entry: Entry, start: Callable[[str, dict[str, str]], None] | None = None
) -> None:
    """Parse a part, which has to be well formed and must not declare a document type.

    Entities, local and external, can't be declared anywhere else (CWE-611, CWE-776). LibreOffice
    writes parts of no bytes, which nobody can misread.
    """
    if not entry.size:
        return
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = start
    try:
        for data in archive.read(entry):
            parser.Parse(data, False)  # noqa: FBT003 - expat takes positions alone
        parser.Parse(b"", True)  # noqa: FBT003 - as above
    except (expat.ExpatError, _DeclaredTypeError, LookupError, ValueError):
        # The last two: an encoding that Python lacks, or one of several bytes.
        raise UploadRefusedError("upload_archive") from None


def _refuse_doctype(*_: object) -> None:
    raise _DeclaredTypeError


def check_open_document(media_type: str) -> Callable[[Content, ContentBounds], None]:
    """Make a check for one kind of OpenDocument.

    Args:
        media_type: What the document says it is.
    """
    return partial(_check_open_document, media_type=media_type.encode("ascii"))


def _check_open_document(content: Content, bounds: ContentBounds, *, media_type: bytes) -> None:
    archive = look_through(content, bounds.archive)
    # The first entry, stored, and without anything that could move it.
    first = min(archive.entries, key=lambda entry: entry.offset)
    refuse("upload_type", when=first.name != "mimetype" or first.size > len(media_type))
    refuse("upload_type", when=b"".join(archive.read(first)) != media_type)
    refuse("upload_archive", when=archive.find("META-INF/manifest.xml") is None)
    for each in archive.entries:
        refuse("upload_archive", when=each.name.startswith(("Basic/", "Scripts/")))
        if each.name.lower().endswith(".xml"):
            _parse(archive, each)
