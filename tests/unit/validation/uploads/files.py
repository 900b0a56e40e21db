"""Make small files of every kind, whole and damaged."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from PIL import Image

from stockade.validation.uploads.content import Content
from stockade.validation.uploads.errors import UploadRefusedError
from stockade.validation.uploads.kinds import kind_of
from stockade.validation.uploads.limits import ArchiveLimits, ContentBounds, ImageLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

OOXML = "application/vnd.openxmlformats-officedocument"
ODF = "application/vnd.oasis.opendocument"
DOCX = f"{OOXML}.wordprocessingml.document"
XLSX = f"{OOXML}.spreadsheetml.sheet"
PPTX = f"{OOXML}.presentationml.presentation"
ODT = f"{ODF}.text"


def refusal(media_type: str, data: bytes, **bounds: Any) -> str | None:  # noqa: ANN401 - fields of ContentBounds
    """Return the rule that a content breaks, or None."""
    try:
        check(media_type, data, **bounds)
    except UploadRefusedError as error:
        return error.rule
    return None


def check(media_type: str, data: bytes, **bounds: Any) -> None:  # noqa: ANN401 - as above
    """Check a content."""
    content = Content(io.BytesIO(data), len(data))
    kind_of(media_type).check(content, ContentBounds(**bounds))


def small(pixels: int = 10_000, frames: int = 4) -> ImageLimits:
    """Make tight limits of images."""
    return ImageLimits(pixels=pixels, frames=frames)


def tight(**limits: int) -> ArchiveLimits:
    """Make tight limits of archives."""
    return ArchiveLimits(**limits)


# --- Images ---------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    """Make a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG_START = b"\x89PNG\r\n\x1a\n"


def png(width: int = 2, height: int = 2, *extra: bytes) -> bytes:
    """Make a PNG whose header says some size; its data are for the true size of small ones."""
    rows = (b"\0" + b"\1\2\3" * width) * height if width * height < 10_000 else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        [
            PNG_START,
            chunk(b"IHDR", header),
            *extra,
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def image(form: str, size: tuple[int, int] = (8, 6), frames: int = 1, **options: Any) -> bytes:  # noqa: ANN401 - options of Pillow
    """Make an image with Pillow."""
    out = io.BytesIO()
    pictures = [Image.new("RGB", size, (10 * number, 50, 200)) for number in range(frames)]
    if frames > 1:
        options |= {"save_all": True, "append_images": pictures[1:], "duration": 50}
    pictures[0].save(out, form, **options)
    return out.getvalue()


def gif(frames: int = 1, width: int = 2, height: int = 2) -> bytes:
    """Make a GIF of as many frames, each of 2 by 2 pixels."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 2, 2, 0) + b"\x02\x04\x04\x41\x10\x05\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + frame * frames + b"\x3b"


IMAGES = {
    "image/png": png(),
    "image/jpeg": image("JPEG"),
    "image/gif": gif(),
    "image/webp": image("WEBP"),
    "image/avif": image("AVIF"),
}


# --- Sound and video ------------------------------------------------------------------------------


def box(kind: bytes, data: bytes = b"") -> bytes:
    """Make a box of an MP4."""
    return struct.pack(">I", len(data) + 8) + kind + data


def mp4(brand: bytes = b"isom", *extra: bytes) -> bytes:
    """Make an MP4 of empty boxes."""
    ftyp = box(b"ftyp", brand + b"\0\0\2\0" + brand)
    return b"".join([ftyp, *extra, box(b"moov", b"\0" * 8), box(b"mdat", b"\0" * 8)])


def wav() -> bytes:
    """Make a WAV of silence."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 100)
    return out.getvalue()


def mp3(frames: int = 4) -> bytes:
    """Make an MP3 of silence: MPEG 1, 128 kbit/s, 44.1 kHz, 417 bytes a frame."""
    return (b"\xff\xfb\x90\x00" + b"\0" * 413) * frames


def page(data: bytes, flags: int = 2) -> bytes:
    """Make a page of an Ogg file."""
    return b"OggS\0" + bytes([flags]) + b"\0" * 20 + b"\x01" + bytes([len(data)]) + data


def ogg(first: bytes = b"OpusHead" + b"\0" * 11) -> bytes:
    """Make an Ogg file of two pages."""
    return page(first) + page(b"\0" * 20, 4)


# --- Documents ------------------------------------------------------------------------------------


def pdf() -> bytes:
    """Make a PDF with nothing in it."""
    return b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\nstartxref\n9\n%%EOF\n"


def archive(entries: Mapping[str, bytes | str], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make a ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return out.getvalue()


def types(*parts: tuple[str, str], default: str = "") -> str:
    """Make a list of content types."""
    overrides = "".join(
        f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in parts
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Types xmlns='
        '"http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Default Extension="xml" ContentType="application/xml"/>{default}{overrides}</Types>'
    )


def office(media_type: str = DOCX, extra: Mapping[str, bytes | str] | None = None) -> bytes:
    """Make an office document with one part."""
    name = {DOCX: "word/document.xml", XLSX: "xl/workbook.xml", PPTX: "ppt/presentation.xml"}
    part = name[media_type]
    return archive(
        {
            "[Content_Types].xml": types((f"/{part}", f"{media_type}.main+xml")),
            part: "<document/>",
            **(extra or {}),
        }
    )


def open_document(media_type: str = ODT, extra: Mapping[str, bytes | str] | None = None) -> bytes:
    """Make an OpenDocument."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", media_type, zipfile.ZIP_STORED)
        file.writestr("META-INF/manifest.xml", "<manifest/>")
        file.writestr("content.xml", "<content/>")
        for name, data in (extra or {}).items():
            file.writestr(name, data)
    return out.getvalue()


FILES = {
    **IMAGES,
    "application/pdf": pdf(),
    "application/zip": archive({"a/": b"", "a/b.txt": "hello"}),
    DOCX: office(DOCX),
    XLSX: office(XLSX),
    PPTX: office(PPTX),
    ODT: open_document(ODT),
    f"{ODF}.spreadsheet": open_document(f"{ODF}.spreadsheet"),
    f"{ODF}.presentation": open_document(f"{ODF}.presentation"),
    "video/mp4": mp4(),
    "audio/mpeg": mp3(),
    "audio/ogg": ogg(),
    "audio/wav": wav(),
    "text/plain": "Grüße\n".encode(),
    "text/csv": b"a,b\r\n1,2\r\n",
    "application/json": b'{"a": [1, 2.5, null]}',
}
