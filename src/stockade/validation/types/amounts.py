"""Define amounts of money."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from stockade.validation.errors import LooseSchemaError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

# The plain spelling: no exponent, no leading zero or plus, no negative zero, no digits of other
# scripts, no underscores and no spaces, all of which Decimal reads.
_SPELLING: Final = r"(?!-0(?:\.0+)?$)-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_AMOUNT: Final = re.compile(_SPELLING)
# No amount that fits is longer; a longer one need not be parsed.
_MAX_TEXT: Final = 64


@dataclass(frozen=True, slots=True)
class MoneyFormat:
    """An exact, finite decimal number, from a string or a whole number.

    A fraction has to be sent as a string: JSON readers turn ``0.1`` into a binary number, which is
    not 0.1, and sums of such numbers lose cents. Negative amounts are taken; say ``Field(ge=0)``
    where there are none. The currency is another field.

    Args:
        max_digits: Digits before and behind the point; 19 and 4 are the usual ``NUMERIC(19, 4)``.
        decimal_places: Digits behind the point. No currency of ISO 4217 has more than four.

    Raises:
        LooseSchemaError: It is put on something else than a ``Decimal``.
    """

    max_digits: int = 19
    decimal_places: int = 4

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema: Any = handler(source)
        if schema["type"] != "decimal":
            name, kind = type(self).__name__, schema["type"]
            message = f"{name} belongs on a Decimal, not on a schema of type {kind!r}"
            raise LooseSchemaError(message)
        schema.setdefault("max_digits", self.max_digits)
        schema.setdefault("decimal_places", min(self.decimal_places, schema["max_digits"]))
        schema["allow_inf_nan"] = False
        return core_schema.no_info_before_validator_function(_check_amount, schema)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        shown = handler(schema)
        if handler.mode == "serialization":
            return shown
        text = {"type": "string", "pattern": f"^{_SPELLING}$", "maxLength": _MAX_TEXT}
        numbers = [each for each in shown["anyOf"] if each["type"] == "number"]
        return {"anyOf": [*({**each, "type": "integer"} for each in numbers), text]}


def _check_amount(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    if isinstance(value, float):
        raise PydanticCustomError("money", "A fraction is sent as a string")
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise PydanticKnownError("decimal_type")
    if isinstance(value, str) and (len(value) > _MAX_TEXT or not _AMOUNT.fullmatch(value)):
        raise PydanticCustomError("money", "Value is not an amount of money")
    return value


Money: TypeAlias = Annotated[Decimal, MoneyFormat()]
"""An amount of money: at most 19 digits, four of them behind the point, sent as a string."""
