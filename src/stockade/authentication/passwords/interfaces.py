"""What hashes passwords."""

from __future__ import annotations

from typing import Protocol


class HashReader(Protocol):
    """Checks passwords against hashes of one kind or several."""

    def reads(self, stored: str) -> bool:
        """Tell whether a stored text is a hash that can be checked at a bearable cost."""

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash."""


class PasswordHasher(HashReader, Protocol):
    """Hashes passwords and checks them, with the same work where there is no usable hash."""

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It is longer than the algorithm reads.
        """

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made in another way than new ones are."""
