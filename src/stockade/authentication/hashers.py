"""Choose how passwords are hashed, and go on reading hashes of the other kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authentication.passwords import (
    Argon2Hasher,
    BcryptHasher,
    HashReader,
    ImportedHashes,
    PasswordHasher,
    PasswordHashes,
)
from stockade.authentication.passwords.bcrypt_hasher import encode
from stockade.authentication.passwords.normalized import NormalizedHasher
from stockade.authentication.passwords.peppered import PepperedHasher
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authentication.settings import AuthenticationSettings

__all__ = ["Argon2Hasher", "PasswordHasher", "PasswordHashes", "choose_hasher"]


def choose_hasher(settings: AuthenticationSettings) -> PasswordHasher:
    """Make the hasher that the settings name, which reads the hashes of all the other ways too.

    Raises:
        ConfigurationError: What it needs is not installed, or the pepper has no keys or weak ones.
    """
    bcrypt = BcryptHasher(cost=settings.bcrypt_cost)
    uses_bcrypt = settings.password_hash == "bcrypt"  # noqa: S105 - the name of an algorithm
    argon2 = _make_argon2(settings, is_needed=not uses_bcrypt)
    chosen: PasswordHasher = bcrypt if uses_bcrypt or argon2 is None else argon2
    imported = ImportedHashes(most_memory=settings.stored_hash_memory)
    readers: list[HashReader] = [bcrypt, imported, *([] if argon2 is None else [argon2])]
    hashes: PasswordHasher = PasswordHashes(chosen, readers)
    if keys := _read_pepper_keys(settings):
        measure = encode if uses_bcrypt else len
        hashes = PepperedHasher(hashes, keys, adds=settings.password_pepper, measure=measure)
    return NormalizedHasher(hashes)


def _read_pepper_keys(settings: AuthenticationSettings) -> KeyRing | None:
    given = [secret.get_secret_value() for secret in settings.password_pepper_keys]
    if not given and not settings.password_pepper:
        return None
    try:
        return KeyRing(given)
    except ConfigurationError as error:
        # The ring speaks of the application's secret keys; these are others.
        problem = str(error) if given else "password_pepper needs a random key"
        message = f"STOCKADE_AUTHENTICATION__PASSWORD_PEPPER_KEYS: {problem}"
        raise ConfigurationError(message) from None


def _make_argon2(settings: AuthenticationSettings, *, is_needed: bool) -> Argon2Hasher | None:
    try:
        return Argon2Hasher(
            memory=settings.argon2_memory,
            time=settings.argon2_time,
            most_memory=settings.stored_hash_memory,
        )
    except ConfigurationError:
        if is_needed:
            raise
        # Without the extra there are no such hashes, unless they come from elsewhere: whoever has
        # one is refused, with a reason of its own in the event.
        return None
