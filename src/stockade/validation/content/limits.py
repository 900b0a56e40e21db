"""Say how much a body may hold before anything parses it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLimits:
    """How much a body may hold; its size in bytes has a limit of its own.

    Args:
        depth: Most levels of objects and arrays within each other in JSON.
        values: Most members of objects and items of arrays in JSON, all together; an empty array
            counts as one more.
        text: Most characters of a string in JSON, and bytes of a field of a form.
        fields: Most fields of a form that are no files.
        files: Most files of a form.
    """

    depth: int = 32
    values: int = 10_000
    text: int = 1_000_000
    fields: int = 1_000
    files: int = 100
