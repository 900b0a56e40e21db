"""Make the tokens of invitations: 256 random bits, of which a keyed digest is kept."""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from stockade.crypto import KeyRing

PREFIX: Final = "stki_"
# Invitations that were links before migration 0011 go on with the tokens that they had.
_LINK_PREFIX: Final = "stkl_"
_BYTES: Final = 32
# The last of 43 characters has two bits that mean nothing, and that are zero in a token of ours.
_SHAPE: Final = re.compile(r"stk[il]_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)


class InvitationTokens:
    """Make tokens of invitations, and the digests by which they are found.

    Args:
        keys: Secrets of the application; the newest makes digests, all of them find.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys.derive("tenants/invitation")
        self._link_keys = keys.derive("one-time/digest")

    def issue(self) -> tuple[str, str]:
        """Return a new token and the digest that is kept of it."""
        token = PREFIX + secrets.token_urlsafe(_BYTES)
        return token, self.digests(token)[0]

    def digests(self, token: str) -> tuple[str, ...]:
        """Return the digests that a token may be kept under.

        Args:
            token: Untrusted.

        Raises:
            NotFoundError: It is none.
        """
        if not _SHAPE.fullmatch(token):
            raise NotFoundError(reason="authorization.invitation_malformed")
        keys, told = self._keys, token.encode("ascii")
        if token.startswith(_LINK_PREFIX):
            keys, told = self._link_keys, b"invitation\0" + told
        return tuple(hmac.digest(key, told, sha256).hex() for key in keys)
