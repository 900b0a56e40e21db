"""Keep others from filling somebody's mailbox, and from making a mail server send for them."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stockade.authentication.throttle import network_of
from stockade.core.limits import LimitRule
from stockade.errors import RateLimitedError

if TYPE_CHECKING:
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.throttle import AttemptStore
    from stockade.crypto import KeyRing

_HOUR: Final = 3600
_MINUTE: Final = 60


class MailThrottle:
    """Count links that are asked for, by address and by client, and refuse those beyond.

    Args:
        store: Counts.
        keys: Names of buckets hold a keyed digest, so that no e-mail address is in any store.
        settings: How many.
    """

    def __init__(
        self, store: AttemptStore, *, keys: KeyRing, settings: AuthenticationSettings
    ) -> None:
        self._store = store
        self._key = keys.derive("one-time/throttle")[0]
        self._address = LimitRule(amount=settings.mails_per_address, window=_HOUR)
        self._client = LimitRule(amount=settings.mails_per_client, window=_HOUR)
        self._everybody = LimitRule(amount=settings.attempts_in_all, window=_MINUTE)

    async def check(self, email: str, address: str) -> None:
        """Count one link.

        Args:
            email: Where it would be sent; untrusted.
            address: Where the request comes from.

        Raises:
            RateLimitedError: There are too many; known and unknown addresses read the same.
            StoreError: The store is away.
        """
        told = email.lower().encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, told, sha256).hex()
        wait = await self._store.take(
            [
                ("mail:everybody", self._everybody),
                (f"mail:client:{network_of(address)}", self._client),
                (f"mail:address:{{{digest}}}", self._address),
            ]
        )
        if wait is not None:
            raise RateLimitedError(reason="authentication.too_many_mails", retry_after=wait)
