"""No spreadsheet takes a cell of ours for a formula."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.errors import ConfigurationError
from stockade.sanitization.exports import CSVWriter, escape_csv, unescape_csv


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+1",
        "+49 30 1234",
        "-1+1",
        "-cmd",
        "-",
        "@SUM(1)",
        "\tplain",
        "\r\nplain",
        " =1",
        "\xa0=1",
        "\u3000=1",
        "\u200b=1",
        "\ufeff=1",
        "\u202e=1",
        "\x00=1",
        "\x1f=1",
        "\uff1d1+1",
        "\uff0b1",
        "\uff0d1+1",
        "\uff20SUM(1)",
        "\ufe661",
        "\ufe631",
        "\u22121+1",
        "-1.5.2",
        "-1e5",
        "-1\n",
        " -1",
        "-\u0661",
        "'=1",
        "''@x",
        "' =1",
        '"=1',
    ],
)
def test_formulas_are_escaped(text: str) -> None:
    """Text that a spreadsheet would compute gets an apostrophe, and gives it back."""
    assert escape_csv(text) == f"'{text}"
    assert unescape_csv(f"'{text}") == text


@pytest.mark.parametrize(
    "text",
    ["", "a", "Tom & Jerry", "a=b", "1-2", "-5", "-5.25", "0", "'tis", "'", "a@b", " a", "é"],
)
def test_other_text_is_left_alone(text: str) -> None:
    """Text that no spreadsheet computes, and a plain number, stay as they are."""
    assert escape_csv(text) == unescape_csv(text) == text


HOSTILE = st.text() | st.text(st.sampled_from("'\"=+-@ ,;\t\r\n\v1a.\u200b\uff1d\u2028"))
NUMBER = re.compile(r"-[0-9]+(\.[0-9]+)?")
# A negative number with a quote behind it: two values without an operator between them, which no
# spreadsheet computes.
RUN_TOGETHER = re.compile(rf'{NUMBER.pattern}[,;\t]*".*', re.DOTALL)


def is_formula(cell: str) -> bool:
    """Tell whether a spreadsheet might compute a cell; slowly and from the tables of Unicode."""
    for character in cell:
        if character.isspace() or unicodedata.category(character) in {"Cc", "Cf"}:
            continue
        first = unicodedata.normalize("NFKC", character)[0]
        return first in "=+-@\N{MINUS SIGN}" and not NUMBER.fullmatch(cell)
    return False


@given(HOSTILE)
def test_round_trip(text: str) -> None:
    """Every text comes back, and no escaped text is a formula."""
    assert unescape_csv(escape_csv(text)) == text
    assert not is_formula(escape_csv(text))


@given(st.characters(categories=["Zs", "Zl", "Zp", "Cc", "Cf"]))
def test_every_unseen_character_is_known(character: str) -> None:
    """No character that is not seen hides a formula."""
    assert escape_csv(f"{character}=1") != f"{character}=1"


class Level(IntEnum):
    HIGH = 3


class Sly(str):
    """A text that shows another when it is asked for it."""

    __slots__ = ()

    def __str__(self) -> str:
        return "=1"


def is_encodable(text: str) -> bool:
    """Tell whether a text can be written to a file at all."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def written(*row: object, delimiter: str = ",") -> str:
    """Return the line that a row becomes."""
    file = io.StringIO(newline="")
    CSVWriter(file, delimiter=delimiter).writerow(row)
    return file.getvalue()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-5, "-5"),
        (1.5, "1.5"),
        (Decimal("-2.50"), "-2.50"),
        (None, '""'),
        (True, '"True"'),
        (float("-inf"), '"\'-inf"'),
        (Decimal("-Infinity"), '"\'-Infinity"'),
        (Decimal("sNaN"), '"sNaN"'),
        (Level.HIGH, '"3"'),
        ("=1", '"\'=1"'),
        (Sly("x"), '"\'=1"'),
        ('a"b', '"a""b"'),
        ("a;=1", '"a;\'=1"'),
        (["=1"], "\"['=1']\""),
    ],
)
def test_cells(value: object, cell: str) -> None:
    """Numbers are written as numbers; everything else is escaped and quoted."""
    assert written(value) == f"{cell}\r\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("reader", [",", ";", "\t"])
@given(row=st.lists(HOSTILE.filter(is_encodable), min_size=1, max_size=4))
def test_no_reader_finds_a_formula(row: list[str], delimiter: str, reader: str) -> None:
    """Whatever separator a program expects, no cell that it reads is a formula."""
    line = written(*row, delimiter=delimiter)
    rows = list(csv.reader(io.StringIO(line, newline=""), delimiter=reader))
    cells_read = [cell for cells in rows for cell in cells]
    assert not any(is_formula(cell) and not RUN_TOGETHER.fullmatch(cell) for cell in cells_read)
    if reader == delimiter:
        assert [[unescape_csv(cell) for cell in cells] for cells in rows] == [row]


def test_rows() -> None:
    """Several rows are written in order."""
    file = io.StringIO(newline="")
    CSVWriter(file).writerows([["a", 1], ["@b", 2]])
    assert file.getvalue() == '"a",1\r\n"\'@b",2\r\n'


@pytest.mark.parametrize("delimiter", ["", "=", "|", ",,", "a"])
def test_other_delimiters_are_refused(delimiter: str) -> None:
    """A delimiter that spreadsheets don't know is a configuration error."""
    with pytest.raises(ConfigurationError):
        CSVWriter(io.StringIO(), delimiter=delimiter)
