"""Write text into CSV files so that no spreadsheet takes it for a formula."""

from __future__ import annotations

import csv
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeGuard

from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class _TextFile(Protocol):
        def write(self, text: str, /) -> object: ...


# What a spreadsheet takes for the beginning of a formula, and the full-width, small, raised and
# lowered forms that it reads as the same.
_FORMULA: Final = (
    r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212\u207a-\u207c\u208a-\u208c"
)
# What some program parts cells or rows at, whatever the file was written with.
_SEPARATOR: Final = r",;\t\n\v\f\r\x85\u2028\u2029"
# What is not seen before a formula: blanks, quotes, and control and format characters.
_UNSEEN: Final = (
    r'" \x00-\x08\x0e-\x1f\x7f-\x84\x86-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2'
    r"\u1680\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb\U000110bd"
    r"\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    r"\U000e0020-\U000e007f"
)
_NUMBER: Final = r"-[0-9]{1,15}(?:\.[0-9]{1,15})?"
# The apostrophes, if any, before what would be a formula at the beginning of a cell.
_CELL: Final = re.compile(
    r"\A'*+(?=[\t\n\r])"
    rf"|(?:\A(?!{_NUMBER}\Z)|(?<=[{_SEPARATOR}]))"
    rf"'*+(?=[{_UNSEEN}]*+[{_FORMULA}])"
)
_DELIMITERS: Final = frozenset({",", ";", "\t"})


def escape_csv(value: str) -> str:
    """Return a text for a cell of a CSV file that no spreadsheet takes for a formula.

    An apostrophe is put before ``=``, ``+``, ``-``, ``@`` and their full-width forms at the
    beginning of the text, also behind blanks, quotes and characters that are not seen, and before a
    tab or line break there. The same is done behind each comma, semicolon, tab and line break in
    the text, because a program that expects another separator begins a cell there. A text that is
    a negative number and nothing else, such as ``-5``, is left alone. `unescape_csv` gives back
    each text.

    Escape once, where the file is written, and quote each cell; `CSVWriter` does both.

    >>> escape_csv("=HYPERLINK(1)"), escape_csv("a;@b"), escape_csv("-5"), escape_csv("a = b")
    ("'=HYPERLINK(1)", "a;'@b", '-5', 'a = b')

    Source: ASVS 5.0 V1.2.10; CWE-1236.
    """
    return _CELL.sub(lambda found: f"'{found[0]}", value)


def unescape_csv(value: str) -> str:
    """Return the text that `escape_csv` made a cell of.

    >>> unescape_csv("'=1"), unescape_csv("'tis")
    ('=1', "'tis")
    """
    return _CELL.sub(lambda found: found[0][1:], value)


class CSVWriter:
    """Write rows to a CSV file: text escaped and quoted, numbers as numbers.

    None becomes an empty cell. Everything that is no number is written as its ``str()``.

    Args:
        file: A text file, opened with ``newline=""``.
        delimiter: What parts the cells: ``,``, ``;`` or a tab.

    Raises:
        ConfigurationError: The delimiter is another one.

    Source: RFC 4180; ASVS 5.0 V1.2.10.
    """

    def __init__(self, file: _TextFile, *, delimiter: str = ",") -> None:
        if delimiter not in _DELIMITERS:
            message = "a CSV file is delimited by a comma, a semicolon or a tab: pass one of them"
            raise ConfigurationError(message)
        self._writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)

    def writerow(self, row: Iterable[object]) -> None:
        """Write one row."""
        self._writer.writerow([_cell(value) for value in row])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


def _cell(value: object) -> str | int | float | Decimal:
    if value is None:
        return ""
    return value if _is_number(value) else escape_csv(str(value))


def _is_number(value: object) -> TypeGuard[int | float | Decimal]:
    # A subclass can have a text of its own.
    if type(value) is Decimal:
        return value.is_finite()
    return type(value) is int or (type(value) is float and math.isfinite(value))
