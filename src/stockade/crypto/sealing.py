"""Seal what has to be read again, such as the secret behind one-time passwords.

AES-256-GCM, with a key of its own for each message: it follows from a key of the ring and 192
random bits, so that no pair of key and nonce comes twice, however many messages there are. What a
message belongs to is bound to it, so that nobody who can write to the store moves it to another
account.

Source: NIST SP 800-38D; NIST SP 800-108 (a key for each message); ASVS 5.0 V11.3.3.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stockade.errors import StockadeError

if TYPE_CHECKING:
    from stockade.crypto.keys import KeyRing

_SALT: Final = 24
_TAG: Final = 16
# Its key is never used for another message.
_NONCE: Final = bytes(12)


class SealError(StockadeError):
    """A sealed value can't be opened: it was changed or moved, or its key has left the ring."""

    code = "seal"


class Sealer:
    """Seal and open values of one purpose.

    Args:
        keys: Secrets of the application; the newest seals, all of them open.
        purpose: Name of the use.
    """

    def __init__(self, keys: KeyRing, purpose: str) -> None:
        self._keys = keys.derive(purpose)

    def seal(self, value: bytes, *, owner: str) -> str:
        """Return a value sealed, as text in base64url.

        Args:
            value: The secret.
            owner: What it belongs to; it opens for no other.
        """
        salt = secrets.token_bytes(_SALT)
        sealed = _cipher(self._keys[0], salt).encrypt(_NONCE, value, owner.encode())
        return base64.urlsafe_b64encode(salt + sealed).decode("ascii")

    def open(self, sealed: str, *, owner: str) -> bytes:
        """Return a sealed value.

        Raises:
            SealError: It was not sealed for this owner by a key of the ring.
        """
        return self._open(sealed, owner, self._keys)

    def renew(self, sealed: str, *, owner: str) -> str | None:
        """Seal a value anew that an older key of the ring has sealed; None where the newest has.

        Raises:
            SealError: It was not sealed for this owner by a key of the ring.
        """
        value = self.open(sealed, owner=owner)
        try:
            self._open(sealed, owner, self._keys[:1])
        except SealError:
            return self.seal(value, owner=owner)
        return None

    def _open(self, sealed: str, owner: str, keys: tuple[bytes, ...]) -> bytes:
        try:
            raw = base64.b64decode(sealed.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeError):
            raw = b""
        salt, rest = raw[:_SALT], raw[_SALT:]
        if len(rest) >= _TAG:
            for key in keys:
                try:
                    return _cipher(key, salt).decrypt(_NONCE, rest, owner.encode())
                except InvalidTag:
                    continue
        message = "a sealed value can't be opened: it was changed, or its key has left the ring"
        raise SealError(message)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, salt, sha256))
