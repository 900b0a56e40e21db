"""Hash and verify passwords with bcrypt."""

from __future__ import annotations

import re
import secrets
from functools import cached_property
from typing import Final

import bcrypt

from stockade.authentication.errors import PasswordTooLongError

# bcrypt reads 72 bytes; what comes after would be ignored, so that a longer password must be
# refused, never cut.
MAXIMUM_BYTES = 72
# The salt ends in a character whose unused bits are zero; bcrypt raises on any other, and on work
# factors below 4. Those beyond 16 take more than five seconds: nobody made such a hash to sign in
# with. The variant 2x is a known fault of an old program, whose hashes hold for other passwords.
_HASH: Final = re.compile(
    r"\$2[aby]\$(?P<cost>0[4-9]|1[0-6])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}", re.ASCII
)


class BcryptHasher:
    """Hash passwords with bcrypt (requirement R6).

    Args:
        cost: Work factor, as a power of two.
    """

    def __init__(self, *, cost: int) -> None:
        self._cost = cost

    @cached_property
    def _decoy(self) -> str:
        """Hash of a password that nobody knows: checking against it costs what a real one costs.

        Made when it is first needed, which is in a thread of the pool and not on the event loop.
        """
        return self.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It has more than 72 bytes in UTF-8.
        """
        return bcrypt.hashpw(encode(password), bcrypt.gensalt(self._cost)).decode("ascii")

    def reads(self, stored: str) -> bool:
        """Tell whether a stored text is a hash of bcrypt that can be checked at a bearable cost."""
        return is_bcrypt(stored)

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash.

        Without a usable hash the same work is done against a decoy, so that the time does not tell
        whether the account exists (ASVS 5.0 V6.3.8).
        """
        decoy = self._decoy
        usable = stored if stored and is_bcrypt(stored) else None
        try:
            encoded = encode(password)
        except PasswordTooLongError:
            # No stored hash can belong to it; spend the usual work all the same.
            encoded, usable = b"", None
        matches = bcrypt.checkpw(encoded, (usable or decoy).encode("ascii"))
        return matches and usable is not None

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made with another work factor than new ones are."""
        found = _HASH.fullmatch(stored)
        return found is None or int(found["cost"]) != self._cost


def is_bcrypt(stored: str) -> bool:
    """Tell whether a stored text is a hash of bcrypt that can be checked at a bearable cost."""
    return _HASH.fullmatch(stored) is not None


def encode(password: str) -> bytes:
    """Return what bcrypt reads of a password, which is all of it.

    Raises:
        PasswordTooLongError: It would not read all of it.
    """
    # A lone surrogate can't be encoded strictly; such a password was never typed by anybody.
    encoded = password.encode("utf-8", errors="surrogatepass")
    if len(encoded) > MAXIMUM_BYTES or b"\0" in encoded:
        raise PasswordTooLongError(limit=MAXIMUM_BYTES)
    return encoded
