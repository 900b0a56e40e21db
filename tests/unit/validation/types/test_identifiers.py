"""Identifiers and names of accounts have one spelling."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from stockade.validation import Identifier, Slug, Username, UUIDIdentifier

UUID_TEXT = "123e4567-e89b-42d3-a456-426614174000"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Identifier, "a"),
        (Identifier, "A_z-09"),
        (Identifier, "x" * 64),
        (Slug, "a-b-1"),
        (Username, "ada.lovelace_1"),
    ],
)
def test_values_are_accepted_as_they_are(kind: type[Any], value: str) -> None:
    """A value that fits comes back unchanged."""
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Identifier, ""),
        (Identifier, "a\n"),
        (Identifier, "a b"),
        (Identifier, " a"),
        (Identifier, "é"),
        (Identifier, "\uff41"),
        (Identifier, "\u0661"),
        (Identifier, "a/../b"),
        (Identifier, "a'--"),
        (Identifier, "a\0"),
        (Identifier, "x" * 65),
        (Slug, "A"),
        (Slug, "-a"),
        (Slug, "a--b"),
        (Slug, "a-"),
        (Username, "ab"),
        (Username, ".abc"),
        (Username, "abc."),
        (Username, "\u0430dmin"),
        (Username, "admin\u200b"),
        (Username, "x" * 33),
    ],
)
def test_values_are_refused(kind: type[Any], value: str) -> None:
    """A value that does not fit is refused, not trimmed or folded."""
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


def test_uuids_have_one_spelling() -> None:
    """Only the canonical form of a UUID is accepted."""
    adapter = TypeAdapter(UUIDIdentifier)
    assert adapter.validate_python(UUID_TEXT) == UUID(UUID_TEXT)
    assert adapter.validate_python(UUID(UUID_TEXT)) == UUID(UUID_TEXT)
    for wrong in (
        UUID_TEXT.replace("-", ""),
        f"urn:uuid:{UUID_TEXT}",
        f"{{{UUID_TEXT}}}",
        f"{UUID_TEXT}\n",
        1,
        UUID(UUID_TEXT).bytes,
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
