"""Walk through RIFF files, which WebP and WAV are.

Source: Multimedia Programming Interface and Data Specifications 1.0 (RIFF); RFC 9649, section 2.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.validation.uploads.content import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.validation.uploads.content import Content


def walk_riff(content: Content, *, exact: bool) -> Iterator[tuple[bytes, int, int]]:
    """Give the type, the start and the length of each chunk, which have to fill the file.

    Args:
        content: A file that begins as a RIFF file does.
        exact: Whether nothing may follow.

    Raises:
        UploadRefusedError: They don't.
    """
    (length,) = content.unpack("<I", 4)
    end = length + 8
    refuse("upload_malformed", when=end > content.size)
    # The last chunk of an odd length may lack its filling byte.
    refuse("upload_malformed", when=exact and content.size > end + (end & 1))
    at = 12
    while at < end:
        content.step()
        kind = content.need(at, 4)
        (length,) = content.unpack("<I", at + 4)
        refuse("upload_malformed", when=at + 8 + length > end)
        yield kind, at + 8, length
        at += 8 + length + (length & 1)
