"""Read a file at any place, in bounded pieces and a bounded number of steps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, Final

from stockade.validation.uploads.errors import UploadRefusedError

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

CHUNK: Final = 65_536
# A walk over 100 MB of the smallest blocks that real encoders write takes half as many.
_MOST_STEPS: Final = 1_000_000


class Content:
    """The bytes of one file, which nobody trusts.

    Args:
        file: Open for reading at any place.
        size: Bytes in it.
    """

    __slots__ = ("_file", "_steps", "size")

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._steps = 0
        self.size = size

    def step(self) -> None:
        """Count one step of a walk.

        Raises:
            UploadRefusedError: The file is cut into more pieces than it makes sense to.
        """
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise UploadRefusedError("upload_malformed")

    def peek(self, start: int, length: int) -> bytes:
        """Return bytes from a place on, fewer where the file ends."""
        self._file.seek(start)
        return self._file.read(length)

    def need(self, start: int, length: int) -> bytes:
        """Return exactly as many bytes from a place on.

        Raises:
            UploadRefusedError: The file ends before that.
        """
        data = self.peek(start, length)
        if len(data) != length:
            raise UploadRefusedError("upload_malformed")
        return data

    def unpack(self, layout: str, start: int) -> tuple[int, ...]:
        """Return numbers from a place on, as `struct` lays them out.

        Raises:
            UploadRefusedError: The file ends before that.
        """
        return struct.unpack(layout, self.need(start, struct.calcsize(layout)))

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Give the bytes between two places in pieces of at most 64 KiB."""
        stop = self.size if end is None else end
        self._file.seek(start)
        while start < stop:
            data = self._file.read(min(CHUNK, stop - start))
            if not data:
                raise UploadRefusedError("upload_malformed")
            start += len(data)
            yield data

    def find(self, pattern: re.Pattern[bytes], start: int) -> int | None:
        """Return where two bytes that match stand for the first time, from a place on."""
        base, rest = start, b""
        for chunk in self.chunks(start):
            data = rest + chunk
            match = pattern.search(data)
            if match is not None:
                return base + match.start()
            rest = data[-1:]
            base += len(data) - len(rest)
        return None


def refuse(rule: str, *, when: bool) -> None:
    """Refuse a file where something holds.

    Raises:
        UploadRefusedError: It holds.
    """
    if when:
        raise UploadRefusedError(rule)
