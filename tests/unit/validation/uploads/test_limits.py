"""Sizes and limits are written plainly or refused."""

from __future__ import annotations

import pytest

from stockade.validation.uploads import ArchiveLimits, ImageLimits
from stockade.validation.uploads.errors import UploadRuleError
from stockade.validation.uploads.limits import parse_size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, 1),
        (5_000_000, 5_000_000),
        ("1 B", 1),
        ("2 MB", 2_000_000),
        ("2MB", 2_000_000),
        ("2 MiB", 2_097_152),
        ("512 KiB", 524_288),
        ("10 KB", 10_000),
        ("1 GB", 1_000_000_000),
        ("1 GiB", 1_073_741_824),
    ],
)
def test_size_is_read(size: int | str, expected: int) -> None:
    """A size is bytes, or a number with a unit."""
    assert parse_size(size) == expected


@pytest.mark.parametrize(
    "size",
    [0, -1, "", "2", "MB", "0 MB", "-1 MB", "1.5 MB", "2 mb", "2 M", "2  MB", "2 MB ", "٢ MB"],
)
def test_other_size_is_refused(size: int | str) -> None:
    """Nothing is guessed."""
    with pytest.raises(UploadRuleError):
        parse_size(size)


@pytest.mark.parametrize("name", ["pixels", "frames"])
def test_limits_of_images_are_positive(name: str) -> None:
    """Nothing fits into nothing."""
    with pytest.raises(UploadRuleError):
        ImageLimits(**{name: 0})


@pytest.mark.parametrize("name", ["entries", "size", "ratio", "depth"])
def test_limits_of_archives_are_positive(name: str) -> None:
    """Nothing fits into nothing."""
    with pytest.raises(UploadRuleError):
        ArchiveLimits(**{name: 0})
