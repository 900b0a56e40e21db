"""Know the passwords that are guessed first, without storing them.

The list is a file of sorted digests of 40 bits, which `scripts/common_passwords.py` makes from
published lists. A password that is on none of them is taken for a listed one with a chance of 1 in
4 million: it is then refused, never the other way round.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache
from importlib import resources
from typing import Final

from stockade.errors import ConfigurationError

DIGEST_BYTES: Final = 5
# What stands for a letter in many a password. The lists have most of them already.
# A 1 is an i in some and an l in others.
_STAND_INS: Final = (
    str.maketrans("013457$@!|", "oieastsaii"),
    str.maketrans("013457$@!|", "oleastsall"),
)


class CommonPasswords:
    """A set of passwords, kept as digests.

    Args:
        digests: Sorted digests of folded passwords, one after the other.

    Raises:
        ConfigurationError: The file is cut short.
    """

    def __init__(self, digests: bytes) -> None:
        if len(digests) % DIGEST_BYTES:
            message = "the list of common passwords is cut short: install stockade again"
            raise ConfigurationError(message)
        self._digests = digests

    def __len__(self) -> int:
        return len(self._digests) // DIGEST_BYTES

    def __contains__(self, password: str) -> bool:
        """Tell whether a password is listed, whatever its case and its stand-ins for letters."""
        folded = fold(password)
        return any(self._holds(spelling) for spelling in (folded, *spell_out(folded)))

    def _holds(self, folded: str) -> bool:
        wanted = digest_of(folded)
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            found = self._digests[middle * DIGEST_BYTES : (middle + 1) * DIGEST_BYTES]
            if found == wanted:
                return True
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return False


@cache
def load_common_passwords() -> CommonPasswords:
    """Read the list that comes with the package, once."""
    folder = resources.files("stockade.authentication").joinpath("data")
    return CommonPasswords(folder.joinpath("common-passwords.bin").read_bytes())


def fold(text: str) -> str:
    """Make texts equal that a guess tries together: letters of other shapes and other case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def spell_out(folded: str) -> list[str]:
    """Return the words that digits and signs in the place of letters may stand for.

    Those at the end may also stand for themselves. All of them are as long as the text.

    >>> spell_out("p4ss1")
    ['passi', 'pass1', 'passl', 'pass1']
    """
    body = folded.rstrip("0123456789$@!|")
    end = folded[len(body) :]
    return [
        spelling
        for table in _STAND_INS
        for spelling in (folded.translate(table), body.translate(table) + end)
    ]


def digest_of(folded: str) -> bytes:
    """Return what is stored of a folded password."""
    # A lone surrogate can't be encoded strictly.
    encoded = folded.encode("utf-8", errors="surrogatepass")
    return hashlib.blake2b(encoded, digest_size=DIGEST_BYTES).digest()
