"""Hand values to a client that it can neither read nor change, for a while.

Source: NIST SP 800-38D (AES-GCM, with random nonces of 96 bits).
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.jws import decode_base64url, encode_base64url, read_object

if TYPE_CHECKING:
    from datetime import timedelta

    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

_NONCE: Final = 12
_TAG: Final = 16
_MOMENT: Final = 8
# Below what browsers keep as one cookie.
LONGEST: Final = 3500


class SealError(ValueError):
    """What a client presents was not sealed here for this purpose, or no longer holds.

    Args:
        expired: Whether it is ours, and too old.
    """

    def __init__(self, *, expired: bool) -> None:
        super().__init__("it is too old" if expired else "it was not sealed here")
        self.expired = expired


class Sealer:
    """Seal and open values of one purpose.

    Args:
        keys: Secrets of the application; the newest seals, all of them open.
        purpose: Name of the use; what is sealed for one never opens for another.
        clock: Source of time.
    """

    def __init__(self, keys: KeyRing, purpose: str, *, clock: Clock) -> None:
        self._ciphers = [AESGCM(key) for key in keys.derive(f"seal/{purpose}")]
        self._purpose = purpose.encode("ascii")
        self._clock = clock

    def seal(self, values: dict[str, Any], *, lifetime: timedelta) -> str:
        """Return a text that stands for values.

        Args:
            values: What JSON can hold.
            lifetime: How long it can be opened.
        """
        ends = int((self._clock.now() + lifetime).timestamp())
        plain = ends.to_bytes(_MOMENT, "big") + json.dumps(values).encode("ascii")
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._ciphers[0].encrypt(nonce, plain, self._purpose)
        return encode_base64url(sealed).decode("ascii")

    def open(self, text: str) -> dict[str, Any]:
        """Return the values that a text stands for.

        Args:
            text: Untrusted.

        Raises:
            SealError: It was not sealed here for this purpose, or is too old.
        """
        plain = self._decrypt(text)
        if self._clock.now().timestamp() >= int.from_bytes(plain[:_MOMENT], "big"):
            raise SealError(expired=True)
        return read_object(plain[_MOMENT:])

    def _decrypt(self, text: str) -> bytes:
        if len(text) > LONGEST or not text.isascii():
            raise SealError(expired=False)
        try:
            raw = decode_base64url(text.encode("ascii"))
        except InvalidTokenError:
            raise SealError(expired=False) from None
        if len(raw) < _NONCE + _MOMENT + _TAG:
            raise SealError(expired=False)
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], self._purpose)
            except InvalidTag:
                continue
        raise SealError(expired=False)
