"""Slow down whoever guesses the codes of a second factor.

Three codes of a million hold at any moment, so that the number of tries has to be small. They are
counted for each account: whoever tries has given the first factor already, and may come from any
number of addresses. Those from which the account is signed in have a count of their own, so that
its owner is not locked out by somebody who knows the password.

Source: NIST SP 800-63B-4, section 3.2.2; ASVS 5.0 V6.3.1.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stockade.authentication.throttle import network_of
from stockade.core.limits import LimitRule
from stockade.errors import RateLimitedError

if TYPE_CHECKING:
    from stockade.authentication.interfaces import SessionStore
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.throttle import AttemptStore
    from stockade.core.clock import Clock
    from stockade.core.identity import UserId
    from stockade.crypto import KeyRing

_HOUR: Final = 3600
_DAY: Final = 86_400
# At ten an hour, forty a day: a guess in a year of trying without a break has a chance of 1 in 23.
_HOURS: Final = 4


class FactorThrottle:
    """Count codes that are tried, and refuse those that come too fast.

    Args:
        store: Counts.
        sessions: Knows from where an account is signed in.
        keys: Names of buckets hold a keyed digest, so that no identifier is in any store.
        settings: How many codes.
        clock: Source of time.
    """

    def __init__(
        self,
        store: AttemptStore,
        sessions: SessionStore,
        *,
        keys: KeyRing,
        settings: AuthenticationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._key = keys.derive("factors/throttle")[0]
        self._clock = clock
        amount = settings.factor_attempts
        self._rules = (
            ("hour", LimitRule(amount=amount, window=_HOUR)),
            ("day", LimitRule(amount=amount * _HOURS, window=_DAY)),
        )

    async def check(self, user_id: UserId, address: str) -> None:
        """Count one code.

        Args:
            user_id: The account whose code it would be.
            address: Where it comes from.

        Raises:
            RateLimitedError: Codes come too fast.
            StoreError: A store is away.
        """
        account = hmac.digest(self._key, user_id.encode(), sha256).hex()
        network = network_of(address)
        active = await self._sessions.list_active(user_id, now=self._clock.now())
        at_home = any(network_of(session.address) == network for session in active)
        # All of them share one count: the address of a stolen session goes where its thief goes.
        place = "home" if at_home else "elsewhere"
        buckets = [(f"factor:{name}:{{{account}}}:{place}", rule) for name, rule in self._rules]
        wait = await self._store.take(buckets)
        if wait is not None:
            raise RateLimitedError(reason="authentication.too_many_codes", retry_after=wait)
