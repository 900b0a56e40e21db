"""Name the ways in which a field and its column differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MismatchKind(StrEnum):
    """Ways in which a field and its column differ."""

    TOO_LONG = "too_long"
    OUT_OF_RANGE = "out_of_range"
    TOO_PRECISE = "too_precise"
    NULLABLE = "nullable"
    AWARE = "aware"
    NAIVE = "naive"
    UNKNOWN_MEMBER = "unknown_member"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_COLUMN = "unknown_column"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that a column can't hold.

    Args:
        kind: What kind of thing.
        detail: What the field takes, and what the column holds.
        hint: The line to write.
        inside: Where in the value, such as ``[]`` for what is in a list.
    """

    kind: MismatchKind
    detail: str
    hint: str
    inside: str = ""
