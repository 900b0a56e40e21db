"""Say how much work and memory a file may cost whoever reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from stockade.validation.uploads.errors import UploadRuleError

_SIZE: Final = re.compile(r"([1-9][0-9]{0,8}) ?(B|KB|KiB|MB|MiB|GB|GiB)")
_UNITS: Final = {
    "B": 1,
    "KB": 1_000,
    "KiB": 1_024,
    "MB": 1_000_000,
    "MiB": 1_024**2,
    "GB": 1_000_000_000,
    "GiB": 1_024**3,
}


def parse_size(size: int | str) -> int:
    """Return a size in bytes.

    Args:
        size: Bytes, or a whole number with a unit: ``"2 MB"`` (1,000 based) or ``"2 MiB"``.

    Raises:
        UploadRuleError: It is neither, or not positive.
    """
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is not None:
            return int(match[1]) * _UNITS[match[2]]
    elif size > 0:
        return size
    raise UploadRuleError(f"{size!r} is no size: write bytes, or such as '2 MB' or '512 KiB'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """How much an image may hold once it is decoded.

    Args:
        pixels: Most pixels, of all frames together. A pixel takes four bytes of memory.
        frames: Most frames of an animation.

    Raises:
        UploadRuleError: A limit is not positive.

    Source: ASVS 5.0 V5.2.6; CWE-409.
    """

    pixels: int = 50_000_000
    frames: int = 500

    def __post_init__(self) -> None:
        _require_positive("ImageLimits", pixels=self.pixels, frames=self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """How much a ZIP archive may hold once it is unpacked, archives in it included.

    Args:
        entries: Most files and folders.
        size: Most bytes of all entries together.
        ratio: Most bytes that one byte of the archive may become, beyond a first 10 MB.
        depth: Most levels of archives within each other.

    Raises:
        UploadRuleError: A limit is not positive.

    Source: ASVS 5.0 V5.2.3; CWE-409.
    """

    entries: int = 10_000
    size: int = 200_000_000
    ratio: int = 100
    depth: int = 2

    def __post_init__(self) -> None:
        _require_positive(
            "ArchiveLimits",
            entries=self.entries,
            size=self.size,
            ratio=self.ratio,
            depth=self.depth,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentBounds:
    """What the check of a content has to keep to.

    Args:
        image: For images.
        archive: For ZIP archives and what is built on them.
        exact: Whether nothing may stand behind an image; what re-encodes it drops that anyway.
    """

    image: ImageLimits = field(default_factory=ImageLimits)
    archive: ArchiveLimits = field(default_factory=ArchiveLimits)
    exact: bool = True


def _require_positive(owner: str, **limits: int) -> None:
    for name, value in limits.items():
        if value < 1:
            raise UploadRuleError(f"{owner} needs a positive {name}, not {value}")
