"""Decode an image and write it anew, so that nothing but its pixels is left.

Source: ASVS 5.0 V5.2.6 (pixels are counted before decoding); CWE-200 (places and names in EXIF);
CWE-434 (what hides in or behind an image).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from stockade.validation.uploads.content import Content
from stockade.validation.uploads.errors import UploadRefusedError, UploadRuleError
from stockade.validation.uploads.kinds import kind_of
from stockade.validation.uploads.limits import ContentBounds, ImageLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

_FORMATS: Final = {
    "image/avif": "AVIF",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
}
_ANIMATED: Final = frozenset({"GIF", "PNG", "WEBP"})
_OPTIONS: Final[dict[str, dict[str, int | bool]]] = {
    "AVIF": {"quality": 80},
    "GIF": {"disposal": 2},
    "JPEG": {"quality": 90, "progressive": True},
    "PNG": {"compress_level": 4},
    "WEBP": {"quality": 90, "method": 4},
}
_GREY: Final = frozenset({"1", "L"})
_DEEP: Final = frozenset({"F", "I", "I;16", "I;16B", "I;16L"})
_SEE_THROUGH: Final = frozenset({"LA", "La", "P", "PA", "RGBA", "RGBa"})
_TOO_LARGE: Final = "upload_image_too_large"


class ImageEncoder(Protocol):
    """Writes images anew. It is called in a worker thread."""

    def encode(self, file: BinaryIO, media_type: str, limits: ImageLimits) -> bytes:
        """Return the pixels of an image as a new file of the same type, and nothing else of it.

        Args:
            file: Open for reading, at its start; its structure has been checked already.
            media_type: Type that the content has.
            limits: How much it may hold once it is decoded.

        Raises:
            UploadRefusedError: It can't be decoded, or holds more than it may.
        """
        ...


def is_image(media_type: str) -> bool:
    """Tell whether files of a type are written anew."""
    return media_type in _FORMATS


class PillowEncoder:
    """Write images anew with Pillow.

    A photo is turned as its EXIF says. Metadata, colour profiles, comments and thumbnails are not
    taken over: colours of a wide profile become those of sRGB with the same numbers.

    Raises:
        UploadRuleError: Pillow is not installed.
    """

    def __init__(self) -> None:
        try:
            import PIL  # noqa: F401, PLC0415 - an extra, asked for when it is needed
        except ModuleNotFoundError as error:
            message = "images are re-encoded with Pillow: pip install 'stockade[images]'"
            raise UploadRuleError(message) from error

    def encode(self, file: BinaryIO, media_type: str, limits: ImageLimits) -> bytes:
        """Return a new file with the pixels of an image; see `ImageEncoder`."""
        try:
            return _encode(file, _FORMATS[media_type], limits)
        except UploadRefusedError:
            raise
        except Exception:  # noqa: BLE001 - decoders raise whatever their authors did not think of
            raise UploadRefusedError("upload_malformed") from None


def reencode_image(
    image: bytes | BinaryIO, media_type: str, *, limits: ImageLimits | None = None
) -> bytes:
    """Check an image and return a new file of the same type that holds its pixels alone.

    It decodes and encodes, which takes seconds for a large image: call it in a worker thread.

    Args:
        image: The file, or what is in it.
        media_type: What it has to be: one of PNG, JPEG, GIF, WebP and AVIF.
        limits: How much it may hold once it is decoded.

    Raises:
        UploadRefusedError: It is no such image, or a damaged or too large one.
        UploadRuleError: The type is no image of pixels, or Pillow is not installed.
    """
    if not is_image(media_type):
        raise UploadRuleError(f"{media_type} can't be re-encoded: take {', '.join(_FORMATS)}")
    encoder = PillowEncoder()
    file = io.BytesIO(image) if isinstance(image, bytes) else image
    bounds = ContentBounds(image=ImageLimits() if limits is None else limits, exact=False)
    kind_of(media_type).check(Content(file, file.seek(0, 2)), bounds)
    file.seek(0)
    return encoder.encode(file, media_type, bounds.image)


def _encode(file: BinaryIO, form: str, limits: ImageLimits) -> bytes:
    from PIL import Image  # noqa: PLC0415 - as in PillowEncoder

    # One decoder alone: what another would see in these bytes is not tried.
    with Image.open(file, formats=[form]) as image:
        _require_size(image, 1, limits)
        plain = list(_frames(image, limits)) if form in _ANIMATED else [_still(image)]
        options = dict(_OPTIONS[form])
        out = io.BytesIO()
        if len(plain) == 1:
            options.pop("disposal", None)
            plain[0][0].save(out, form, **options)
            return out.getvalue()
        first, *rest = (frame for frame, _ in plain)
        durations = [duration for _, duration in plain]
        repeats = image.info.get("loop", 0)
        first.save(
            out,
            form,
            save_all=True,
            append_images=rest,
            duration=durations,
            loop=repeats if isinstance(repeats, int) else 0,
            **options,
        )
        return out.getvalue()


def _require_size(image: Image.Image, frames: int, limits: ImageLimits) -> None:
    area = image.width * image.height
    if frames > limits.frames or area * frames > limits.pixels:
        raise UploadRefusedError(_TOO_LARGE)


def _still(image: Image.Image) -> tuple[Image.Image, int]:
    from PIL import ImageOps  # noqa: PLC0415 - as in PillowEncoder

    return _plain(ImageOps.exif_transpose(image)), 0


def _frames(image: Image.Image, limits: ImageLimits) -> Iterator[tuple[Image.Image, int]]:
    from PIL import ImageSequence  # noqa: PLC0415 - as in PillowEncoder

    if getattr(image, "n_frames", 1) == 1:
        yield _still(image)
        return
    for number, frame in enumerate(ImageSequence.Iterator(image), start=1):
        _require_size(frame, number, limits)
        plain = _plain(frame.convert("RGBA"))
        # Some decoders know it only once the frame is decoded.
        yield plain, int(frame.info.get("duration", 0))


def _plain(image: Image.Image) -> Image.Image:
    """Copy the pixels alone, in a mode that every format writes."""
    if image.mode in _DEEP:
        result = image.convert("I").point(lambda value: value / 256).convert("L")
    elif image.mode in _SEE_THROUGH or "transparency" in image.info:
        result = image.convert("RGBA")
    else:
        result = image.convert("L" if image.mode in _GREY else "RGB")
    # Formats write what they find in here: profiles, comments, EXIF.
    result.info.clear()
    result.getexif().clear()
    return result
