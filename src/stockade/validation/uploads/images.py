"""Walk through images from the first byte to the last, without decoding a pixel.

A signature says how a file begins. What makes a file an image and nothing else is that all of its
parts follow each other to the end. On the way stand the size and the number of frames, which tell
what decoding would cost.

Source: W3C PNG (Third Edition), section 5; GIF89a Specification; ITU-T T.81, annex B; RFC 9649
(WebP); ISO/IEC 14496-12 and AV1 Image File Format, section 2.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Final

from stockade.validation.uploads.boxes import walk_boxes
from stockade.validation.uploads.content import Content, refuse
from stockade.validation.uploads.riff import walk_riff

if TYPE_CHECKING:
    from stockade.validation.uploads.limits import ContentBounds, ImageLimits

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_TYPE: Final = re.compile(rb"[A-Za-z]{4}")
_PNG_HEADER: Final = 13

_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_GIF_TABLE: Final = 0x80

_JPEG: Final = b"\xff\xd8\xff"
# In the data of a scan, 0xFF stands before a zero or a restart, or before a marker.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_JPEGS: Final = 8

_ISPE: Final = 20


def check_png(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete PNG or APNG.

    Raises:
        UploadRefusedError: It is another kind of file, damaged, or too large as an image.
    """
    refuse("upload_type", when=content.peek(0, 8) != _PNG)
    at, announced, controls, area, length, data = 8, 1, 0, 0, 0, False
    kind = b""
    while kind != b"IEND":
        content.step()
        (length,) = content.unpack(">I", at)
        kind = content.need(at + 4, 4)
        end = at + length + 12
        refuse("upload_malformed", when=end > content.size or not _PNG_TYPE.fullmatch(kind))
        refuse("upload_malformed", when=(at == 8) != (kind == b"IHDR"))  # noqa: PLR2004 - the signature
        if kind == b"IHDR":
            refuse("upload_malformed", when=length != _PNG_HEADER)
            width, height = content.unpack(">II", at + 8)
            area = width * height
        elif kind == b"acTL":
            (announced,) = content.unpack(">I", at + 8)
        controls += kind == b"fcTL"
        data = data or kind == b"IDAT"
        _require_crc(content, at + 4, end - 4)
        at = end
    refuse("upload_malformed", when=not data or length != 0)
    _require_size(area, max(announced, controls), bounds.image)
    _require_end(content, at, bounds)


def _require_crc(content: Content, start: int, end: int) -> None:
    crc = 0
    for chunk in content.chunks(start, end):
        crc = zlib.crc32(chunk, crc)
    refuse("upload_malformed", when=content.unpack(">I", end) != (crc,))


def check_gif(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete GIF.

    Raises:
        UploadRefusedError: It is another kind of file, damaged, or too large as an image.
    """
    refuse("upload_type", when=content.peek(0, 6) not in {b"GIF87a", b"GIF89a"})
    width, height, flags = content.unpack("<HHB", 6)
    at, frames, area = 13 + _table(flags), 0, width * height
    while True:
        content.step()
        (kind,) = content.need(at, 1)
        if kind == _GIF_END:
            break
        if kind == _GIF_EXTENSION:
            at = _skip_blocks(content, at + 2)
            continue
        refuse("upload_malformed", when=kind != _GIF_IMAGE)
        left, top, width, height, flags = content.unpack("<HHHHB", at + 1)
        frames += 1
        # A frame outside of the canvas makes decoders grow it.
        area = max(area, (left + width) * (top + height))
        _require_size(area, frames, bounds.image)
        at = _skip_blocks(content, at + 10 + _table(flags) + 1)
    refuse("upload_malformed", when=not frames)
    _require_size(area, frames, bounds.image)
    _require_end(content, at + 1, bounds)


def _table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & _GIF_TABLE else 0


def _skip_blocks(content: Content, at: int) -> int:
    while True:
        content.step()
        (length,) = content.need(at, 1)
        at += length + 1
        if not length:
            return at


def check_jpeg(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete JPEG.

    Cameras put further JPEGs behind the first: a preview, or the gain map of a photo with a high
    dynamic range. These may follow; anything else may not.

    Raises:
        UploadRefusedError: It is another kind of file, damaged, or too large as an image.
    """
    refuse("upload_type", when=content.peek(0, 3) != _JPEG)
    at, images = 0, 0
    while content.peek(at, 3) == _JPEG and images < _MOST_JPEGS:
        at = _walk_jpeg(content, at, bounds.image)
        images += 1
        if not bounds.exact:
            return
    _require_end(content, at, bounds)


def _walk_jpeg(content: Content, start: int, limits: ImageLimits) -> int:
    at, area, scans = start + 2, 0, 0
    while True:
        content.step()
        mark, kind = content.need(at, 2)
        refuse("upload_malformed", when=mark != 0xFF or kind < 0xC0)  # noqa: PLR2004 - no marker
        if kind == 0xFF:  # noqa: PLR2004 - a marker may be filled up with these
            at += 1
            continue
        if kind == _JPEG_END:
            break
        (length,) = content.unpack(">H", at + 2)
        refuse("upload_malformed", when=length < 2)  # noqa: PLR2004 - it counts itself
        if kind in _JPEG_FRAMES:
            height, width = content.unpack(">HH", at + 5)
            # A height of zero comes later, in the scan: nothing that still writes JPEGs does that.
            refuse("upload_malformed", when=bool(area) or not width or not height)
            area = width * height
        at += 2 + length
        if kind == _JPEG_SCAN:
            scans += 1
            found = content.find(_JPEG_MARKER, at)
            refuse("upload_malformed", when=found is None)
            at = found or 0
    refuse("upload_malformed", when=not area or not scans)
    _require_size(area, 1, limits)
    return at + 2


def check_webp(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete WebP.

    Raises:
        UploadRefusedError: It is another kind of file, damaged, or too large as an image.
    """
    refuse("upload_type", when=not re.fullmatch(rb"RIFF....WEBP", content.peek(0, 12), re.DOTALL))
    area, frames, stills = 0, 0, 0
    for kind, start, length in walk_riff(content, exact=bounds.exact):
        if kind == b"VP8X":
            width, height = _int24(content, start + 4) + 1, _int24(content, start + 7) + 1
        elif kind == b"ANMF":
            width, height = _int24(content, start + 6) + 1, _int24(content, start + 9) + 1
            frames += 1
        elif kind == b"VP8 ":
            refuse("upload_malformed", when=content.need(start + 3, 3) != b"\x9d\x01\x2a")
            width, height = (each & 0x3FFF for each in content.unpack("<HH", start + 6))
            stills += 1
        elif kind == b"VP8L":
            refuse("upload_malformed", when=content.need(start, 1) != b"\x2f")
            (packed,) = content.unpack("<I", start + 1)
            width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
            stills += 1
        else:
            refuse("upload_malformed", when=length > content.size)
            continue
        area = max(area, width * height)
        _require_size(area, max(frames, 1), bounds.image)
    refuse("upload_malformed", when=not area or not (frames or stills == 1))


def _int24(content: Content, at: int) -> int:
    return int.from_bytes(content.need(at, 3), "little")


def check_avif(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete AVIF of a still image.

    Raises:
        UploadRefusedError: It is another kind of file, damaged, or too large as an image.
    """
    kinds = set()
    area = 0
    for kind, start, end in walk_boxes(content, brands={b"avif"}):
        kinds.add(kind)
        if kind == b"meta":
            # The properties of all items are in here, and their size is in each "ispe".
            refuse("upload_malformed", when=end - start > 1_000_000)  # noqa: PLR2004 - bytes
            meta = content.need(start, end - start)
            for match in re.finditer(rb"\x00\x00\x00\x14ispe", meta):
                if len(meta) - match.start() >= _ISPE:
                    width, height = struct.unpack_from(">II", meta, match.start() + 12)
                    area = max(area, width * height)
    # "moov" would be a sequence, whose frames are counted nowhere in reach.
    refuse("upload_malformed", when=not {b"meta", b"mdat"} <= kinds or b"moov" in kinds)
    _require_size(area, 1, bounds.image)


def _require_size(area: int, frames: int, limits: ImageLimits) -> None:
    refuse("upload_malformed", when=not area)
    too_large = frames > limits.frames or area * frames > limits.pixels
    refuse("upload_image_too_large", when=too_large)


def _require_end(content: Content, at: int, bounds: ContentBounds) -> None:
    # Zeros are no format, and some encoders fill up a block with them.
    if bounds.exact:
        for chunk in content.chunks(at):
            refuse("upload_malformed", when=bool(chunk.strip(b"\0")))
