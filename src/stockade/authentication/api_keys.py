"""Make and read the secrets of programs: ``X-CLIENT-ID`` and ``X-API-KEY``.

A client identifier is public and names the program. A key carries 256 bits, a prefix that scanners
for secrets know, and a checksum that tells them a real key from a look-alike without asking
anybody. Stores keep a keyed digest alone.

Source: requirement R7; ASVS 5.0 V11.4.1 and V13.3.1.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from stockade.authentication.errors import InvalidKeyError

if TYPE_CHECKING:
    from stockade.crypto import KeyRing

CLIENT_PREFIX: Final = "stkc_"
KEY_PREFIX: Final = "stks_"
BASIC_CHALLENGE: Final = 'Basic realm="programs"'
# Three times the length of both, since every byte may be escaped, and a third for base64.
_BASIC: Final = re.compile(rb"(?i:basic) ([A-Za-z0-9+/]{4,512}={0,2})")
_CLIENT: Final = re.compile(rb"stkc_[0-9a-f]{24}")
_KEY: Final = re.compile(rb"stks_([A-Za-z0-9_-]{43})([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made.

    Args:
        value: The key itself; a secret that is shown once.
        digest: What a store keeps of it.
    """

    value: str = field(repr=False)
    digest: str = field(repr=False)


class APIKeys:
    """Make keys and check what is presented, with digests by keys of a ring.

    Args:
        keys: Secrets of the application; the newest makes digests, all of them compare.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._digest_keys = keys.derive("api-key/digest")

    def generate(self) -> NewKey:
        """Make a key."""
        secret = secrets.token_urlsafe(32)
        value = f"{KEY_PREFIX}{secret}{_checksum(secret.encode('ascii'))}"
        return NewKey(value, self.digest_now(value.encode("ascii")))

    def read(self, value: bytes) -> bytes:
        """Return a key that has the form and the checksum of one.

        Args:
            value: Untrusted.

        Raises:
            InvalidKeyError: It has not.
        """
        shaped = _KEY.fullmatch(value)
        if shaped is None or _checksum(shaped[1]).encode("ascii") != shaped[2]:
            raise InvalidKeyError(reason="authentication.api_key_malformed")
        return value

    def is_key_of(self, value: bytes, digest: str) -> bool:
        """Tell whether a store keeps this key; the time does not tell how much of it is right."""
        # Every digest is compared, whichever of them fits.
        fits = [hmac.compare_digest(self._digest(key, value), digest) for key in self._digest_keys]
        return any(fits)

    def digest_now(self, value: bytes) -> str:
        """Return the digest of a key by the newest key of the ring."""
        return self._digest(self._digest_keys[0], value)

    def digests(self, value: bytes) -> tuple[str, ...]:
        """Return the digests of a key by each key of the ring, the newest first."""
        return tuple(self._digest(key, value) for key in self._digest_keys)

    @staticmethod
    def _digest(key: bytes, value: bytes) -> str:
        return hmac.digest(key, value, sha256).hex()


def generate_client_id() -> str:
    """Make the identifier of a client; it is no secret."""
    return CLIENT_PREFIX + secrets.token_hex(12)


def read_client_id(value: bytes) -> str:
    """Return an identifier that has the form of one.

    Args:
        value: Untrusted.

    Raises:
        InvalidKeyError: It has not.
    """
    if not _CLIENT.fullmatch(value):
        raise InvalidKeyError(reason="authentication.api_key_malformed")
    return value.decode("ascii")


def read_basic(authorization: bytes) -> tuple[bytes, bytes]:
    """Take identifier and key out of an ``Authorization: Basic`` header.

    Both are form-encoded before they are joined, as OAuth has it.

    Args:
        authorization: Value of the header; untrusted.

    Raises:
        InvalidKeyError: It is not two such parts.

    Source: RFC 6749, section 2.3.1; RFC 7617, section 2.
    """
    shaped = _BASIC.fullmatch(authorization)
    try:
        joined = base64.b64decode(shaped[1], validate=True) if shaped else b""
    except binascii.Error:
        joined = b""
    client_id, colon, key = joined.partition(b":")
    if not colon:
        raise InvalidKeyError(reason="authentication.api_key_malformed", challenge=BASIC_CHALLENGE)
    return unquote_to_bytes(client_id), unquote_to_bytes(key)


def _checksum(secret: bytes) -> str:
    return f"{zlib.crc32(secret):08x}"
