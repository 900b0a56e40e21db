"""Define by which columns a caller may sort a list."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic_core import CoreSchema, core_schema

from stockade.errors import InvalidInputError
from stockade.validation.errors import FieldTypeError
from stockade.validation.types.text import require_string

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


class SortOrder(NamedTuple):
    """One column to sort by, and in which direction."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True, init=False)
class SortBy:
    """Let a caller sort by some columns and no other: ``Annotated[str, SortBy("title")]``.

    It takes the name of a column, and with a hyphen before it the same in descending order. What
    is not on the list can be neither sorted by nor guessed at: sorting by a column tells what is in
    it, one comparison at a time.

    >>> by = SortBy("created_at", "title")
    >>> by.parse("-created_at")
    SortOrder(column='created_at', descending=True)

    Args:
        columns: Names of columns, such as ``"title"`` or ``"author.name"``.

    Raises:
        FieldTypeError: There is no column, one is named twice, or one has no plain name.
        LooseSchemaError: It is put on something else than a ``str``.

    Source: CWE-89; CWE-943.
    """

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        if not columns:
            raise FieldTypeError("SortBy has no column: name those that callers may sort by")
        if len(set(columns)) != len(columns):
            raise FieldTypeError("SortBy names a column twice: name each once")
        if not all(_NAME.fullmatch(column) for column in columns):
            message = "SortBy takes plain names of columns: letters, digits and _, parted by dots"
            raise FieldTypeError(message)
        object.__setattr__(self, "columns", columns)

    def parse(self, value: str) -> SortOrder:
        """Split an accepted value into its column and its direction.

        The allow-list is looked at once more, so that a default with a slip in it is noticed.

        Raises:
            InvalidInputError: The column is not on the list.
        """
        column = value.removeprefix("-")
        if column not in self.columns:
            raise InvalidInputError(reason="validation.sort_by")
        return SortOrder(column, descending=value != column)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = require_string(handler(source), type(self).__name__)
        spellings = [sign + column for column in self.columns for sign in ("", "-")]
        choice = core_schema.literal_schema(spellings)
        # What the field says of the string holds, too.
        return core_schema.chain_schema([schema, choice]) if len(schema) > 1 else choice
