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
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.crypto import KeyRing

__all__ = ["Argon2Hasher", "PasswordHasher", "PasswordHashes", "choose_hasher"]


def choose_hasher(settings: AuthenticationSettings, keys: KeyRing | None = None) -> PasswordHasher:
    """Make the hasher that the settings name, which reads the hashes of all the other ways too.

    Args:
        settings: How new passwords are hashed.
        keys: The application's secrets, for ``password_pepper``.

    Raises:
        ConfigurationError: What it needs is not installed, or there are no keys for the pepper.
    """
    bcrypt = BcryptHasher(cost=settings.bcrypt_cost)
    uses_bcrypt = settings.password_hash == "bcrypt"  # noqa: S105 - the name of an algorithm
    argon2 = _make_argon2(settings, is_needed=not uses_bcrypt)
    chosen: PasswordHasher = bcrypt if uses_bcrypt or argon2 is None else argon2
    readers: list[HashReader] = [bcrypt, ImportedHashes(most_memory=settings.stored_hash_memory)]
    hashes: PasswordHasher = PasswordHashes(
        chosen, readers if argon2 is None else [argon2, *readers]
    )
    if keys is not None:
        measure = encode if uses_bcrypt else len
        hashes = PepperedHasher(hashes, keys, adds=settings.password_pepper, measure=measure)
    elif settings.password_pepper:
        message = "password_pepper needs the application's secrets: pass keys= to choose_hasher"
        raise ConfigurationError(message)
    return NormalizedHasher(hashes)


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
