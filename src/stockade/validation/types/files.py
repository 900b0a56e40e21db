"""Define names of files that are safe on every system that may ever hold them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stockade.validation.types.text import require_string

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

LONGEST_NAME: Final = 255
# Separators, what Windows forbids (a colon names a stream of another file), controls, line breaks,
# lone surrogates, what is invisible or turns the direction, so that "gpj.exe" reads "exe.jpg", and
# private characters, which some systems write for the forbidden ones. Zero-width joiners are part
# of words and of emoji, and are left to the second look.
_REFUSED: Final = re.compile(
    '[/\\\\<>:"|?*\0-\x1f\x7f-\x9f\ud800-\uf8ff\ufdd0-\ufdef\ufffd-\uffff'
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_DEVICE: Final = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9])\s*(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
# What a file system may skip when it compares: HFS+ reads ".g<joiner>it" as ".git" (CVE-2014-9390).
_IGNORED: Final = re.compile("[\u200c\u200d\ufe00-\ufe0f]")


@dataclass(frozen=True, slots=True)
class FileNameFormat:
    """The name of one file, without any path, of at most 255 bytes.

    It is one component on every system, is not hidden, names no device and shows itself as it is.
    It may be shown and offered for a download. It is no place to store something: two callers can
    send one name, and file systems take names for equal that differ in case or spelling. Store
    under a name that you draw yourself.

    Raises:
        LooseSchemaError: It is put on something else than a ``str``.

    Source: ASVS 5.0 V5.3.2; CWE-22; CWE-41; CWE-67; RFC 5198, section 3 (NFC); Microsoft's rules
    for naming files.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = require_string(handler(source), type(self).__name__)
        schema.setdefault("max_length", LONGEST_NAME)
        schema["min_length"] = max(1, schema.get("min_length", 0))
        return core_schema.no_info_after_validator_function(_check_name, schema)


def _check_name(value: str) -> str:
    if not _is_plain(value) or (not value.isascii() and not _is_plain_abroad(value)):
        raise PydanticCustomError("file_name", "Value is not a plain file name")
    return value


def _is_plain(value: str) -> bool:
    return len(value) <= LONGEST_NAME and _REFUSED.search(value) is None and _is_ordinary(value)


def _is_ordinary(value: str) -> bool:
    # Dots and spaces at the end vanish on Windows; ".name" is hidden, "-name" an option of most
    # commands and "~name" somebody's home.
    if not value or value != value.strip() or value[0] in ".-~" or value[-1] == ".":
        return False
    return _DEVICE.fullmatch(value) is None


def _is_plain_abroad(value: str) -> bool:
    """Look again at a name outside of ASCII, as systems that fold what looks alike will see it."""
    if len(value.encode()) > LONGEST_NAME or not unicodedata.is_normalized("NFC", value):
        return False
    folded = fold_name(value)
    # Conversions to an old code page make a full-width solidus a solidus (CWE-176). Full-width
    # colons and question marks are how East Asian names avoid the forbidden ones.
    return "/" not in folded and "\\" not in folded and _is_ordinary(folded)


def fold_name(value: str) -> str:
    """Return a name as a system sees it that folds what looks alike, or skips what is not seen."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", value))


FileName: TypeAlias = Annotated[str, FileNameFormat()]
"""The name of one file, without any path: at most 255 characters and 255 bytes."""
