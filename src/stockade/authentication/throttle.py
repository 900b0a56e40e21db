"""Slow down whoever guesses passwords, without locking anybody out.

Three counts, each of attempts and not of failures, so that parallel guesses are counted before the
first answer:

* by address **and** account: a single guesser is stopped first, and nobody else with it;
* by account alone: many addresses that share the guessing are slowed down to one attempt in a
  while. An address from which the account has a living session is exempt, so that its owner is
  not locked out by it;
* all sign-ins together: a ceiling for the whole application.

Source: ASVS 5.0 V6.3.1; NIST SP 800-63B-4, section 3.2.2.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, Protocol

from stockade.authentication.sign_in import is_storable
from stockade.core.identity import UserId
from stockade.core.limits import LimitRule
from stockade.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.authentication.interfaces import AccountStore, SessionStore
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

_HOUR: Final = 3600
_MINUTE: Final = 60
# Providers hand out at least a /64 to each client.
_IPV6_PREFIX: Final = 64
_NOBODY: Final = UserId("")


class AttemptStore(Protocol):
    """Counts attempts; while it is away nothing may pass."""

    async def take(self, buckets: Sequence[tuple[str, LimitRule]]) -> timedelta | None:
        """Take one attempt from all buckets, or from none where one of them is used up.

        Returns:
            The time until the same would pass; None where it has passed.

        Raises:
            StoreError: The store is away.
        """


@dataclass(frozen=True, slots=True)
class _Rules:
    pair: LimitRule
    account: LimitRule
    everybody: LimitRule


class SignInThrottle:
    """Count attempts to sign in, and refuse those that come too fast.

    Args:
        store: Counts.
        accounts: Finds the account of an address, for its owner's exemption.
        sessions: Knows from where an account is signed in.
        keys: Names of buckets hold a keyed digest, so that no e-mail address is in any store.
        settings: How many attempts.
        clock: Source of time.
    """

    def __init__(
        self,
        store: AttemptStore,
        accounts: AccountStore,
        sessions: SessionStore,
        *,
        keys: KeyRing,
        settings: AuthenticationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._key = keys.derive("sign-in/throttle")[0]
        self._clock = clock
        self._rules = _Rules(
            pair=LimitRule(amount=settings.attempts_per_address, window=_HOUR),
            account=LimitRule(amount=settings.attempts_per_account, window=_HOUR),
            everybody=LimitRule(amount=settings.attempts_in_all, window=_MINUTE),
        )

    async def check(self, email: str, address: str) -> None:
        """Count one attempt.

        Args:
            email: The address that somebody wants to sign in with; untrusted.
            address: Where the attempt comes from.

        Raises:
            RateLimitedError: It comes too fast; known and unknown accounts read the same.
            StoreError: A store is away.
        """
        lowered = email.lower()
        account = hmac.digest(self._key, lowered.encode("utf-8", "surrogatepass"), sha256).hex()
        network = network_of(address)
        first = [
            ("sign-in:everybody", self._rules.everybody),
            (f"sign-in:pair:{{{account}}}:{network}", self._rules.pair),
        ]
        wait = await self._store.take(first)
        if wait is None:
            shared = [(f"sign-in:account:{{{account}}}", self._rules.account)]
            wait = await self._store.take(shared)
            if wait is not None and await self._is_at_home(lowered, network):
                return
        if wait is not None:
            raise RateLimitedError(reason="authentication.too_many_attempts", retry_after=wait)

    async def _is_at_home(self, email: str, network: str) -> bool:
        account = await self._accounts.find_by_email(email) if is_storable(email) else None
        # An unknown account costs the same question.
        user_id = _NOBODY if account is None else account.user_id
        active = await self._sessions.list_active(user_id, now=self._clock.now())
        return account is not None and any(
            network_of(session.address) == network for session in active
        )


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or a /64 of IPv6.

    >>> network_of("192.0.2.7"), network_of("2001:db8::1"), network_of("testclient")
    ('192.0.2.7', '2001:db8::/64', 'unknown')
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed)
