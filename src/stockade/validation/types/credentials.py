"""Define what proves who somebody is: `Password` and `Token`, both kept out of sight."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import SecretStr
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stockade.validation.bounds import BOUNDED
from stockade.validation.errors import LooseSchemaError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

# The characters of a bearer token, which hold all of base64, base64url, hex and JWTs.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class PasswordFormat:
    """A password of bounded length, kept as it is and out of sight.

    Args:
        min_length: In characters (NIST SP 800-63B-4, section 3.1.1.2: at least 8, better 15).
        max_bytes: In UTF-8; bcrypt reads no more than 72.

    Raises:
        LooseSchemaError: It is put on something else than a ``SecretStr``.
    """

    min_length: int = 8
    max_bytes: int = 72

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        _require_secret(source, type(self).__name__)
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

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # JSON Schema counts characters, of which there are never more than bytes.
        return {"minLength": self.min_length, "maxLength": self.max_bytes, **handler(schema)}


@dataclass(frozen=True, slots=True)
class TokenFormat:
    """An opaque token in the characters that an ``Authorization`` header takes, out of sight.

    Its form says nothing about whether it is genuine. Compare it with `hmac.compare_digest`, or
    look it up by its hash.

    Args:
        min_length: In characters; 16 of base64url have 96 bits.
        max_length: In characters.

    Raises:
        LooseSchemaError: It is put on something else than a ``SecretStr``.

    Source: RFC 6750, section 2.1 (``b64token``).
    """

    min_length: int = 16
    max_length: int = 512

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        _require_secret(source, type(self).__name__)
        return core_schema.no_info_after_validator_function(
            self._check, handler(source), metadata={BOUNDED: True}
        )

    def _check(self, token: SecretStr) -> SecretStr:
        value = token.get_secret_value()
        # The length first, so that no more than that is ever searched.
        fits = self.min_length <= len(value) <= self.max_length and _TOKEN.fullmatch(value)
        if not fits:
            limits = {"min_length": self.min_length, "max_length": self.max_length}
            raise PydanticCustomError("token", "Value is not a token", limits)
        return token

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"minLength": self.min_length, "maxLength": self.max_length, **handler(schema)}


def _require_secret(source: Any, name: str) -> None:  # noqa: ANN401 - any annotation
    if not (isinstance(source, type) and issubclass(source, SecretStr)):
        message = f"{name} belongs on a SecretStr, so that the value is never shown"
        raise LooseSchemaError(message)


def _bytes_of(value: str) -> int:
    # A lone surrogate has three bytes here and is refused as a string elsewhere.
    return len(value.encode("utf-8", "surrogatepass"))


Password: TypeAlias = Annotated[SecretStr, PasswordFormat()]
"""A password of at least 8 characters and at most 72 bytes."""

Token: TypeAlias = Annotated[SecretStr, TokenFormat()]
"""An opaque token of 16 to 512 characters, such as an API key or a link's one-time code."""
