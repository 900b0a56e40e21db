"""Hash passwords and check them, off the event loop."""

from stockade.authentication.errors import PasswordTooLongError
from stockade.authentication.passwords.argon2_hasher import Argon2Hasher
from stockade.authentication.passwords.bcrypt_hasher import MAXIMUM_BYTES, BcryptHasher
from stockade.authentication.passwords.hashes import PasswordHashes
from stockade.authentication.passwords.imported import ImportedHashes
from stockade.authentication.passwords.interfaces import HashReader, PasswordHasher
from stockade.authentication.passwords.pool import HashingPool

__all__ = [
    "MAXIMUM_BYTES",
    "Argon2Hasher",
    "BcryptHasher",
    "HashReader",
    "HashingPool",
    "ImportedHashes",
    "PasswordHasher",
    "PasswordHashes",
    "PasswordTooLongError",
]
