"""Make and use one-time links: what a mail holds and its recipient alone can know.

A link carries 256 random bits; stores keep a keyed digest alone. It belongs to one purpose, one
address and one state of the account: whatever changes the password, the address or the epoch ends
it, used or not. Of several links for one purpose the newest holds, and it holds once.

Source: ASVS 5.0 V6.4.1 (random, short-lived, single use), V6.5.1, V6.5.3.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stockade.authentication.errors import InvalidLinkError
from stockade.authentication.models import StoredLink

if TYPE_CHECKING:
    from datetime import timedelta

    from stockade.authentication.interfaces import LinkStore
    from stockade.authentication.models import Account
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

PREFIX: Final = "stkl_"
_BYTES: Final = 32
# The last of 43 characters has two bits that mean nothing, and that are zero in a token of ours:
# one token has one spelling.
_SHAPE: Final = re.compile(PREFIX + r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)


class LinkPurpose(StrEnum):
    """What a link is for; it is good for nothing else."""

    REGISTER = "register"
    RESET_PASSWORD = "reset-password"  # noqa: S105 - the name of a purpose
    ALLOW_EMAIL = "allow-email"
    CONFIRM_EMAIL = "confirm-email"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A link that somebody has come back with, not used up yet.

    Args:
        stored: What the store knows of it.
        digests: By which it is found: one for each key.
    """

    stored: StoredLink
    digests: tuple[str, ...]


class OneTimeLinks:
    """Make one-time links, look at them, and use them up.

    Args:
        store: Where their digests live.
        keys: Secrets of the application; the newest makes digests, all of them find.
        clock: Source of time.
    """

    def __init__(self, store: LinkStore, *, keys: KeyRing, clock: Clock) -> None:
        self._store = store
        self._digest_keys = keys.derive("one-time/digest")
        self._state_keys = keys.derive("one-time/state")
        self._clock = clock

    async def issue(
        self,
        purpose: LinkPurpose,
        email: str,
        account: Account | None,
        *,
        lifetime: timedelta,
    ) -> str:
        """Make a link, which ends the one before it, and return its token; a secret.

        Args:
            purpose: What it is for.
            email: The address that it is about.
            account: Whose it is; None where there is no account yet.
            lifetime: How long it holds.

        Raises:
            StoreError: The links are away.
        """
        token = PREFIX + secrets.token_urlsafe(_BYTES)
        now = self._clock.now()
        link = StoredLink(
            purpose=purpose,
            email=email,
            user_id=None if account is None else account.user_id,
            state=self._states(account)[0],
            created_at=now,
            expires_at=now + lifetime,
        )
        await self._store.put(link, digest=self._digests(purpose, token)[0], now=now)
        return token

    async def look(self, purpose: LinkPurpose, token: str) -> Presented:
        """Find a link without using it up.

        Args:
            purpose: What it has to be for.
            token: Untrusted.

        Raises:
            InvalidLinkError: It is none, for something else, over, used, or not the newest.
            StoreError: The links are away.
        """
        if not _SHAPE.fullmatch(token):
            raise InvalidLinkError(reason="authentication.link_malformed")
        digests = self._digests(purpose, token)
        stored = await self._store.find(digests, now=self._clock.now())
        # The digest is that of the purpose; the second look is for a store that is not ours.
        if stored is None or stored.purpose != purpose:
            raise InvalidLinkError(reason="authentication.link_unknown")
        return Presented(stored=stored, digests=digests)

    def require_state(self, presented: Presented, account: Account | None) -> Account:
        """Return the account of a link, unless it is no longer as it was when the link was made.

        Raises:
            InvalidLinkError: The account is gone, inactive, or has changed.
        """
        stored = presented.stored
        if account is None or account.user_id != stored.user_id or not account.active:
            raise InvalidLinkError(reason="authentication.link_account")
        kept = stored.state.encode()
        if not any(hmac.compare_digest(kept, each.encode()) for each in self._states(account)):
            raise InvalidLinkError(reason="authentication.link_outdated")
        return account

    async def use(self, presented: Presented) -> None:
        """Use a link up; of any number of calls one comes through.

        Raises:
            InvalidLinkError: It was used up meanwhile.
            StoreError: The links are away.
        """
        if not await self._store.take(presented.digests, now=self._clock.now()):
            raise InvalidLinkError(reason="authentication.link_used")

    def _digests(self, purpose: LinkPurpose, token: str) -> tuple[str, ...]:
        told = f"{purpose}\0{token}".encode("ascii")
        return tuple(hmac.digest(key, told, sha256).hex() for key in self._digest_keys)

    def _states(self, account: Account | None) -> tuple[str, ...]:
        """Return digests of what must not have changed when a link is used."""
        parts: tuple[str, ...] = ()
        if account is not None:
            epoch = str(account.token_epoch)
            parts = (account.user_id, account.email, account.password_hash, epoch)
        # Lengths part them, so that no two states read the same.
        told = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
        return tuple(hmac.digest(key, told, sha256).hex() for key in self._state_keys)
