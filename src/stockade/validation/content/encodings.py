"""Decompress a body while it streams in, and count what comes out.

A kilobyte of zeros takes a few bytes: what counts is the size after decompression, which is
asked for in portions, so that nothing is ever larger than what the endpoint takes.

Source: RFC 9110, section 8.4; RFC 1950; RFC 1952; CWE-409.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from stockade.errors import BodyTooLargeError
from stockade.validation.content.errors import malformed

if TYPE_CHECKING:
    from collections.abc import Callable

_WINDOWS: Final = {
    b"gzip": 16 + zlib.MAX_WBITS,
    b"deflate": zlib.MAX_WBITS,
}
CODINGS: Final = frozenset(_WINDOWS)


_PORTION: Final = 262_144


class Inflater:
    """Decompresses one body.

    Args:
        coding: One of `CODINGS`.
        limit: Tells the most bytes that may come out.

    Attributes:
        has_more: Whether more comes out of what was fed already.
    """

    __slots__ = ("_begun", "_limit", "_size", "_stream", "has_more")

    def __init__(self, coding: bytes, limit: Callable[[], int]) -> None:
        self._stream = zlib.decompressobj(_WINDOWS[coding])
        self._limit = limit
        self._size = 0
        self._begun = False
        self.has_more = False

    def inflate(self, data: bytes, *, last: bool) -> bytes:
        """Return the next portion of what the body stands for.

        Args:
            data: Untrusted bytes; none as long as the last call left more to come.
            last: Whether nothing follows.

        Raises:
            MalformedRequestError: It is not of this coding, is cut short, or goes on behind its
                end.
            BodyTooLargeError: More comes out than the endpoint takes.
        """
        self._begun = self._begun or bool(data)
        limit = self._limit()
        portion = min(_PORTION, limit - self._size + 1)
        try:
            plain = self._stream.decompress(self._stream.unconsumed_tail + data, portion)
        except zlib.error:
            raise malformed("content_encoding") from None
        self._size += len(plain)
        if self._size > limit:
            raise BodyTooLargeError(reason="validation.body_inflates_too_far", limit=limit)
        self.has_more = len(plain) == portion
        cut_short = last and self._begun and not (self.has_more or self._stream.eof)
        if self._stream.unused_data or cut_short:
            raise malformed("content_encoding")
        return plain
