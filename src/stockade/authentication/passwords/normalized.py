"""Take different spellings of the same characters for the same password."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.authentication.passwords.interfaces import PasswordHasher


class NormalizedHasher:
    """Hash passwords in the normal form NFC, and check them in that form and as they came.

    One keyboard sends ``é`` as one character, another as two. NFC joins them and changes nothing
    else; NFKC would also make one of characters that look different. Hashes of earlier days were
    made of passwords as they came, and go on.

    Args:
        inner: Makes and checks the hashes themselves.

    Source: NIST SP 800-63B-4, section 3.1.1.2; RFC 8265, section 4.2.2 (NFC for passwords).
    """

    def __init__(self, inner: PasswordHasher) -> None:
        self._inner = inner

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It is longer than the algorithm reads.
        """
        return self._inner.hash(unicodedata.normalize("NFC", password))

    def reads(self, stored: str) -> bool:
        """Tell whether a stored text is a hash that can be checked at a bearable cost."""
        return self._inner.reads(stored)

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash.

        What is in its normal form already, such as ASCII, costs one hash, and all else two. That
        depends on what was sent and not on whether there is an account.
        """
        normal = unicodedata.normalize("NFC", password)
        matches = self._inner.verify(normal, stored)
        if normal == password:
            return matches
        return self._inner.verify(password, stored) or matches

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made in another way than new ones are."""
        return self._inner.needs_rehash(stored)
