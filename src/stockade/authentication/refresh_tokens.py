"""Make and read the secrets of sessions: refresh tokens, exchanged once each, and cookies.

A token names its session and its place in the chain, and carries 256 bits that nobody can guess.
The next one of the chain follows from it and from a key of the server, so that a client whose
answer was lost, or a second tab, gets the very same successor, and no secret has to be kept for it.
A tag tells a token of ours that is out of date, which ends the session, from a made-up one, which
ends nothing.

Source: RFC 9700, section 4.14.2 (rotation and reuse); ASVS 5.0 V10.4.5.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID

from stockade.authentication.errors import InvalidTokenError

if TYPE_CHECKING:
    from stockade.crypto import KeyRing

PREFIX: Final = "stkr_"
COOKIE_PREFIX: Final = "stkk_"
_SESSION: Final = 16
_PLACE: Final = 4
_SECRET: Final = 32
_TAG: Final = 16
_BODY: Final = _SESSION + _PLACE + _SECRET
# 68 bytes in base64url without padding.
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{91}", re.ASCII)
_LAST_PLACE: Final = 2 ** (8 * _PLACE) - 1


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token or cookie of ours.

    Args:
        prefix: What tells the two apart.
        session_id: The session that it belongs to.
        place: Its place in the chain, from 0.
        body: Everything but the tag; a secret.
        tag: Shows that the body is ours.
    """

    prefix: str
    session_id: str
    place: int
    body: bytes = field(repr=False)
    tag: bytes = field(repr=False)

    @property
    def value(self) -> str:
        """The token as the client keeps it; a secret."""
        return self.prefix + base64.urlsafe_b64encode(self.body + self.tag).decode("ascii").rstrip(
            "="
        )


class RefreshTokens:
    """Make, read and digest refresh tokens or cookies with keys of a ring.

    Neither is ever taken for the other: their keys differ, and so do their prefixes.

    Args:
        keys: Secrets of the application; the newest makes tokens, all of them read.
        prefix: `PREFIX` or `COOKIE_PREFIX`.
    """

    def __init__(self, keys: KeyRing, *, prefix: str = PREFIX) -> None:
        purpose = "refresh" if prefix == PREFIX else "cookie"
        self._prefix = prefix
        self._tag_keys = keys.derive(f"{purpose}/tag")
        self._chain_keys = keys.derive(f"{purpose}/chain")
        self._digest_keys = keys.derive(f"{purpose}/digest")

    def begin(self, session_id: str) -> RefreshToken:
        """Make the first token of a session."""
        return self._make(session_id, 0, secrets.token_bytes(_SECRET))

    def read(self, value: str) -> RefreshToken:
        """Read what a client presents.

        Args:
            value: Untrusted.

        Raises:
            InvalidTokenError: It is no refresh token of ours.
        """
        encoded = value.removeprefix(self._prefix)
        if encoded == value or not _SHAPE.fullmatch(encoded):
            raise InvalidTokenError(reason="authentication.refresh_malformed")
        try:
            raw = base64.b64decode(encoded + "=", altchars=b"-_", validate=True)
        except binascii.Error:
            raise InvalidTokenError(reason="authentication.refresh_malformed") from None
        body, tag = raw[:_BODY], raw[_BODY:]
        if not any(hmac.compare_digest(_tag(key, body), tag) for key in self._tag_keys):
            raise InvalidTokenError(reason="authentication.refresh_unknown")
        place = int.from_bytes(body[_SESSION : _SESSION + _PLACE], "big")
        session_id = str(UUID(bytes=body[:_SESSION]))
        token = RefreshToken(self._prefix, session_id, place, body, tag)
        if token.value != value:
            # The last character has bits that mean nothing: one token has one spelling.
            raise InvalidTokenError(reason="authentication.refresh_malformed")
        return token

    def digests(self, token: RefreshToken) -> tuple[str, ...]:
        """Return what stores keep in the place of a token: one for each key, the newest first."""
        return tuple(_mac(key, token.body).hex() for key in self._digest_keys)

    def successors(self, token: RefreshToken) -> tuple[RefreshToken, ...]:
        """Return the next token of the chain: one for each key, the newest first.

        Raises:
            InvalidTokenError: The chain is at its end.
        """
        if token.place == _LAST_PLACE:
            raise InvalidTokenError(reason="authentication.refresh_unknown")
        return tuple(
            self._make(token.session_id, token.place + 1, _mac(key, token.body))
            for key in self._chain_keys
        )

    def _make(self, session_id: str, place: int, secret: bytes) -> RefreshToken:
        body = UUID(session_id).bytes + place.to_bytes(_PLACE, "big") + secret
        tag = _tag(self._tag_keys[0], body)
        return RefreshToken(self._prefix, session_id, place, body, tag)


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, sha256)


def _tag(key: bytes, body: bytes) -> bytes:
    return _mac(key, body)[:_TAG]
