"""Hash new passwords in one way, and go on reading hashes of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.authentication.passwords.interfaces import HashReader, PasswordHasher


class PasswordHashes:
    """Hash new passwords in one way, and check hashes of each kind by what they say they are.

    Args:
        chosen: Makes new hashes; hashes of the other kinds are replaced at the next sign-in.
        readers: Check hashes of the other kinds.
    """

    def __init__(self, chosen: PasswordHasher, readers: Sequence[HashReader]) -> None:
        self._chosen = chosen
        self._readers = tuple(readers)

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It is longer than the algorithm reads.
        """
        return self._chosen.hash(password)

    def reads(self, stored: str) -> bool:
        """Tell whether a stored text is a hash of any of the kinds."""
        return self._chosen.reads(stored) or self._find_reader(stored) is not None

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash; one hash is computed in any case."""
        reader = None if stored is None else self._find_reader(stored)
        return (reader or self._chosen).verify(password, stored)

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made in another way than new ones are."""
        return self._chosen.needs_rehash(stored)

    def _find_reader(self, stored: str) -> HashReader | None:
        return next((reader for reader in self._readers if reader.reads(stored)), None)
