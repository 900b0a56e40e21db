"""Offer field types for the kinds of text that requests carry.

Each is an ``Annotated`` alias, so that plain habits work: ``title: Line = Field(max_length=80)``.
Each accepts a value as it is or refuses it; none trims, folds case or normalises.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import SecretStr
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stockade.validation.bounds import BOUNDED
from stockade.validation.errors import LooseSchemaError
from stockade.validation.strictness import CHECKED

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

# Controls (C0, C1, DEL) and the Unicode line breaks.
_CONTROLS: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# Directional embeddings, overrides and isolates can show a line as another one (CVE-2021-42574).
_DIRECTIONS: Final = r"\u202a-\u202e\u2066-\u2069"
# In several lines, isolates are how right-to-left writers mix scripts; overrides are not.
_OVERRIDES: Final = r"\u202d\u202e"


@dataclass(frozen=True, slots=True)
class TextFormat:
    """An allow-list for a string, and its default maximum length.

    The pattern runs in Rust's engine whatever the model says: there ``$`` is the very end, and no
    pattern backtracks (CWE-1333).

    Args:
        pattern: Has to match the whole value, from ``^`` to ``$``.
        max_length: In characters; a field may set another with ``Field(max_length=...)``.
        min_length: In characters.

    Raises:
        LooseSchemaError: It is put on something else than a ``str``.
    """

    pattern: str
    max_length: int
    min_length: int = 0

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = _string(handler(source), type(self).__name__)
        schema.setdefault("max_length", self.max_length)
        if self.min_length:
            schema["min_length"] = max(self.min_length, schema.get("min_length", 0))
        # Always a chain: on a bare string, a pattern that the field adds later would replace ours.
        if "pattern" in schema:
            ours = core_schema.str_schema(pattern=self.pattern, regex_engine="rust-regex")
            return core_schema.chain_schema([schema, ours])
        schema["pattern"] = self.pattern
        schema["regex_engine"] = "rust-regex"
        # No pattern of ours lets a NUL through, so that a Schema need not look again.
        schema["metadata"] = {**schema.get("metadata", {}), CHECKED: True}
        return core_schema.chain_schema([schema])


@dataclass(frozen=True, slots=True)
class EmailFormat:
    """An e-mail address by its form; nothing is looked up.

    Source: RFC 5321, section 4.5.3.1 (length); RFC 5322 and RFC 6531 by way of email-validator.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = _string(handler(source), type(self).__name__)
        schema.setdefault("max_length", _MAX_EMAIL)
        return core_schema.no_info_after_validator_function(_check_email, schema)


@dataclass(frozen=True, slots=True)
class PasswordFormat:
    """A password of bounded length, kept as it is and out of sight.

    Args:
        min_length: In characters (NIST SP 800-63B-4, section 3.1.1.2: at least 8, better 15).
        max_bytes: In UTF-8; bcrypt reads no more than 72.
    """

    min_length: int = 8
    max_bytes: int = 72

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._check, handler(source), metadata={BOUNDED: True}
        )

    def _check(self, password: SecretStr) -> SecretStr:
        value = password.get_secret_value()
        if len(value) < self.min_length:
            raise PydanticCustomError(
                "password_too_short", "Password is too short", {"min_length": self.min_length}
            )
        # Characters first: encoding a value of any length costs memory.
        if len(value) > self.max_bytes or _bytes_of(value) > self.max_bytes:
            raise PydanticCustomError(
                "password_too_long", "Password is too long", {"max_bytes": self.max_bytes}
            )
        if "\0" in value:
            # C code ends there: the rest would not count.
            raise PydanticCustomError("password_characters", "Password has a NUL character")
        return password


@dataclass(frozen=True, slots=True)
class CanonicalUUID:
    """A UUID in its one canonical spelling, so that equal identifiers are equal strings.

    Source: RFC 9562, section 4.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_check_uuid, handler(source))


_MAX_EMAIL: Final = 254
_CANONICAL_UUID: Final = re.compile(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
)


def _string(schema: Any, name: str) -> core_schema.StringSchema:  # noqa: ANN401 - a core schema
    if schema["type"] != "str":
        message = f"{name} belongs on a str, not on a schema of type {schema['type']!r}"
        raise LooseSchemaError(message)
    string: core_schema.StringSchema = schema
    return string


def _check_email(value: str) -> str:
    try:
        validate_email(value, check_deliverability=False)
    except EmailNotValidError:
        raise PydanticCustomError("email", "Value is not an e-mail address") from None
    if not unicodedata.is_normalized("NFC", value):
        # Two spellings of one address would be two accounts.
        raise PydanticCustomError("email", "Value is not an e-mail address")
    return value


def _bytes_of(value: str) -> int:
    # A lone surrogate has three bytes here and is refused as a string elsewhere.
    return len(value.encode("utf-8", "surrogatepass"))


def _check_uuid(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    if isinstance(value, UUID) or (isinstance(value, str) and _CANONICAL_UUID.fullmatch(value)):
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

Line: TypeAlias = Annotated[
    str, TextFormat(rf"^[^{_CONTROLS}\t\n\r\u2028\u2029{_DIRECTIONS}]*$", 255)
]
"""One line of text: no line break, no control character, nothing that turns its direction."""

Text: TypeAlias = Annotated[str, TextFormat(rf"^(?:[^{_CONTROLS}\r{_OVERRIDES}]|\r\n)*$", 10_000)]
"""Text of several lines: no control characters but tab and line breaks."""

EmailAddress: TypeAlias = Annotated[str, EmailFormat()]
"""An e-mail address of at most 254 characters."""

Password: TypeAlias = Annotated[SecretStr, PasswordFormat()]
"""A password of at least 8 characters and at most 72 bytes."""

UUIDIdentifier: TypeAlias = Annotated[UUID, CanonicalUUID()]
"""A UUID in its canonical spelling."""
