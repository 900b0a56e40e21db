"""Mix a key of the application into passwords, so that a stolen table alone can't be guessed at.

A hash says by which key it was made: ``$pepper$<name of the key>`` stands before it. The password
goes through HMAC-SHA256 under that key, and its result is what is hashed.

Source: NIST SP 800-63B-4, section 3.1.1.2 (a keyed operation with a key kept elsewhere); ASVS 5.0
V11.4.2.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import TYPE_CHECKING, Final

from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.passwords.interfaces import PasswordHasher
    from stockade.crypto import KeyRing

_PURPOSE: Final = "password-pepper"
_NAME_BYTES: Final = 6
_STORED: Final = re.compile(r"\$pepper\$(?P<key>[0-9a-f]{12})(?P<hash>\$.{1,230})", re.ASCII)


class PepperedHasher:
    """Hash passwords under the newest key of a ring, and check hashes with and without a key.

    Args:
        inner: Makes and checks the hashes themselves.
        keys: A ring for this alone. Once a key is taken away, no password belongs to a hash that
            was made by it.
        adds: Whether new hashes have a key; those that differ are replaced at the next sign-in.
        measure: Refuses a password that `inner` would not read by itself, so that the key can be
            left out again.

    Raises:
        ConfigurationError: Two secrets of the ring are the same.
    """

    def __init__(
        self,
        inner: PasswordHasher,
        keys: KeyRing,
        *,
        adds: bool,
        measure: Callable[[str], object],
    ) -> None:
        self._inner = inner
        self._measure = measure
        # The name comes from the secret by a way of its own, and says nothing of the key.
        names = [name.hex() for name in keys.derive(_PURPOSE + "/name", length=_NAME_BYTES)]
        self._keys = dict(zip(names, keys.derive(_PURPOSE), strict=True))
        if len(self._keys) < len(names):
            message = (
                "a key is in STOCKADE_AUTHENTICATION__PASSWORD_PEPPER_KEYS twice: take one out"
            )
            raise ConfigurationError(message)
        self._newest = names[0] if adds else None

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It is longer than the algorithm reads.
        """
        if self._newest is None:
            return self._inner.hash(password)
        self._measure(password)
        return f"$pepper${self._newest}{self._inner.hash(self._mix(password, self._newest))}"

    def reads(self, stored: str) -> bool:
        """Tell whether a stored text is a hash whose key is there."""
        key, rest = self._split(stored)
        return rest is not None and self._inner.reads(rest) and (key is None or key in self._keys)

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash; one hash is computed in any case."""
        key, rest = (None, None) if stored is None else self._split(stored)
        mixed = password if key is None else self._mix(password, key)
        return self._inner.verify(mixed, rest)

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made in another way or by another key than new ones."""
        key, rest = self._split(stored)
        return key != self._newest or rest is None or self._inner.needs_rehash(rest)

    def _split(self, stored: str) -> tuple[str | None, str | None]:
        """Return the name of the key and the hash itself; no hash where the key is not there."""
        found = _STORED.fullmatch(stored)
        if found is None:
            return None, stored
        return (found["key"], found["hash"]) if found["key"] in self._keys else (None, None)

    def _mix(self, password: str, key: str) -> str:
        # A lone surrogate can't be encoded strictly. 44 characters without NUL fit into bcrypt.
        encoded = password.encode("utf-8", errors="surrogatepass")
        return base64.b64encode(hmac.digest(self._keys[key], encoded, "sha256")).decode()
