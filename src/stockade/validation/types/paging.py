"""Define the parameters that cut a long list into pages: `Page` and `PageSize`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from stockade.validation.errors import LooseSchemaError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class CountFormat:
    """A whole number from one up to a default maximum.

    Not a ``Field(le=...)`` inside of the type: where the field has a limit of its own, Pydantic
    would apply the type's after it, and the wider of the two would hold.

    Args:
        maximum: A field may set another with ``Field(le=...)``.

    Raises:
        LooseSchemaError: It is put on something else than an ``int``.
    """

    maximum: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema: Any = handler(source)
        if schema["type"] != "int":
            name, kind = type(self).__name__, schema["type"]
            message = f"{name} belongs on an int, not on a schema of type {kind!r}"
            raise LooseSchemaError(message)
        schema["ge"] = max(1, schema.get("ge", 1))
        if "lt" not in schema:
            schema.setdefault("le", self.maximum)
        result: CoreSchema = schema
        return result


Page: TypeAlias = Annotated[int, CountFormat(10_000)]
"""Number of a page, from 1 to 10,000.

A database reads and drops every row before a page, so that a far page is a cheap way to keep it
busy (CWE-770). Lists that go on longer are better read by a key than by a number.
"""

PageSize: TypeAlias = Annotated[int, CountFormat(100)]
"""Number of items on a page, from 1 to 100."""
