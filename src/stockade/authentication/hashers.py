"""Choose how passwords are hashed, and go on reading hashes of the other kind."""

from __future__ import annotations

import importlib
import re
import secrets
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

from stockade.authentication.passwords import BcryptHasher
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authentication.settings import AuthenticationSettings

_ARGON2: Final = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[1-9][0-9]{0,6}),t=(?P<time>[1-9][0-9]?),p=(?P<lanes>[1-9])"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}",
    re.ASCII,
)
# In KiB. A stored hash says what its check costs: one that somebody has put there must not take
# the memory of the machine.
_MOST_MEMORY: Final = 1_048_576
_MOST_TIME: Final = 20


class PasswordHasher(Protocol):
    """Hashes passwords and checks them."""

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It is longer than the algorithm reads.
        """

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash, with the same work without one."""

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made in another way than new ones are."""


class Argon2Hasher:
    """Hash passwords with Argon2id (RFC 9106), by the extra ``argon2``.

    Args:
        memory: KiB that one hash takes.
        time: Passes over the memory.

    Raises:
        ConfigurationError: The extra is not installed.
    """

    def __init__(self, *, memory: int, time: int) -> None:
        try:
            argon2: Any = importlib.import_module("argon2")
        except ImportError as error:
            message = "argon2id needs argon2-cffi: pip install 'stockade[argon2]'"
            raise ConfigurationError(message) from error
        self._error = argon2.exceptions.Argon2Error
        self._invalid = argon2.exceptions.InvalidHashError
        self._hasher: Any = argon2.PasswordHasher(
            time_cost=time, memory_cost=memory, parallelism=1, type=argon2.Type.ID
        )

    @cached_property
    def _decoy(self) -> str:
        """Hash of a password that nobody knows: checking against it costs what a real one costs."""
        return self.hash(secrets.token_urlsafe(16))

    def hash(self, password: str) -> str:
        """Hash a password, whatever its length."""
        hashed: str = self._hasher.hash(_encode(password))
        return hashed

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash; without a usable one it costs the same.

        Source: ASVS 5.0 V6.3.8.
        """
        decoy = self._decoy
        usable = stored if stored is not None and is_argon2(stored) else None
        try:
            self._hasher.verify(usable or decoy, _encode(password))
        except (self._error, self._invalid):
            return False
        return usable is not None

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made with other costs than new ones are."""
        return not is_argon2(stored) or bool(self._hasher.check_needs_rehash(stored))


class PasswordHashes:
    """Hash new passwords in one way, and check hashes of each kind by what they say they are.

    Args:
        chosen: Makes new hashes; hashes of the other kinds are replaced at the next sign-in.
        others: By the beginning of their hashes.
    """

    def __init__(self, chosen: PasswordHasher, others: dict[str, PasswordHasher]) -> None:
        self._chosen = chosen
        self._others = others

    def hash(self, password: str) -> str:
        """Hash a password.

        Raises:
            PasswordTooLongError: It is longer than the algorithm reads.
        """
        return self._chosen.hash(password)

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash."""
        return self._for(stored).verify(password, stored)

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a stored hash was made in another way than new ones are."""
        return self._chosen.needs_rehash(stored)

    def _for(self, stored: str | None) -> PasswordHasher:
        for beginning, hasher in self._others.items():
            if stored is not None and stored.startswith(beginning):
                return hasher
        return self._chosen


def choose_hasher(settings: AuthenticationSettings) -> PasswordHasher:
    """Make the hasher that the settings name.

    Raises:
        ConfigurationError: What it needs is not installed.
    """
    bcrypt = BcryptHasher(cost=settings.bcrypt_cost)
    if settings.password_hash == "bcrypt":  # noqa: S105 - the name of an algorithm
        return bcrypt
    argon2 = Argon2Hasher(memory=settings.argon2_memory, time=settings.argon2_time)
    return PasswordHashes(argon2, {"$2": bcrypt})


def is_argon2(stored: str) -> bool:
    """Tell whether a stored hash is one of Argon2id that can be checked at a bearable cost."""
    found = _ARGON2.fullmatch(stored)
    return (
        found is not None
        and int(found["memory"]) <= _MOST_MEMORY
        and int(found["time"]) <= _MOST_TIME
    )


def _encode(password: str) -> bytes:
    # A lone surrogate can't be encoded strictly; such a password was never typed by anybody.
    return password.encode("utf-8", errors="surrogatepass")
