"""Define the names of people, in all scripts."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from stockade.validation.types.text import TextFormat

# Letters that nobody sees make names that look empty, or like another one: the Hangul fillers are
# letters to Unicode. Mathematical letters are a typeface, which screen readers spell out.
_LETTER: Final = r"[\p{L}--\p{Default_Ignorable_Code_Point}--[\U0001d400-\U0001d7ff]]"
# Japanese registers tell variants of one character apart with a selector behind it.
_VARIANT: Final = r"\p{Han}[\U000e0100-\U000e01ef]"
# UTS #39, section 5.4: no more than four nonspacing marks in a row, or they pile up over the lines
# around them. Spacing marks stand beside their letter.
_ABOVE: Final = r"[\p{Mn}--\p{Default_Ignorable_Code_Point}]{0,4}"
_MARKS: Final = rf"{_ABOVE}(?:\p{{Mc}}{_ABOVE}){{0,3}}"
# Zero-width joiners change how these scripts are read (RFC 5892, appendix A); elsewhere they do
# nothing but make two equal-looking names differ.
_JOINING: Final = (
    r"[\p{L}&&[\p{Arabic}\p{Bengali}\p{Devanagari}\p{Gujarati}\p{Gurmukhi}\p{Kannada}\p{Khmer}"
    r"\p{Malayalam}\p{Mongolian}\p{Myanmar}\p{Oriya}\p{Sinhala}\p{Syriac}\p{Tamil}\p{Telugu}"
    r"\p{Tibetan}]]"
)
_CHARACTER: Final = (
    rf"(?:(?:{_LETTER}|{_VARIANT}){_MARKS}|{_JOINING}{_MARKS}[\u200c\u200d]{_MARKS})"
)
_APOSTROPHE: Final = r"'\u2018\u2019"
# Space and ideographic space, period, apostrophe, geresh, hyphens; the middle dots of Catalan,
# Chinese and Japanese, and the mark between two syllables of Tibetan.
_BETWEEN: Final = rf"[ \u3000.{_APOSTROPHE}\u05f3\-\u2010\u2011\u00b7\u2027\u30fb\uff65\u0f0b]"
_PATTERN: Final = (
    rf"^[{_APOSTROPHE}]?(?:{_CHARACTER}{_BETWEEN}{{0,3}})*"
    rf"{_CHARACTER}[.{_APOSTROPHE}\u05f3\u0f0b]?$"
)

PersonName: TypeAlias = Annotated[str, TextFormat(_PATTERN, 100, 1, portable=False)]
"""The name of a person: letters and marks of all scripts, parted by spaces, hyphens, apostrophes,
periods and middle dots.

No digits, no symbols, no emoji, no line breaks, nothing invisible and nothing that turns the
direction of text. It begins and ends with a letter, but for an apostrophe or a last period.

Composed and decomposed spellings (NFC, NFD) are both taken, as they are. Keyboards for Vietnamese
and Bengali write forms that are not NFC, so a rule would turn these people away; and it would
protect nothing, for a name is shown and never tells two people apart, which `Username` does. To
search for names, normalise both sides of the comparison.

Source: UTS #39, section 5.4 (marks); RFC 5892, appendix A (joiners); CVE-2021-42574 (directions).
"""
