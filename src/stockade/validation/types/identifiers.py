"""Define what objects and accounts are named with: `Identifier`, `UUIDIdentifier` and the like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias
from uuid import UUID

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stockade.validation.types.text import TextFormat

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

_CANONICAL: Final = re.compile(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
)


@dataclass(frozen=True, slots=True)
class CanonicalUUID:
    """A UUID in its one canonical spelling, so that equal identifiers are equal strings.

    Source: RFC 9562, section 4.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_check_uuid, handler(source))


def _check_uuid(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    if isinstance(value, UUID) or (isinstance(value, str) and _CANONICAL.fullmatch(value)):
        return value
    raise PydanticCustomError("uuid_canonical", "Value is not a UUID in canonical form")


Identifier: TypeAlias = Annotated[str, TextFormat(r"^[A-Za-z0-9_-]+$", 64, 1)]
"""An opaque identifier: ASCII letters, digits, ``_`` and ``-``."""

Slug: TypeAlias = Annotated[str, TextFormat(r"^[a-z0-9]+(?:-[a-z0-9]+)*$", 64, 1)]
"""A word for a URL: lower-case ASCII letters and digits, parted by single hyphens."""

Username: TypeAlias = Annotated[
    str, TextFormat(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$", 32, 3)
]
"""A name to sign in with: ASCII, so that no two look the same."""

UUIDIdentifier: TypeAlias = Annotated[UUID, CanonicalUUID()]
"""A UUID in its canonical spelling."""
