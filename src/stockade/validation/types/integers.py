"""Define whole numbers that a column holds: `Int32` and `Int64`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from stockade.validation.errors import LooseSchemaError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class IntegerFormat:
    """A whole number from a minimum up to a default maximum.

    Not a ``Field(le=...)`` inside of the type: where the field has a limit of its own, Pydantic
    would apply the type's after it, and the wider of the two would hold.

    Args:
        minimum: A field may set a higher one with ``Field(ge=...)``.
        maximum: A field may set another with ``Field(le=...)``.

    Raises:
        LooseSchemaError: It is put on something else than an ``int``.
    """

    minimum: int
    maximum: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema: Any = handler(source)
        if schema["type"] != "int":
            name, kind = type(self).__name__, schema["type"]
            message = f"{name} belongs on an int, not on a schema of type {kind!r}"
            raise LooseSchemaError(message)
        schema["ge"] = max(self.minimum, schema.get("ge", self.minimum))
        if "lt" not in schema:
            schema.setdefault("le", self.maximum)
        result: CoreSchema = schema
        return result


Int32: TypeAlias = Annotated[int, IntegerFormat(-(2**31), 2**31 - 1)]
"""A whole number of 32 bits, as an ``INTEGER`` column holds it (``int32`` of OpenAPI)."""

Int64: TypeAlias = Annotated[int, IntegerFormat(-(2**63), 2**63 - 1)]
"""A whole number of 64 bits, as a ``BIGINT`` column holds it (``int64`` of OpenAPI)."""
