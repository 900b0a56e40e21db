"""A file is taken when its name, its header and its content say the same."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

import pytest

from stockade.validation.uploads import ContentBounds, ImageLimits, UploadRefusedError
from stockade.validation.uploads.kinds import kind_of
from stockade.validation.uploads.rules import UploadRules
from tests.unit.validation.uploads.files import IMAGES, archive, pdf, png

RULES = UploadRules(
    kinds=(kind_of("image/png"), kind_of("image/jpeg"), kind_of("text/csv")), max_size=100_000
)


class Fixed:
    """Encodes everything to the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.seen: list[tuple[int, str, ImageLimits]] = []

    def encode(self, file: BinaryIO, media_type: str, limits: ImageLimits) -> bytes:
        self.seen.append((file.tell(), media_type, limits))
        return self.data


def decide(name: str | None, declared: str | None, size: int = 10) -> str:
    """Return the type that is decided on, or the rule that is broken."""
    try:
        return RULES.decide(name, declared, size).media_type
    except UploadRefusedError as error:
        return error.rule


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("a.png", "image/png", "image/png"),
        ("A.PNG", "Image/PNG", "image/png"),
        ("a.png", 'image/png; name="x"', "image/png"),
        ("a.jpeg", "image/jpeg", "image/jpeg"),
        ("a.jpg", "image/pjpeg", "image/jpeg"),
        ("a.csv", "application/vnd.ms-excel", "text/csv"),
        ("a.tar.png", "image/png", "image/png"),
    ],
)
def test_name_and_header_agree(name: str, declared: str, expected: str) -> None:
    """Both name the same type, in any of its spellings."""
    assert decide(name, declared) == expected


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("a.png", "image/jpeg"),
        ("a.jpg", "image/png"),
        ("a.csv", "image/png"),
        ("a.gif", "image/gif"),
        ("a.pdf", "application/pdf"),
        ("a.png", "application/octet-stream"),
        ("a.png", "image/*"),
        ("a.png", ""),
        ("a.png", None),
        ("a", "image/png"),
        ("png", "image/png"),
        ("a.png.gif", "image/png"),
        ("a.csv", "text/html"),
        ("a.png", "image/png, text/html"),
        ("a.pn\u0261", "image/png"),
    ],
)
def test_name_and_header_that_differ_are_refused(name: str, declared: str | None) -> None:
    """Neither of the two is believed alone, and nothing is guessed."""
    assert decide(name, declared) == "upload_type"


@pytest.mark.parametrize("name", [None, "", "../a.png", "a\0.png", "a.php.png"])
def test_name_that_is_not_plain_is_refused(name: str | None) -> None:
    """The name comes before the type."""
    assert decide(name, "image/png") == "upload_name"


def test_size_holds_to_the_byte() -> None:
    """A file may be as large as it may be."""
    assert decide("a.png", "image/png", 100_000) == "image/png"
    assert decide("a.png", "image/png", 100_001) == "upload_too_large"


def test_empty_file_is_refused_unless_it_may_be() -> None:
    """No bytes are no image, where nobody has said so."""
    assert decide("a.png", "image/png", 0) == "upload_empty"
    rules = UploadRules(kinds=RULES.kinds, max_size=10, allow_empty=True)
    kind = rules.decide("a.png", "image/png", 0)
    assert rules.inspect(kind, io.BytesIO(), 0) is None


@pytest.mark.parametrize("data", [pdf(), archive({"a": "x"}), IMAGES["image/jpeg"], b"\x7fELF"])
def test_content_of_another_type_is_refused(data: bytes) -> None:
    """What name and header claim, the content has to prove."""
    kind = RULES.decide("a.png", "image/png", len(data))
    with pytest.raises(UploadRefusedError) as refused:
        RULES.inspect(kind, io.BytesIO(data), len(data))
    assert refused.value.rule == "upload_type"


def test_file_stands_at_its_start_afterwards() -> None:
    """Whoever reads it next reads all of it."""
    file = io.BytesIO(png())
    RULES.inspect(kind_of("image/png"), file, len(png()))
    assert file.tell() == 0


def test_archive_in_a_comment_is_found() -> None:
    """A PNG whose last private chunk is an archive is one to readers that search the end."""
    hidden = archive({"a": "x"})
    data = png()
    end = data[-12:]
    chunked = len(hidden).to_bytes(4, "big") + b"ziPp" + hidden
    chunked += zlib.crc32(chunked[4:]).to_bytes(4, "big")
    data = data[:-12] + chunked + end
    with pytest.raises(UploadRefusedError) as refused:
        RULES.inspect(kind_of("image/png"), io.BytesIO(data), len(data))
    assert refused.value.rule == "upload_malformed"


def test_encoder_gets_the_file_and_its_limits() -> None:
    """It reads from the start, and is told what the content is."""
    encoder = Fixed(png())
    limits = ImageLimits(pixels=100)
    rules = UploadRules(
        kinds=RULES.kinds,
        max_size=1000,
        bounds=ContentBounds(image=limits),
        encoder=encoder,
    )
    file = io.BytesIO(png() + b"<?php")
    assert rules.inspect(kind_of("image/png"), file, len(file.getvalue())) == png()
    assert encoder.seen == [(0, "image/png", limits)]


def test_encoder_is_not_asked_for_what_is_no_image() -> None:
    """Text in the same field stays as it is."""
    encoder = Fixed(png())
    rules = UploadRules(kinds=RULES.kinds, max_size=1000, encoder=encoder)
    assert rules.inspect(kind_of("text/csv"), io.BytesIO(b"a,b"), 3) is None
    assert encoder.seen == []


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"<script>", "upload_type"),
        (png() + b"<script>", "upload_malformed"),
        (IMAGES["image/jpeg"], "upload_type"),
        (b"x" * 2_000, "upload_too_large"),
    ],
    ids=["page", "behind", "another type", "large"],
)
def test_work_of_an_encoder_is_proven(data: bytes, rule: str) -> None:
    """Somebody else's encoder is no reason to take what would not be taken."""
    rules = UploadRules(kinds=RULES.kinds, max_size=1000, encoder=Fixed(data))
    with pytest.raises(UploadRefusedError) as refused:
        rules.inspect(kind_of("image/png"), io.BytesIO(png()), len(png()))
    assert refused.value.rule == rule


def test_files_count_together() -> None:
    """Number and sum hold to the file and to the byte."""
    rules = UploadRules(kinds=RULES.kinds, max_size=10, max_count=3, max_total_size=20)
    rules.require_count(3)
    rules.require_total([10, 10])
    with pytest.raises(UploadRefusedError) as count:
        rules.require_count(4)
    with pytest.raises(UploadRefusedError) as total:
        rules.require_total([10, 10, 1])
    assert (count.value.rule, count.value.limit) == ("upload_too_many", 3)
    assert (total.value.rule, total.value.limit) == ("upload_total_too_large", 20)
