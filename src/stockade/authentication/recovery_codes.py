"""Make and read recovery codes: for whoever has lost the second factor.

Each carries 120 bits, so that a keyed digest is enough and no slow hash is needed, and works once.
Case, spaces and dashes do not count: the codes are typed in from paper.

Source: NIST SP 800-63B-4, section 3.1.2 (look-up secrets); ASVS 5.0 V6.5.1 and V6.5.2.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stockade.core.identity import UserId
    from stockade.crypto import KeyRing

COUNT: Final = 10
_BYTES: Final = 15
_GROUP: Final = 4
# Base32 has neither 0 nor 1, which look like letters.
_SHAPE: Final = re.compile(r"[a-z2-7]{24}", re.ASCII)


class RecoveryCodes:
    """Make, read and digest recovery codes with keys of a ring.

    Args:
        keys: Secrets of the application; the newest digests, all of them read.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys.derive("recovery-codes")

    def generate(self) -> tuple[str, ...]:
        """Draw new codes, as they are shown.

        >>> from stockade.crypto import KeyRing
        >>> codes = RecoveryCodes(KeyRing([secrets.token_hex(32)])).generate()
        >>> len(codes), len(codes[0])
        (10, 29)
        """
        return tuple(_draw() for _ in range(COUNT))

    def digests(self, user_id: UserId, code: str) -> tuple[str, ...]:
        """Return what stores keep in the place of a code: one for each key, the newest first.

        Args:
            user_id: Whose it is; the same code of another account has another digest.
            code: A code that `read` has returned, or that `generate` has made.
        """
        # The code has a fixed length, so that no two pairs read the same.
        message = code.replace("-", "").encode() + user_id.encode()
        return tuple(hmac.digest(key, message, sha256).hex() for key in self._keys)


def read_code(value: str) -> str | None:
    """Return what somebody typed in as one code, or None where it has another shape.

    Args:
        value: Untrusted.

    >>> read_code(" ABCD-efgh ijkl-MNOP qrst uvwx"), read_code("287082")
    ('abcdefghijklmnopqrstuvwx', None)
    """
    if not value.isascii():
        return None
    plain = value.lower().replace("-", "").replace(" ", "")
    return plain if _SHAPE.fullmatch(plain) else None


def _draw() -> str:
    text = base64.b32encode(secrets.token_bytes(_BYTES)).decode("ascii").lower()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))
