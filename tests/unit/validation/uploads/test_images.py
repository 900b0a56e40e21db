"""Images are whole, nothing else besides, and not larger than they may be."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from tests.unit.validation.uploads.files import (
    IMAGES,
    PNG_START,
    archive,
    box,
    chunk,
    gif,
    image,
    png,
    refusal,
    small,
)

PAYLOAD = b"<?php system($_GET[0]); ?><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("form", "media_type", "options"),
    [
        ("PNG", "image/png", {}),
        ("PNG", "image/png", {"optimize": True, "dpi": (72, 72)}),
        ("JPEG", "image/jpeg", {}),
        ("JPEG", "image/jpeg", {"progressive": True, "quality": 30}),
        ("JPEG", "image/jpeg", {"exif": Image.Exif()}),
        ("WEBP", "image/webp", {}),
        ("WEBP", "image/webp", {"lossless": True}),
        ("WEBP", "image/webp", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        ("GIF", "image/gif", {}),
        ("GIF", "image/gif", {"comment": b"x" * 1000}),
        ("AVIF", "image/avif", {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(1, 1), (8, 6), (33, 77), (300, 200)], ids=str)
def test_image_of_an_encoder_is_taken(
    form: str, media_type: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    """What a real encoder writes passes, of any size."""
    assert refusal(media_type, image(form, size, **options)) is None


@pytest.mark.parametrize(
    ("form", "media_type"),
    [("PNG", "image/png"), ("WEBP", "image/webp"), ("GIF", "image/gif")],
)
def test_frames_are_counted(form: str, media_type: str) -> None:
    """An animation passes with as many frames as may be, and not with one more."""
    assert refusal(media_type, image(form, frames=4), image=small(frames=4)) is None
    rule = refusal(media_type, image(form, frames=5), image=small(frames=4))
    assert rule == "upload_image_too_large"


def test_gif_of_ten_thousand_frames_is_refused() -> None:
    """A small file can't ask for the memory of ten thousand pictures."""
    data = gif(10_000)
    assert len(data) < 200_000
    assert refusal("image/gif", data) == "upload_image_too_large"


def test_pixels_of_all_frames_count() -> None:
    """Many frames of a small picture are as costly as a large one."""
    assert refusal("image/gif", gif(3), image=small(pixels=12)) is None
    assert refusal("image/gif", gif(3), image=small(pixels=11)) == "upload_image_too_large"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_pixels_are_counted(form: str) -> None:
    """The limit holds to the pixel."""
    data, media_type = image(form, (100, 50)), f"image/{form.lower()}"
    assert refusal(media_type, data, image=small(pixels=5_000)) is None
    assert refusal(media_type, data, image=small(pixels=4_999)) == "upload_image_too_large"


def test_png_bomb_is_refused_undecoded() -> None:
    """The header alone says what it would cost: here 40 GB."""
    assert refusal("image/png", png(100_000, 100_000)) == "upload_image_too_large"


def test_apng_that_understates_its_frames_is_refused() -> None:
    """The frames that are there count, not those that are announced."""
    control = chunk(b"fcTL", b"\0" * 26)
    data = png(2, 2, chunk(b"acTL", struct.pack(">II", 1, 0)), *[control] * 5)
    assert refusal("image/png", data, image=small(frames=4)) == "upload_image_too_large"


def test_apng_that_announces_too_much_is_refused() -> None:
    """A reader may believe the announcement."""
    data = png(2, 2, chunk(b"acTL", struct.pack(">II", 10_000, 0)))
    assert refusal("image/png", data) == "upload_image_too_large"


def test_gif_frame_outside_of_its_canvas_counts() -> None:
    """A decoder would grow the canvas."""
    data = gif().replace(
        b"\x2c" + struct.pack("<HHHH", 0, 0, 2, 2),
        b"\x2c" + struct.pack("<HHHH", 60_000, 60_000, 5_000, 5_000),
    )
    assert refusal("image/gif", data) == "upload_image_too_large"


def test_jpeg_with_two_sizes_is_refused() -> None:
    """Readers would not agree on which one holds."""
    data = image("JPEG")
    at = data.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", data, at + 2)
    header = data[at : at + 2 + length]
    assert refusal("image/jpeg", data[:at] + header + data[at:]) == "upload_malformed"


def test_jpeg_without_a_height_is_refused() -> None:
    """Its height would come behind the picture."""
    data = bytearray(image("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 7] = b"\0\0"
    assert refusal("image/jpeg", bytes(data)) == "upload_malformed"


def test_further_jpegs_may_follow() -> None:
    """Cameras put a preview or a gain map behind the picture."""
    assert refusal("image/jpeg", image("JPEG") + image("JPEG", (4, 4))) is None


@pytest.mark.parametrize("media_type", IMAGES)
def test_archive_behind_an_image_is_refused(media_type: str) -> None:
    """The oldest of polyglots, an image that is also an archive (GIFAR)."""
    data = IMAGES[media_type] + archive({"Main.class": b"\xca\xfe\xba\xbe"})
    assert refusal(media_type, data) == "upload_malformed"


@pytest.mark.parametrize("media_type", sorted(set(IMAGES) - {"image/avif"}))
def test_what_stands_behind_is_no_matter_to_an_encoder(media_type: str) -> None:
    """Where the image is written anew, a video behind a photo of a phone is dropped anyway."""
    assert refusal(media_type, IMAGES[media_type] + PAYLOAD, exact=False) is None


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/gif"])
def test_zeros_may_fill_up(media_type: str) -> None:
    """Some encoders fill up a block."""
    assert refusal(media_type, IMAGES[media_type] + b"\0" * 100) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a<script>alert(1)</script>",
        b"GIF89a/*\0\0\0\0\0*/=1;alert(1)//;",
        gif()[:-1] + PAYLOAD + b"\x3b",
    ],
    ids=["page", "script", "in front of the end"],
)
def test_script_as_a_gif_is_refused(data: bytes) -> None:
    """The six bytes that a script can begin with make no GIF."""
    assert refusal("image/gif", data) == "upload_malformed"


@pytest.mark.parametrize(
    "data",
    [
        PNG_START + PAYLOAD,
        PNG_START + chunk(b"IDAT", zlib.compress(b"\0" * 4)) + chunk(b"IEND", b""),
        png()[:-12] + PAYLOAD + png()[-12:],
        png().replace(b"IDAT", b"IDAX"),
        png()[:-4] + b"\0\0\0\0",
        png(0, 5),
        png(2, 2, chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))),
        png(2, 2, chunk(b"<?ph", b"")),
        PNG_START + struct.pack(">I", 0xFFFFFFF0) + b"IHDR" + b"\0" * 30,
        png()[:-12] + chunk(b"IEND", b"x"),
    ],
    ids=[
        *("signature", "no header", "between", "checksum", "last checksum", "no pixels"),
        *("two headers", "type", "length", "data at the end"),
    ],
)
def test_damaged_png_is_refused(data: bytes) -> None:
    """Each chunk has a plain type and its checksum, and the header comes first and once."""
    assert refusal("image/png", data) == "upload_malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff" + PAYLOAD,
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\x00\x01" + b"\0" * 20,
        image("JPEG")[:-2],
        image("JPEG")[:-2] + PAYLOAD,
    ],
    ids=["signature", "nothing in it", "length", "cut", "no end"],
)
def test_damaged_jpeg_is_refused(data: bytes) -> None:
    """A JPEG has a size, a scan and an end."""
    assert refusal("image/jpeg", data) == "upload_malformed"


def test_webp_with_two_pictures_is_refused() -> None:
    """Readers would not agree on which one to show."""
    data = image("WEBP")
    body = data[12:] * 2
    doubled = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    assert refusal("image/webp", doubled) == "upload_malformed"


def test_sequence_of_avif_is_refused() -> None:
    """Its frames are counted nowhere in reach."""
    assert refusal("image/avif", IMAGES["image/avif"] + box(b"moov")) == "upload_malformed"


def test_file_cut_into_millions_of_pieces_is_refused() -> None:
    """The walk ends although each piece is fine."""
    head = gif()[:-1]
    data = head + b"\x21\xfe" + b"\x01x" * 1_100_000 + b"\0\x3b"
    assert refusal("image/gif", data) == "upload_malformed"
