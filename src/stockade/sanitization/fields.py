"""Declare a field as rich text: the one kind of field that is changed on its way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from stockade.sanitization.cleaning import sanitize_html
from stockade.sanitization.errors import SanitizationError, UnsafePolicyError
from stockade.sanitization.policies import HTMLPolicy, find_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler

# Key of the core schema's metadata under which the policy's name stands, for audits.
METADATA_KEY = "stockade_rich_text"


@dataclass(frozen=True, slots=True)
class Sanitize:
    """Mark a ``str`` field as rich text of some policy: ``Annotated[str, Sanitize("article")]``.

    A maximum length holds for what comes in and for what is stored. A value that fits and whose
    sanitized form does not (escaping makes text longer) is refused, not cut. Without a maximum of
    its own, the field has that of the policy.

    Args:
        policy: A policy, or the name of a registered one.

    Raises:
        UnsafePolicyError: The policy is unknown, or the field is not a ``str``; both when the
            model is defined.
    """

    policy: str | HTMLPolicy = "default"

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        policy = find_policy(self.policy)
        schema = handler(source)
        limit = bound_text(schema, policy.max_length)
        return core_schema.no_info_after_validator_function(
            _sanitizer(policy, limit), schema, metadata={METADATA_KEY: policy.name}
        )


def bound_text(schema: Any, limit: int) -> int:  # noqa: ANN401 - core schemas are typed as a union of dicts
    """Give the string of a schema a maximum length where it has none, and return the maximum.

    Raises:
        UnsafePolicyError: The schema is not that of a ``str``.
    """
    if schema["type"] in {"nullable", "default"}:
        return bound_text(schema["schema"], limit)
    if schema["type"] != "str":
        message = f"only a str can be rich text, not a schema of type {schema['type']!r}"
        raise UnsafePolicyError(message)
    known: int | None = schema.get("max_length")
    schema["max_length"] = limit if known is None else min(known, limit)
    bound: int = schema["max_length"]
    return bound


def _sanitizer(policy: HTMLPolicy, limit: int) -> Callable[[str | None], str | None]:
    def sanitize(value: str | None) -> str | None:
        try:
            cleaned = sanitize_html(value, policy)
        except SanitizationError as error:
            raise refusal(error) from None
        if cleaned is not None and len(cleaned) > limit:
            raise PydanticKnownError("string_too_long", {"max_length": limit})
        return cleaned

    return sanitize


def refusal(error: SanitizationError) -> PydanticKnownError | PydanticCustomError:
    """Return a refusal as Pydantic's own error, which becomes a line of a 422."""
    if error.limit is not None:
        return PydanticKnownError("string_too_long", {"max_length": error.limit})
    if error.reason == "sanitization.not_unicode":
        return PydanticKnownError("string_unicode")
    return PydanticCustomError("rich_text_too_complex", "Rich text is nested too deep")


RichText: TypeAlias = Annotated[str, Sanitize("default")]
"""Rich text of the ``default`` policy; narrow it as usual: ``= Field(max_length=20_000)``."""
