"""Name the types that an upload can have, and how each is proven.

A table of our own and not a library of signatures: measured on filetype 1.2 and puremagic 1.30,
both take ``GIF89a<script>`` for a GIF, ``FF D8 FF`` before a page for a JPEG, a PNG with a program
behind it for a PNG, and a ZIP that holds ``word/document.xml`` for a Word document. They answer
what a file most likely is, for somebody who wants to open it. Here somebody wants to be believed.

Source: ASVS 5.0 V5.2.2; CWE-434; IANA media types.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from stockade.validation.uploads.content import Content
from stockade.validation.uploads.documents import check_json, check_pdf, check_text
from stockade.validation.uploads.errors import UploadRuleError
from stockade.validation.uploads.images import (
    check_avif,
    check_gif,
    check_jpeg,
    check_png,
    check_webp,
)
from stockade.validation.uploads.limits import ContentBounds
from stockade.validation.uploads.media import check_mp3, check_mp4, check_ogg, check_wav
from stockade.validation.uploads.office import check_office, check_open_document, check_zip

Check: TypeAlias = Callable[[Content, ContentBounds], None]

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,12}")
# Shown in a browser, these run scripts in the name of whoever serves them.
_ACTIVE: Final = re.compile(
    r".*[/+](?:xml|svg|html?)(?:\+.*)?|text/(?:x?html|xsl|javascript|ecmascript|css|x-component)"
    r"|application/(?:xhtml|xslt|javascript|ecmascript|x-javascript|x-shockwave-flash|x-php|wasm)"
    r"|multipart/.*|message/.*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """A type of file, and what proves that a file is of it.

    Args:
        media_type: Its registered name in lower case.
        extensions: In lower case without a dot; the first is used for storage names.
        check: Raises `UploadRefusedError` where the content is not of this type.
        aliases: Further values of ``Content-Type`` that clients send for it.

    Raises:
        UploadRuleError: A name is malformed, or browsers run scripts in files of such a type.
    """

    media_type: str
    extensions: tuple[str, ...]
    check: Check
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.media_type, *self.aliases):
            if not _MEDIA_TYPE.fullmatch(name):
                raise UploadRuleError(f"{name!r} is no media type in lower case without parameters")
            refuse_active(name)
        if not self.extensions or not all(map(_EXTENSION.fullmatch, self.extensions)):
            raise UploadRuleError(
                f"{self.media_type} needs extensions in lower case without a dot, such as ('png',)"
            )


def refuse_active(media_type: str) -> None:
    """Refuse types that can't be accepted safely, whatever is in the file.

    SVG is among them. Making one harmless means to know every element, attribute, reference and
    style that a browser may act on; what can't be done well is not done.

    Raises:
        UploadRuleError: It is such a type.
    """
    if _ACTIVE.fullmatch(media_type):
        raise UploadRuleError(
            f"{media_type} can carry scripts that run where the file is shown, so that it can't be"
            " accepted as an upload: take an image of pixels such as image/png, or plain text"
        )


def find_kind(media_type: str | FileKind) -> FileKind | None:
    """Return what is known about a media type, or None."""
    return media_type if isinstance(media_type, FileKind) else _TABLE.get(media_type)


def kind_of(media_type: str | FileKind) -> FileKind:
    """Return what is known about a media type.

    Raises:
        UploadRuleError: Nothing is known that would prove a file to be of it.
    """
    if isinstance(media_type, FileKind):
        return media_type
    kind = _TABLE.get(media_type)
    if kind is None:
        refuse_active(media_type.lower())
        raise UploadRuleError(
            f"nothing here can prove that a file is {media_type!r}: take one of"
            f" {', '.join(sorted(_TABLE))}, or describe it as a FileKind with a check of your own"
        )
    return kind


_OOXML: Final = "application/vnd.openxmlformats-officedocument"
_ODF: Final = "application/vnd.oasis.opendocument"
_TABLE: Final = {
    media_type: FileKind(media_type=media_type, extensions=extensions, check=check, aliases=aliases)
    for media_type, extensions, check, aliases in (
        ("image/png", ("png",), check_png, ()),
        ("image/jpeg", ("jpg", "jpeg"), check_jpeg, ("image/jpg", "image/pjpeg")),
        ("image/gif", ("gif",), check_gif, ()),
        ("image/webp", ("webp",), check_webp, ()),
        ("image/avif", ("avif",), check_avif, ()),
        ("application/pdf", ("pdf",), check_pdf, ()),
        ("application/zip", ("zip",), check_zip, ("application/x-zip-compressed",)),
        (
            f"{_OOXML}.wordprocessingml.document",
            ("docx",),
            check_office(f"{_OOXML}.wordprocessingml.document.main+xml"),
            (),
        ),
        (
            f"{_OOXML}.spreadsheetml.sheet",
            ("xlsx",),
            check_office(f"{_OOXML}.spreadsheetml.sheet.main+xml"),
            (),
        ),
        (
            f"{_OOXML}.presentationml.presentation",
            ("pptx",),
            check_office(f"{_OOXML}.presentationml.presentation.main+xml"),
            (),
        ),
        *(
            (f"{_ODF}.{name}", (extension,), check_open_document(f"{_ODF}.{name}"), ())
            for name, extension in (
                ("text", "odt"),
                ("spreadsheet", "ods"),
                ("presentation", "odp"),
            )
        ),
        ("video/mp4", ("mp4", "m4v"), check_mp4, ("video/x-m4v",)),
        ("audio/mpeg", ("mp3",), check_mp3, ("audio/mp3",)),
        ("audio/ogg", ("ogg", "oga", "opus"), check_ogg, ("application/ogg",)),
        (
            "audio/wav",
            ("wav",),
            check_wav,
            ("audio/x-wav", "audio/wave", "audio/vnd.wave"),
        ),
        ("text/plain", ("txt", "log"), check_text, ()),
        # With Excel on the machine, browsers on Windows send its type for CSV.
        ("text/csv", ("csv",), check_text, ("application/vnd.ms-excel", "application/csv")),
        ("application/json", ("json",), check_json, ("text/json",)),
    )
}

IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Images of pixels that every browser shows."""

DOCUMENTS: Final = (
    "application/pdf",
    f"{_OOXML}.wordprocessingml.document",
    f"{_OOXML}.spreadsheetml.sheet",
    f"{_OOXML}.presentationml.presentation",
    f"{_ODF}.text",
    f"{_ODF}.spreadsheet",
    f"{_ODF}.presentation",
)
"""PDF, Office Open XML and OpenDocument."""
