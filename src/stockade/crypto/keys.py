"""Derive one key per purpose from the application's secrets.

The secrets are a list, oldest to newest: the newest makes new signatures, all of them still verify
old ones. Each purpose gets a key of its own (RFC 5869), so that a key for one use never works for
another.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM_LENGTH = 32
# The least of 300,000 random secrets of 32 hexadecimal digits reached 86 by this estimate.
_MINIMUM_ENTROPY_BITS = 80.0
_GROUP = 3
_PLACEHOLDERS = (
    "changeme",
    "change-me",
    "secret-key",
    "your-secret",
    "example",
    "placeholder",
    "insecure",
    "password",
)


class KeyRing:
    """The application's secrets, oldest to newest.

    Args:
        secrets: Secrets as configured, oldest first; each at least 32 characters and not a
            placeholder.

    Raises:
        ConfigurationError: There is no secret, or one is weak; the message never repeats it.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            message = (
                "no secret key: set STOCKADE_SECRET_KEYS (or SECRET_KEY) to at least 32 random "
                "characters"
            )
            raise ConfigurationError(message)
        for position, secret in enumerate(secrets, start=1):
            weakness = weakness_of(secret)
            if weakness:
                message = (
                    f"secret key {position} of {len(secrets)} {weakness}: make one with "
                    "`openssl rand -base64 48`"
                )
                raise ConfigurationError(message)
        self._secrets = tuple(secret.encode() for secret in secrets)

    def __repr__(self) -> str:
        return f"KeyRing({len(self._secrets)} secrets)"

    def derive(self, purpose: str, *, length: int = 32) -> tuple[bytes, ...]:
        """Derive the keys of one purpose, newest first.

        Args:
            purpose: Name of the use, such as ``jwt/ed25519``.
            length: Bytes of each key.

        Source: RFC 5869 (HKDF); NIST SP 800-108 on separating keys by purpose.
        """
        info = b"stockade/" + purpose.encode()
        return tuple(
            HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)
            for secret in reversed(self._secrets)
        )


def weakness_of(secret: str) -> str | None:
    """Say in a few words why a secret is weak, or return None.

    Source: ASVS 5.0 V11.5.1 (at least 128 bits from a cryptographic generator). The estimate is
        Shannon's for one character, times the number of different groups of three: random text
        hardly repeats a group, and a repeated word has few, however long it is.
    """
    if any("\ud800" <= character <= "\udfff" for character in secret):
        return "is not valid text"
    if len(secret) < MINIMUM_LENGTH:
        return f"is shorter than {MINIMUM_LENGTH} characters"
    lowered = secret.lower()
    if any(word in lowered for word in _PLACEHOLDERS):
        return "looks like a placeholder"
    shares = [count / len(secret) for count in Counter(secret).values()]
    per_character = -sum(share * math.log2(share) for share in shares)
    groups = {secret[start : start + _GROUP] for start in range(len(secret) - _GROUP + 1)}
    if per_character * (len(groups) + _GROUP - 1) < _MINIMUM_ENTROPY_BITS:
        return "repeats itself or is made of too few different characters"
    return None
