"""An archive leaves no room for two readings, and unpacks to no more than it may."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.validation.uploads import (
    ArchiveLimits,
    Content,
    UploadRefusedError,
    validate_archive,
)
from stockade.validation.uploads.archives import Archive
from tests.unit.validation.uploads.files import archive, office, png, refusal, tight

ZIP = "application/zip"


def entry(name: str, **attributes: int) -> zipfile.ZipInfo:
    """Make the entry of an archive."""
    info = zipfile.ZipInfo(name)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info


def of(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    """Make an archive that may have equal names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for info, data in entries:
            file.writestr(info, data)
    return out.getvalue()


def patch(data: bytes, signature: bytes, offset: int, layout: str, value: int) -> bytes:
    """Change a number in the last record of a kind."""
    at = data.rindex(signature) + offset
    return data[:at] + struct.pack(layout, value) + data[at + struct.calcsize(layout) :]


def rename(data: bytes, old: bytes, new: bytes, *, times: int = -1) -> bytes:
    """Change a name in the headers to one of the same length."""
    assert len(old) == len(new)
    return data.replace(old, new, times)


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
PLAIN = archive({"a.txt": "hello" * 10, "b.txt": "world"})


class Unseekable(io.BytesIO):
    """Makes the writer put sizes behind the data, as streams do."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError

    def seek(self, _offset: int, _whence: int = 0) -> int:
        raise OSError


def streamed() -> bytes:
    """Make an archive as a program writes it into a pipe."""
    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", "hello" * 100)
        file.writestr("b.txt", "world")
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        archive({"a.txt": "hello"}, method=zipfile.ZIP_STORED),
        archive({"a/": b"", "a/b/": b"", "a/b/c.txt": b"x", "empty": b""}),
        archive({"é.txt": "x", "写真.png": png(), "a..b.txt": "x", "...": "x"}),
        archive({"inner.zip": PLAIN, "report.docx": office()}),
        of((entry("run.sh", create_system=3, external_attr=(stat.S_IFREG | 0o755) << 16), b"x")),
        streamed(),
        archive({"a": "x" * 1_000_000}),
    ],
    ids=["plain", "stored", "folders", "names", "archives in it", "mode", "streamed", "large"],
)
def test_archive_is_taken(data: bytes) -> None:
    """What the usual programs write passes."""
    assert refusal(ZIP, data) is None
    validate_archive(io.BytesIO(data))


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../../x", "/etc/passwd", "C:/x", "..", "a/..", "a/./b", "a//b"),
        *("a\\..\\x", "..\\x", "x\0y", "x\ny", "a:stream", "exe.\u202egnp", "\x1b[2J", "x" * 600),
    ],
)
def test_name_that_leads_out_is_refused(name: str) -> None:
    """No entry is unpacked to another place than its folder (zip slip)."""
    placeholder = "p" * len(name.encode())
    data = archive({placeholder: "x"})
    flagged = name.isascii()
    if not flagged:
        data = archive({"é" + placeholder[2:]: "x"})
        placeholder = "é" + placeholder[2:]
    assert refusal(ZIP, rename(data, placeholder.encode(), name.encode())) == "upload_archive"


def test_other_name_in_an_extra_field_counts() -> None:
    """Some readers prefer it to the name in the header."""
    evil = b"../../etc/cron.d/x"
    extra = struct.pack("<HHBI", 0x7075, 5 + len(evil), 1, zlib.crc32(b"a.txt")) + evil
    info = entry("a.txt")
    info.extra = extra
    assert refusal(ZIP, of((info, b"x"))) == "upload_archive"


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_link_and_device_are_refused(kind: int) -> None:
    """A link in an archive leads the next entry to where it points."""
    info = entry("a", create_system=3, external_attr=(kind | 0o777) << 16)
    assert refusal(ZIP, of((info, b"/etc"))) == "upload_archive"


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.txt", "a.txt"), ("a.txt", "A.TXT"), ("é.txt", "e\u0301.txt"), ("a", "a/")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_that_comes_twice_is_refused(first: str, second: str) -> None:
    """One of the two would be looked at, and the other unpacked."""
    assert refusal(ZIP, of((first, b"1"), (second, b""))) == "upload_archive"


@pytest.mark.parametrize(
    "data",
    [
        patch(PLAIN, CENTRAL, 8, "<H", 1),
        patch(PLAIN, CENTRAL, 8, "<H", 1 << 6),
        patch(PLAIN, CENTRAL, 8, "<H", 1 << 13),
        patch(PLAIN, LOCAL, 6, "<H", 1),
        archive({"a": "x"}, method=zipfile.ZIP_BZIP2),
        archive({"a": "x"}, method=zipfile.ZIP_LZMA),
        patch(PLAIN, LOCAL, 8, "<H", 0),
        patch(PLAIN, CENTRAL, 10, "<H", 0),
        patch(PLAIN, CENTRAL, 10, "<H", 99),
    ],
    ids=[
        "encrypted",
        "strong",
        "masked",
        "local",
        "bzip2",
        "LZMA",
        "local method",
        "method",
        "AES",
    ],
)
def test_what_can_not_be_looked_into_is_refused(data: bytes) -> None:
    """Encryption and rare compressions hide what is in it."""
    assert refusal(ZIP, data) == "upload_archive"


@pytest.mark.parametrize(
    "data",
    [
        b"#!/bin/sh\nrm -rf /\n" + PLAIN,
        b"GIF89a" + PLAIN,
        PLAIN + b"trailer",
        PLAIN + PLAIN,
        PLAIN[: PLAIN.index(CENTRAL)] + b"hidden" + PLAIN[PLAIN.index(CENTRAL) :],
        rename(PLAIN, b"a.txt", b"c.txt", times=1),
        patch(PLAIN, END, 8, "<H", 1),
        patch(PLAIN, END, 10, "<H", 1),
        patch(PLAIN, END, 8, "<I", 0x00010001),
        patch(PLAIN, END, 4, "<H", 1),
        patch(PLAIN, END, 16, "<I", 0xFFFFFFFF),
        patch(PLAIN, END, 20, "<H", 5),
        patch(PLAIN, CENTRAL, 42, "<I", 0),
        patch(PLAIN, CENTRAL, 42, "<I", 10),
        patch(PLAIN, CENTRAL, 34, "<H", 1),
        patch(PLAIN, CENTRAL, 24, "<I", 6),
        patch(PLAIN, CENTRAL, 24, "<I", 4),
        patch(PLAIN, CENTRAL, 16, "<I", 1),
        patch(PLAIN, CENTRAL, 20, "<I", 100),
        patch(PLAIN, CENTRAL, 28, "<H", 500),
        patch(PLAIN, LOCAL, 22, "<I", 1),
        patch(PLAIN, LOCAL, 26, "<H", 400),
        PLAIN[:-22],
        END + b"\0" * 18,
        LOCAL + END + b"\0" * 18,
    ],
    ids=[
        *("script in front", "picture in front", "behind", "twice", "hidden", "two names"),
        *("count", "count of all", "fewer", "disk", "ZIP64", "comment", "overlap", "into another"),
        *("disk of an entry", "longer", "shorter", "checksum", "packed", "name", "local size"),
        *("local name", "no end", "empty", "at the start"),
    ],
)
def test_archive_that_can_be_read_in_two_ways_is_refused(data: bytes) -> None:
    """Nothing stands in front, behind or between, and both directories say the same."""
    assert refusal(ZIP, data) in {"upload_archive", "upload_type", "upload_malformed"}


def test_bytes_behind_the_data_of_an_entry_are_refused() -> None:
    """What a decompressor skips is where something hides."""
    body = zlib.compress(b"hello", wbits=-15)
    inflated = body + b"hidden"
    data = of(("a", b"hello"))
    at = data.index(body)
    data = data[:at] + inflated + data[at + len(body) :]
    data = patch(patch(data, LOCAL, 18, "<I", len(inflated)), CENTRAL, 20, "<I", len(inflated))
    data = patch(data, END, 16, "<I", data.index(CENTRAL))
    assert refusal(ZIP, data) == "upload_archive"


@given(
    at=st.integers(0, len(PLAIN)),
    cut=st.integers(0, 30),
    put=st.one_of(st.binary(max_size=30), st.integers(0, 200).map(lambda start: PLAIN[start:])),
)
def test_what_is_taken_reads_the_same_elsewhere(at: int, cut: int, put: bytes) -> None:
    """Another reader finds the same entries in whatever passes, and can unpack all of them."""
    data = PLAIN[:at] + put + PLAIN[at + cut :]
    if refusal(ZIP, data) is not None:
        return
    ours = Archive(Content(io.BytesIO(data), len(data)), ArchiveLimits())
    with zipfile.ZipFile(io.BytesIO(data)) as theirs:
        assert theirs.testzip() is None
        assert theirs.namelist() == [each.name for each in ours.entries]
        for each in ours.entries:
            assert theirs.read(each.name) == b"".join(ours.read(each))


# --- Bombs ----------------------------------------------------------------------------------------


def test_flat_bomb_is_refused_by_its_promise() -> None:
    """A gigabyte of zeros is never unpacked."""
    data = archive({f"{number}": b"\0" * 10_000_000 for number in range(30)})
    assert len(data) < 400_000
    assert refusal(ZIP, data) == "upload_archive"


def test_bomb_that_lies_about_its_size_is_refused() -> None:
    """It is unpacked no further than it has promised."""
    data = archive({"a": b"\0" * 5_000_000})
    for signature, offset in ((LOCAL, 22), (CENTRAL, 24)):
        data = patch(data, signature, offset, "<I", 10)
    assert refusal(ZIP, data) == "upload_archive"


def test_overlapping_bomb_is_refused() -> None:
    """Many entries of one kernel (a flat bomb of the better kind) do not fill a file."""
    data = archive({"a": b"\0" * 100_000, "b": b"\0" * 100_000})
    assert refusal(ZIP, patch(data, CENTRAL, 42, "<I", 0)) == "upload_archive"


def test_nested_bomb_is_refused() -> None:
    """What is in the archives of an archive counts with it."""
    inner = archive({"zeros": b"\0" * 9_000_000})
    assert refusal(ZIP, inner) is None
    assert (
        refusal(ZIP, archive({f"{number}.zip": inner for number in range(40)})) == "upload_archive"
    )


def test_archives_nest_as_deep_as_they_may() -> None:
    """One level more than is allowed is refused, however small."""
    data = archive({"a": "x"})
    for _ in range(2):
        assert refusal(ZIP, data, archive=tight(depth=3)) is None
        data = archive({"inner.bin": data})
    assert refusal(ZIP, data, archive=tight(depth=3)) is None
    assert refusal(ZIP, archive({"a": data}), archive=tight(depth=3)) == "upload_archive"
    assert refusal(ZIP, data) == "upload_archive"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_ratio_holds_beyond_the_first_megabytes(method: int) -> None:
    """A stored archive grows not at all; a deflated one a hundred times at most."""
    data = archive({"a": b"\0" * 12_000_000}, method=method)
    expected = None if method == zipfile.ZIP_STORED else "upload_archive"
    assert refusal(ZIP, data) == expected


def test_size_holds_to_the_byte() -> None:
    """All entries count together."""
    data = archive({"a": b"x" * 600, "b": b"y" * 400})
    assert refusal(ZIP, data, archive=tight(size=1_000)) is None
    assert refusal(ZIP, data, archive=tight(size=999)) == "upload_archive"


def test_entries_are_counted() -> None:
    """So many small files cost more than they weigh; those of inner archives count as well."""
    data = archive({f"{number}": b"" for number in range(10)})
    assert refusal(ZIP, data, archive=tight(entries=10)) is None
    assert refusal(ZIP, data, archive=tight(entries=9)) == "upload_archive"
    outer = archive({"a.zip": data, "b": b""})
    assert refusal(ZIP, outer, archive=tight(entries=12)) is None
    assert refusal(ZIP, outer, archive=tight(entries=11)) == "upload_archive"


def test_archive_is_checked_by_call() -> None:
    """The same holds for an archive that came another way."""
    with pytest.raises(UploadRefusedError) as refused:
        validate_archive(io.BytesIO(PLAIN), limits=ArchiveLimits(size=3))
    assert refused.value.rule == "upload_archive"
