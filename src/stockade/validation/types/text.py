"""Define text by an allow-list: the format that the other types build on, `Line` and `Text`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic_core import CoreSchema, core_schema

from stockade.validation.errors import LooseSchemaError
from stockade.validation.strictness import CHECKED

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

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
        portable: Whether other engines read the pattern the same, so that the JSON schema shows it.

    Raises:
        LooseSchemaError: It is put on something else than a ``str``.
    """

    pattern: str
    max_length: int
    min_length: int = 0
    portable: bool = True

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = require_string(handler(source), type(self).__name__)
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

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        shown = handler(schema)
        if not self.portable and shown.get("pattern") == self.pattern:
            del shown["pattern"]
        return shown


def require_string(schema: Any, name: str) -> core_schema.StringSchema:  # noqa: ANN401 - a core schema
    """Return the schema that a format stands on, if it is that of a ``str``.

    Args:
        schema: What stands under the format.
        name: The format's name, for the error.

    Raises:
        LooseSchemaError: It is the schema of another type.
    """
    if schema["type"] != "str":
        message = f"{name} belongs on a str, not on a schema of type {schema['type']!r}"
        raise LooseSchemaError(message)
    string: core_schema.StringSchema = schema
    return string


Line: TypeAlias = Annotated[
    str, TextFormat(rf"^[^{_CONTROLS}\t\n\r\u2028\u2029{_DIRECTIONS}]*$", 255)
]
"""One line of text: no line break, no control character, nothing that turns its direction."""

Text: TypeAlias = Annotated[str, TextFormat(rf"^(?:[^{_CONTROLS}\r{_OVERRIDES}]|\r\n)*$", 10_000)]
"""Text of several lines: no control characters but tab and line breaks."""
