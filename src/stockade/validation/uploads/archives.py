"""Look through a ZIP archive before anything unpacks it.

Readers of ZIP disagree: some trust the directory at the end, some the headers on the way, some
skip what does not fit. So an archive has to leave no room: its entries follow each other from the
first byte to the directory, and the directory ends with the file. Overlapping entries (a flat
bomb), prefixes (a program that is also an archive) and hidden entries can't be written that way.
What the sizes promise is not believed either: every entry is unpacked once, and counted.

Source: APPNOTE.TXT 6.3.10, sections 4.3 and 4.4; ASVS 5.0 V5.2.3, V5.2.5 and V5.3.3; CWE-22;
CWE-409.
"""

from __future__ import annotations

import re
import stat
import struct
import tempfile
import unicodedata
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from stockade.validation.uploads.content import CHUNK, Content, refuse
from stockade.validation.uploads.errors import UploadRefusedError
from stockade.validation.uploads.limits import ArchiveLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_END_LENGTH, _LOCATOR_LENGTH, _CENTRAL_LENGTH, _LOCAL_LENGTH = 22, 20, 46, 30
_LONGEST_COMMENT: Final = 65_535
# Bytes of a directory for each entry: name, extra fields and comment in a generous measure.
_LONGEST_ENTRY: Final = 1_024
_ENCRYPTED: Final = 1 | 1 << 6 | 1 << 13
_DESCRIPTOR, _UTF8 = 1 << 3, 1 << 11
# With a signature, and with sizes of 64 bits.
_LONGEST_DESCRIPTOR: Final = 24
_STORED, _DEFLATED = 0, 8
_UNICODE_PATH: Final = 0x7075
_LONGEST_NAME: Final = 512
_FREE_SIZE: Final = 10_000_000
_IN_MEMORY: Final = 1_000_000
_UNSAFE_NAME: Final = re.compile(
    r"""[\x00-\x1f\x7f-\x9f\\:\u2028-\u202e\u2066-\u2069\ud800-\udfff]"""
    r"""|(?:^|/)\.{1,2}(?:/|$)|^/|//"""
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder in an archive.

    Args:
        name: As the directory spells it.
        method: How it is compressed.
        flags: General purpose bits.
        crc: Checksum of what it unpacks to.
        packed: Bytes in the archive.
        size: Bytes that it unpacks to.
        offset: Where its header begins.
    """

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int


class Archive:
    """An archive whose directory holds no surprise.

    Args:
        content: The file.
        limits: How much it may hold.

    Raises:
        UploadRefusedError: It is no archive, or not one that every reader reads the same.
    """

    def __init__(self, content: Content, limits: ArchiveLimits) -> None:
        refuse("upload_type", when=content.peek(0, 4) != _LOCAL)
        self._content = content
        start, end, count = _find_directory(content)
        refuse("upload_archive", when=count > limits.entries)
        refuse("upload_archive", when=end - start > count * _LONGEST_ENTRY)
        self.entries: Sequence[Entry] = list(_read_directory(content, start, end))
        refuse("upload_archive", when=len(self.entries) != count)
        # File systems that fold case or normalise would write one over the other.
        names = {_fold(entry.name) for entry in self.entries}
        refuse("upload_archive", when=len(names) != count)
        self._starts = {entry.name: at for entry, at in _lay_out(content, self.entries, start)}

    def find(self, name: str) -> Entry | None:
        """Return the entry of a name."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Unpack an entry in pieces, never beyond the size that it promises.

        Raises:
            UploadRefusedError: It does not unpack to what it promises.
        """
        start = self._starts[entry.name]
        chunks = self._content.chunks(start, start + entry.packed)
        crc, total = 0, 0
        for data in chunks if entry.method == _STORED else _inflate(chunks):
            total += len(data)
            crc = zlib.crc32(data, crc)
            refuse("upload_archive", when=total > entry.size)
            yield data
        refuse("upload_archive", when=total != entry.size or crc != entry.crc)


def validate_archive(file: BinaryIO, *, limits: ArchiveLimits | None = None) -> None:
    """Refuse a ZIP archive that would do harm when it is unpacked.

    It reads all of the archive, so call it in a worker thread. Archives in it are looked through
    as well, as far as they are ZIP; they count together.

    Args:
        file: Open for reading at any place; left at an undefined place.
        limits: How much it may hold.

    Raises:
        UploadRefusedError: It is no ZIP archive, or one that is encrypted, that holds links, names
            that lead out of a folder, or more than the limits allow, or that readers could
            understand in different ways.
    """
    size = file.seek(0, 2)
    limits = ArchiveLimits() if limits is None else limits
    look_through(Content(file, size), limits)


def look_through(content: Content, limits: ArchiveLimits) -> Archive:
    """Check an archive and all that is in it, and return it.

    Raises:
        UploadRefusedError: See `validate_archive`.
    """
    budget = _Budget(limits, min(limits.size, _FREE_SIZE + limits.ratio * content.size))
    return budget.visit(content, depth=1)


def hides_archive(content: Content) -> bool:
    """Tell whether readers of ZIP would find an archive at the end of a file."""
    return _find_end(content) is not None


class _Budget:
    """What an archive and those in it may still hold, together."""

    def __init__(self, limits: ArchiveLimits, size: int) -> None:
        self._limits = limits
        self._entries = limits.entries
        self._size = size

    def visit(self, content: Content, *, depth: int) -> Archive:
        archive = Archive(content, self._limits)
        self._entries -= len(archive.entries)
        # Before a byte is unpacked: what they promise is already too much.
        promised = sum(entry.size for entry in archive.entries)
        refuse("upload_archive", when=self._entries < 0 or promised > self._size)
        self._size -= promised
        for entry in archive.entries:
            pieces = archive.read(entry)
            first = next(pieces, b"")
            if not first.startswith(_LOCAL):
                # Reading is what counts and compares.
                for _ in pieces:
                    pass
                continue
            refuse("upload_archive", when=depth >= self._limits.depth)
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as inner:
                inner.write(first)
                inner.writelines(pieces)
                self.visit(Content(cast("BinaryIO", inner), entry.size), depth=depth + 1)
        return archive


def _find_end(content: Content) -> int | None:
    """Return where the record at the end of an archive begins, as lenient readers find it."""
    start = max(0, content.size - _END_LENGTH - _LONGEST_COMMENT)
    tail = content.peek(start, content.size - start)
    at = tail.rfind(_END)
    while at >= 0:
        if len(tail) - at >= _END_LENGTH:
            length, offset = struct.unpack_from("<II", tail, at + 12)
            if _looks_real(tail, at, start + at, length=length, offset=offset):
                return start + at
        at = tail.rfind(_END, 0, at)
    return None


def _looks_real(tail: bytes, at: int, place: int, *, length: int, offset: int) -> bool:
    """Tell a record from four bytes that only look like one."""
    disk, first_disk = struct.unpack_from("<HH", tail, at + 4)
    if offset == 0xFFFFFFFF or length == 0xFFFFFFFF:  # noqa: PLR2004 - ZIP64 says it elsewhere
        return True
    return disk == first_disk == 0 and length + offset <= place


def _find_directory(content: Content) -> tuple[int, int, int]:
    at = _find_end(content)
    # Nothing has room in front of a record that near to the start.
    if at is None or at < _LOCATOR_LENGTH:
        raise UploadRefusedError("upload_archive")
    if content.peek(at - _LOCATOR_LENGTH, 4) == _ZIP64_LOCATOR:
        raise UploadRefusedError("upload_archive")
    disk, first_disk, here, count, length, offset, comment = content.unpack("<HHHHIIH", at + 4)
    refuse("upload_archive", when=bool(disk or first_disk) or here != count)
    # The directory ends where the record begins, and the record with the file.
    refuse("upload_archive", when=offset + length != at)
    refuse("upload_archive", when=at + _END_LENGTH + comment != content.size)
    return offset, at, count


def _read_directory(content: Content, at: int, end: int) -> Iterator[Entry]:
    directory = content.need(at, end - at)
    at = 0
    while at < len(directory):
        head = directory[at : at + _CENTRAL_LENGTH]
        refuse("upload_archive", when=len(head) < _CENTRAL_LENGTH or head[:4] != _CENTRAL)
        flags, method = struct.unpack_from("<HH", head, 8)
        crc, packed, size = struct.unpack_from("<III", head, 16)
        name_length, extra_length, comment = struct.unpack_from("<HHH", head, 28)
        disk, _, external, offset = struct.unpack_from("<HHII", head, 34)
        at += _CENTRAL_LENGTH
        raw = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment
        refuse("upload_archive", when=at > len(directory) or disk != 0)
        refuse("upload_archive", when=bool(flags & _ENCRYPTED))
        refuse("upload_archive", when=method not in {_STORED, _DEFLATED})
        refuse("upload_archive", when=method == _STORED and packed != size)
        refuse("upload_archive", when=not _is_plain(external >> 16))
        name = _decode(raw, flags)
        for spelling in (name, *_other_names(extra)):
            _require_inside(spelling)
        yield Entry(name, method, flags, crc, packed, size, offset)


def _is_plain(mode: int) -> bool:
    """Tell whether it is a file or a folder, and no link, device or pipe."""
    kind = stat.S_IFMT(mode)
    return kind in {0, stat.S_IFREG, stat.S_IFDIR}


def _decode(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise UploadRefusedError("upload_archive") from None


def _other_names(extra: bytes) -> Iterator[str]:
    """Give the names that some readers prefer to the one in the header."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        value = extra[at + 4 : at + 4 + length]
        if kind == _UNICODE_PATH:
            yield _decode(value[5:], _UTF8)
        at += 4 + length


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.rstrip("/")).casefold())


def _require_inside(name: str) -> None:
    unsafe = not name or len(name) > _LONGEST_NAME or _UNSAFE_NAME.search(name)
    refuse("upload_archive", when=bool(unsafe))


def _lay_out(
    content: Content, entries: Sequence[Entry], directory: int
) -> Iterator[tuple[Entry, int]]:
    """Give where the data of each entry begins; together they have to fill the file."""
    expected, slack = 0, 0
    for entry in sorted(entries, key=lambda each: each.offset):
        refuse("upload_archive", when=not expected <= entry.offset <= expected + slack)
        at = entry.offset
        signature, flags, method = struct.unpack("<4s2xHH", content.need(at, 10))
        name_length, extra_length = content.unpack("<HH", at + 26)
        raw = content.need(at + _LOCAL_LENGTH, name_length)
        # A reader that goes by these headers has to see the same.
        same = signature == _LOCAL and method == entry.method
        same = same and not (flags ^ entry.flags) & (_ENCRYPTED | _DESCRIPTOR)
        refuse("upload_archive", when=not same or _decode(raw, flags) != entry.name)
        if not flags & _DESCRIPTOR:
            sizes = content.unpack("<II", at + 18)
            promised = (entry.packed, entry.size)
            refuse("upload_archive", when=sizes not in {promised, (0xFFFFFFFF, 0xFFFFFFFF)})
        extra = content.need(at + _LOCAL_LENGTH + name_length, extra_length)
        for spelling in _other_names(extra):
            _require_inside(spelling)
        start = at + _LOCAL_LENGTH + name_length + extra_length
        yield entry, start
        expected = start + entry.packed
        slack = _LONGEST_DESCRIPTOR if flags & _DESCRIPTOR else 0
    refuse("upload_archive", when=not expected <= directory <= expected + slack)


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            # What stands behind the end of an entry is hidden from everybody.
            refuse("upload_archive", when=decompressor.eof)
            data = chunk
            while data and not decompressor.eof:
                yield decompressor.decompress(data, CHUNK)
                data = decompressor.unconsumed_tail
            refuse("upload_archive", when=bool(decompressor.unused_data))
        # Less than a piece: a few symbols whose bits were read already.
        yield decompressor.flush()
    except zlib.error:
        raise UploadRefusedError("upload_archive") from None
    refuse("upload_archive", when=not decompressor.eof)
