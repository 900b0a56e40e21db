"""Seal what has to be read again: secrets in a store, and values that a client carries for a while.

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
import json
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stockade.errors import StockadeError

if TYPE_CHECKING:
    from datetime import timedelta

    from stockade.core.clock import Clock
    from stockade.crypto.keys import KeyRing

_SALT: Final = 24
_TAG: Final = 16
# Its key is never used for another message.
_NONCE: Final = bytes(12)
_MOMENT: Final = 8
# Below what browsers keep as one cookie.
LONGEST: Final = 3500


class SealError(StockadeError):
    """A sealed value can't be opened: it was changed or moved, or its key has left the ring."""

    code = "seal"


class SealExpiredError(SealError):
    """A sealed value is ours, and too old."""

    code = "seal_expired"


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
        if base64.urlsafe_b64encode(raw).decode("ascii") != sealed:
            # One value has one spelling: what works once must not work once more in another.
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


class TimedSealer:
    """Seal values of one purpose that a client carries a while, and can neither read nor change.

    Args:
        keys: Secrets of the application; the newest seals, all of them open.
        purpose: Name of the use; what is sealed for one never opens for another.
        clock: Source of time.
    """

    def __init__(self, keys: KeyRing, purpose: str, *, clock: Clock) -> None:
        self._sealer = Sealer(keys, f"seal/{purpose}")
        self._purpose = purpose
        self._clock = clock

    def seal(self, values: dict[str, Any], *, lifetime: timedelta) -> str:
        """Return a text that stands for values.

        Args:
            values: What JSON can hold.
            lifetime: How long it can be opened.
        """
        ends = int((self._clock.now() + lifetime).timestamp())
        plain = ends.to_bytes(_MOMENT, "big") + json.dumps(values).encode("ascii")
        return self._sealer.seal(plain, owner=self._purpose)

    def open(self, text: str) -> dict[str, Any]:
        """Return the values that a text stands for.

        Args:
            text: Untrusted.

        Raises:
            SealExpiredError: It is too old.
            SealError: It was not sealed here for this purpose.
        """
        # The length first: nobody has us decode what can't be ours.
        plain = self._sealer.open(text if len(text) <= LONGEST else "", owner=self._purpose)
        if self._clock.now().timestamp() >= int.from_bytes(plain[:_MOMENT], "big"):
            raise SealExpiredError("a sealed value is too old")
        values: dict[str, Any] = json.loads(plain[_MOMENT:])
        return values


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, salt, sha256))
