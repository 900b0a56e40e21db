"""A re-encoded image is its pixels, and nothing that came with them."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from stockade.errors import ConfigurationError
from stockade.validation.uploads import ImageLimits, UploadRefusedError, reencode_image
from stockade.validation.uploads.reencoding import PillowEncoder
from tests.unit.validation.uploads.files import IMAGES, chunk, image, png, refusal

SECRET = b"48.8584N 2.2945E"
FORMS = ["PNG", "JPEG", "WEBP", "GIF", "AVIF"]


def opened(data: bytes) -> Image.Image:
    """Open an image."""
    return Image.open(io.BytesIO(data))


def with_metadata(form: str) -> bytes:
    """Make an image that tells a place in each way its format has."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    options: dict[str, Any] = {"exif": exif, "icc_profile": SECRET * 20}
    if form == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", SECRET.decode())
        info.add_itxt("XML:com.adobe.xmp", SECRET.decode())
        options["pnginfo"] = info
    if form in {"WEBP", "JPEG", "AVIF"}:
        options["xmp"] = SECRET
    if form in {"JPEG", "GIF"}:
        options["comment"] = SECRET
    if form == "GIF":
        options = {"comment": SECRET}
    return image(form, **options)


@pytest.mark.parametrize("form", FORMS)
def test_metadata_is_gone(form: str) -> None:
    """No place, no name, no profile, no comment is left."""
    data = with_metadata(form)
    assert SECRET in data
    result = reencode_image(data, f"image/{form.lower()}")
    assert SECRET not in result
    with opened(result) as read:
        assert read.format == form
        assert read.size == (8, 6)
        assert not read.getexif()
        assert not {"comment", "exif", "icc_profile", "xmp"} & set(read.info)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_what_stands_behind_is_gone(form: str) -> None:
    """A program behind a picture does not come along."""
    data = image(form) + b"<?php system($_GET[0]);"
    result = reencode_image(data, f"image/{form.lower()}")
    assert b"<?php" not in result
    assert refusal(f"image/{form.lower()}", result) is None


@pytest.mark.parametrize("media_type", IMAGES)
def test_result_passes_the_check(media_type: str) -> None:
    """What comes out is what may come in, and coming in again it stays of its size."""
    once = reencode_image(IMAGES[media_type], media_type)
    assert refusal(media_type, once) is None
    with opened(once) as first, opened(reencode_image(once, media_type)) as second:
        assert first.size == second.size


def test_pixels_stay_the_same() -> None:
    """A lossless format loses nothing."""
    picture = Image.effect_noise((40, 30), 50).convert("RGB")
    out = io.BytesIO()
    picture.save(out, "PNG")
    with opened(reencode_image(out.getvalue(), "image/png")) as read:
        assert read.tobytes() == picture.tobytes()


def test_photo_is_turned_before_its_metadata_go() -> None:
    """Without the tag that says how it was held, it would lie on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = image("JPEG", (8, 6), exif=exif)
    with opened(reencode_image(data, "image/jpeg")) as read:
        assert read.size == (6, 8)


@pytest.mark.parametrize(
    ("mode", "form", "expected"),
    [
        ("1", "PNG", "L"),
        ("L", "PNG", "L"),
        ("LA", "PNG", "RGBA"),
        ("P", "PNG", "RGBA"),
        ("RGBA", "PNG", "RGBA"),
        ("I;16", "PNG", "L"),
        ("CMYK", "JPEG", "RGB"),
        ("L", "JPEG", "L"),
        ("RGBA", "WEBP", "RGBA"),
    ],
)
def test_every_mode_is_written(mode: str, form: str, expected: str) -> None:
    """Whatever a format stores is turned into what every reader shows."""
    out = io.BytesIO()
    Image.new(mode, (5, 4)).save(out, form)
    with opened(reencode_image(out.getvalue(), f"image/{form.lower()}")) as read:
        assert read.mode == expected


def test_deep_grey_keeps_its_shades() -> None:
    """Sixteen bits become eight, not all white."""
    picture = Image.new("I;16", (2, 1))
    picture.putpixel((0, 0), 0x8000)
    out = io.BytesIO()
    picture.save(out, "PNG")
    with opened(reencode_image(out.getvalue(), "image/png")) as read:
        assert (read.getpixel((0, 0)), read.getpixel((1, 0))) == (0x80, 0)


def test_see_through_colour_stays() -> None:
    """One colour of a palette may be none."""
    out = io.BytesIO()
    Image.new("RGB", (2, 2), (1, 2, 3)).save(out, "PNG", transparency=(1, 2, 3))
    with opened(reencode_image(out.getvalue(), "image/png")) as read:
        assert read.getpixel((0, 0)) == (1, 2, 3, 0)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_animation_stays_one(form: str) -> None:
    """Frames and their durations are kept."""
    data = image(form, frames=3, loop=2)
    with opened(reencode_image(data, f"image/{form.lower()}")) as read:
        assert getattr(read, "n_frames", 1) == 3
        read.seek(1)
        read.load()
        assert read.info["duration"] == 50


def test_frames_and_pixels_are_counted_before_decoding() -> None:
    """The limits are those of the upload."""
    for data in (image("GIF", frames=5), image("GIF", (50, 50))):
        with pytest.raises(UploadRefusedError) as refused:
            reencode_image(data, "image/gif", limits=ImageLimits(frames=4, pixels=2_499))
        assert refused.value.rule == "upload_image_too_large"


@pytest.mark.parametrize(
    "data",
    [
        png(100, 100, chunk(b"tEXt", b"x"))[:-30],
        png().replace(zlib.compress((b"\0" + b"\1\2\3" * 2) * 2), b"\x78\x9c" + b"\xff" * 20),
        png(200, 200),
        b"",
        b"<svg onload=alert(1)>",
        image("JPEG"),
    ],
    ids=["cut", "no data", "too little data", "empty", "SVG", "another format"],
)
def test_damaged_image_is_refused(data: bytes) -> None:
    """Half a picture is no picture, and no error of the decoder gets out."""
    with pytest.raises(UploadRefusedError):
        reencode_image(data, "image/png")


def test_decoder_is_asked_for_its_format_alone() -> None:
    """Bytes of a format that is not allowed reach no decoder, even past the check."""
    for form in ("TIFF", "BMP", "ICO", "PPM", "EPS"):
        data = image(form)
        with pytest.raises(UploadRefusedError) as refused:
            PillowEncoder().encode(io.BytesIO(data), "image/png", ImageLimits())
        assert refused.value.rule == "upload_malformed"


def test_text_bomb_in_a_png_is_refused() -> None:
    """Compressed comments are bounded as well."""
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 100_000_000))
    with pytest.raises(UploadRefusedError):
        reencode_image(png(2, 2, bomb), "image/png")


def test_pixels_that_the_header_hides_are_counted_again() -> None:
    """The encoder trusts no check before it."""
    bomb = image("PNG", (100, 100))
    with pytest.raises(UploadRefusedError) as refused:
        PillowEncoder().encode(io.BytesIO(bomb), "image/png", ImageLimits(pixels=9_999))
    assert refused.value.rule == "upload_image_too_large"


@pytest.mark.parametrize("pixels", [(10_000, 10_000), (20_000, 20_000)], ids=str)
def test_decompression_bomb_is_refused(pixels: tuple[int, int]) -> None:
    """Pillow's own warning and error end the same way."""
    header = struct.pack(">IIBBBBB", *pixels, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(UploadRefusedError):
        PillowEncoder().encode(io.BytesIO(data), "image/png", ImageLimits())


@pytest.mark.parametrize("media_type", ["image/svg+xml", "application/pdf", "image/tiff", ""])
def test_other_types_can_not_be_re_encoded(media_type: str) -> None:
    """A document is no image of pixels."""
    with pytest.raises(ConfigurationError):
        reencode_image(b"", media_type)


def test_missing_pillow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error names it."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigurationError, match=r"stockade\[images\]"):
        PillowEncoder()
