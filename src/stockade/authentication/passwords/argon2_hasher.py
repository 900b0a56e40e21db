"""Hash and verify passwords with Argon2."""

from __future__ import annotations

import contextlib
import importlib
import re
import secrets
from functools import cached_property
from typing import Any, Final

from stockade.errors import ConfigurationError

# Django writes its own name of the algorithm before the hash.
_HASH: Final = re.compile(
    r"(?:argon2)?(?P<hash>\$argon2(?:id|i|d)\$v=19"
    r"\$m=(?P<memory>[1-9][0-9]{0,6}),t=(?P<time>[1-9][0-9]{0,2}),p=(?P<lanes>[1-9]|1[0-6])"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86})",
    re.ASCII,
)
# A stored hash says what its check costs: one that somebody has put there must not keep a thread
# busy for minutes. Two GiB, all passes together, take about a second and a half.
_MOST_WORK: Final = 2_097_152


class Argon2Hasher:
    """Hash passwords with Argon2id (RFC 9106), by the extra ``argon2``; check all its variants.

    Args:
        memory: KiB that one hash takes.
        time: Passes over the memory.
        most_memory: KiB that the check of a stored hash may take, if that is more than `memory`.

    Raises:
        ConfigurationError: The extra is not installed.
    """

    def __init__(self, *, memory: int, time: int, most_memory: int = 0) -> None:
        try:
            argon2: Any = importlib.import_module("argon2")
        except ImportError as error:
            message = "argon2id needs argon2-cffi: pip install 'stockade[argon2]'"
            raise ConfigurationError(message) from error
        self._mismatch: type[Exception] = argon2.exceptions.VerifyMismatchError
        self._broken = (argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError)
        self._hasher: Any = argon2.PasswordHasher(
            time_cost=time, memory_cost=memory, parallelism=1, type=argon2.Type.ID
        )
        self._most_memory = max(memory, most_memory)
        self._most_work = max(memory * time, _MOST_WORK)

    @cached_property
    def _decoy(self) -> str:
        """Hash of a password that nobody knows: checking against it costs what a real one costs."""
        return self.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """Hash a password, whatever its length."""
        hashed: str = self._hasher.hash(_encode(password))
        return hashed

    def reads(self, stored: str) -> bool:
        """Tell whether a stored text is a hash of Argon2 that can be checked at a bearable cost."""
        return self._find_hash(stored) is not None

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash; without a usable one it costs the same.

        Source: ASVS 5.0 V6.3.8.
        """
        decoy = self._decoy
        usable = None if stored is None else self._find_hash(stored)
        encoded = _encode(password)
        if usable is not None:
            try:
                return bool(self._hasher.verify(usable, encoded))
            except self._mismatch:
                return False
            except self._broken:
                # What looks like a hash and is none costs nothing: do the usual work after all.
                pass
        with contextlib.suppress(self._mismatch):
            self._hasher.verify(decoy, encoded)
        return False

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made in another way than new ones are."""
        usable = self._find_hash(stored)
        return usable != stored or bool(self._hasher.check_needs_rehash(usable))

    def _find_hash(self, stored: str) -> str | None:
        found = _HASH.fullmatch(stored)
        if found is None:
            return None
        memory = int(found["memory"])
        bearable = memory <= self._most_memory and memory * int(found["time"]) <= self._most_work
        return found["hash"] if bearable else None


def _encode(password: str) -> bytes:
    # A lone surrogate can't be encoded strictly; such a password was never typed by anybody.
    return password.encode("utf-8", errors="surrogatepass")
