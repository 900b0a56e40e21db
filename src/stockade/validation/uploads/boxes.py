"""Walk through files of the ISO base media format, which MP4 and AVIF are.

Source: ISO/IEC 14496-12, sections 4.2 and 4.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stockade.validation.uploads.content import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from stockade.validation.uploads.content import Content

_TYPE: Final = re.compile(rb"[ -~]{4}")
_LONGEST_BRANDS: Final = 256
_TO_THE_END, _LARGE, _HEADER, _LARGE_HEADER = 0, 1, 8, 16


def walk_boxes(content: Content, *, brands: AbstractSet[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Give the type, the start and the end of each outer box, which have to fill the file.

    Args:
        content: The file.
        brands: One of them has to be among those that the file says it is compatible with.

    Raises:
        UploadRefusedError: It has another brand, or the boxes don't fill it.
    """
    refuse("upload_type", when=content.peek(4, 4) != b"ftyp")
    at = 0
    while at < content.size:
        content.step()
        (length,) = content.unpack(">I", at)
        kind = content.need(at + 4, 4)
        start = at + _HEADER
        if length == _LARGE:
            (length,) = content.unpack(">Q", start)
            start = at + _LARGE_HEADER
        end = content.size if length == _TO_THE_END else at + length
        refuse("upload_malformed", when=end < start or end > content.size)
        refuse("upload_malformed", when=not _TYPE.fullmatch(kind))
        if at == 0:
            _require_brand(content.need(start, min(end - start, _LONGEST_BRANDS)), brands)
        yield kind, start, end
        at = end


def _require_brand(data: bytes, brands: AbstractSet[bytes]) -> None:
    # The major brand, its version, and the compatible brands.
    named = {data[0:4], *(data[at : at + 4] for at in range(8, len(data), 4))}
    refuse("upload_type", when=not named & brands)
