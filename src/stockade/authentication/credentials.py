"""Authenticate a request by whichever credentials it brings."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from stockade.authentication.api_keys import BASIC_CHALLENGE, read_basic, read_client_id
from stockade.authentication.browsers import origin_of
from stockade.authentication.cache import BoundedCache
from stockade.authentication.errors import InvalidKeyError
from stockade.core.identity import AuthenticationMethod, Principal, UserId
from stockade.core.limits import LimitRule
from stockade.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from stockade.authentication.api_keys import APIKeys
    from stockade.authentication.authenticator import BearerAuthenticator
    from stockade.authentication.browsers import CookieAuthenticator
    from stockade.authentication.interfaces import AccountStore, APIClientStore
    from stockade.authentication.models import APIClient, APISecret, StoredAPIClient
    from stockade.authentication.outside_issuers import OutsideAuthenticator
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.core.exchange import Exchange

# Compared in the place of an unknown client's, so that the time does not tell them apart.
_NOBODY: Final = "0" * 64
_USE_NOTED_EVERY: Final = 60
# Goes before the identifier of a program that stands for itself.
SERVICE_PREFIX: Final = "client:"


class RequestAuthenticator:
    """Turn the credentials of a request into a principal.

    Args:
        bearer: Knows access tokens.
        keys: Knows the keys of programs.
        cookies: Knows the cookies of browsers; None where cookies are off.
    """

    def __init__(
        self,
        bearer: BearerAuthenticator | OutsideAuthenticator,
        keys: APIKeyAuthenticator,
        cookies: CookieAuthenticator | None,
    ) -> None:
        self._bearer = bearer
        self._keys = keys
        self._cookies = cookies

    def peek(self, exchange: Exchange) -> Principal | None:
        """Return the caller if these very credentials were verified lately and still hold."""
        if exchange.api_key is None:
            if exchange.browser is None or exchange.authorization is not None:
                return self._bearer.peek(exchange.authorization)
            return None if self._cookies is None else self._cookies.peek(exchange.browser)
        return self._keys.peek(exchange.api_key) if exchange.authorization is None else None

    async def authenticate(self, exchange: Exchange) -> Principal:
        """Return the caller of a request.

        Raises:
            UnauthenticatedError: There are no credentials, two kinds of them, or they don't hold.
            StoreError: A store is away.
        """
        if exchange.api_key is None:
            if exchange.authorization is not None and _is_basic(exchange):
                return await self._authenticate_basic(exchange.authorization)
            # A browser adds its cookie to whatever a page sends: what the page says itself counts.
            if exchange.browser is None or exchange.authorization or self._cookies is None:
                return await self._bearer.authenticate(exchange.authorization)
            return await self._cookies.authenticate(
                exchange.browser, own_origin=origin_of(exchange)
            )
        if exchange.authorization is not None:
            # Two callers in one request: whichever counted, somebody would believe in the other.
            raise UnauthenticatedError(reason="authentication.several_credentials")
        return await self._keys.authenticate(exchange.api_key)

    async def _authenticate_basic(self, authorization: bytes) -> Principal:
        presented = read_basic(authorization)
        known = self._keys.peek(presented)
        if known is not None:
            return known
        try:
            return await self._keys.authenticate(presented)
        except InvalidKeyError as error:
            # The scheme that the client used (RFC 6749, section 5.2).
            raise InvalidKeyError(reason=error.reason, challenge=BASIC_CHALLENGE) from None


def _is_basic(exchange: Exchange) -> bool:
    """Tell whether a program brings its key by Basic, to a route that takes it so.

    Everywhere else Basic is refused: browsers keep such credentials, and send them by themselves.
    """
    if exchange.policy is None or not exchange.policy.basic_key:
        return False
    return exchange.authorization is not None and exchange.authorization[:6].lower() == b"basic "


class _Known(NamedTuple):
    principal: Principal
    fresh_until: float
    """Moment (`Clock.monotonic`) from which on the store has to be asked again."""


class APIKeyAuthenticator:
    """Authenticate programs by ``X-CLIENT-ID`` and ``X-API-KEY`` (requirement R7).

    Args:
        store: Where programs live.
        accounts: Says what the owner of a program may do now.
        keys: Checks keys against digests.
        permissions_of: Permissions that follow from roles.
        settings: How long the store is believed.
        clock: Source of time.
    """

    def __init__(
        self,
        store: APIClientStore,
        accounts: AccountStore,
        *,
        keys: APIKeys,
        permissions_of: Callable[[frozenset[str]], frozenset[str]],
        settings: AuthenticationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._keys = keys
        self._permissions_of = permissions_of
        self._lifetime = settings.identity_cache_lifetime
        self._clock = clock
        self._known: BoundedCache[bytes, _Known] = BoundedCache(settings.token_cache_size)

    def peek(self, presented: tuple[bytes | None, bytes | None]) -> Principal | None:
        """Return the caller if this very pair was verified lately and still holds."""
        known = self._known.get(_fingerprint(presented))
        if known is None or self._clock.monotonic() >= known.fresh_until:
            return None
        return known.principal

    async def authenticate(self, presented: tuple[bytes | None, bytes | None]) -> Principal:
        """Return the program, or the account that it acts for.

        Args:
            presented: Values of the two headers; untrusted.

        Raises:
            InvalidKeyError: They do not belong together, or no longer hold.
            StoreError: A store is away.
        """
        client_id, key = presented
        if client_id is None or key is None:
            raise InvalidKeyError(reason="authentication.api_key_incomplete")
        name = read_client_id(client_id)
        value = self._keys.read(key)
        started = self._clock.monotonic()
        now = self._clock.now()
        stored = await self._store.find(name)
        client, secret = self._require_key(stored, value, now)
        principal = await self._make_principal(client)
        used = client.last_used_at
        if used is None or (now - used).total_seconds() >= _USE_NOTED_EVERY:
            await self._store.touch(name, now=now)
        newest = self._keys.digest_now(value)
        if secret.digest != newest:
            # The key of the ring that it was made with can go, once every program has called.
            await self._store.renew(name, secret.secret_id, digest=newest)
        self._known.put(_fingerprint(presented), _Known(principal, started + self._lifetime))
        return principal

    def _require_key(
        self, stored: StoredAPIClient | None, value: bytes, now: datetime
    ) -> tuple[APIClient, APISecret]:
        secrets = () if stored is None else stored.secrets
        # An unknown client costs what a known one costs.
        fitting = [
            secret
            for secret in secrets
            if self._keys.is_key_of(value, secret.digest)
            and (secret.expires_at is None or now < secret.expires_at)
        ]
        if stored is None:
            self._keys.is_key_of(value, _NOBODY)
            raise InvalidKeyError(reason="authentication.api_key_unknown")
        if not fitting:
            raise InvalidKeyError(reason="authentication.api_key_wrong")
        client = stored.client
        ended = client.expires_at is not None and now >= client.expires_at
        if client.revoked_at is not None or ended:
            raise InvalidKeyError(reason="authentication.api_key_ended")
        return client, fitting[0]

    async def _make_principal(self, client: APIClient) -> Principal:
        if client.user_id is None:
            roles, email = client.roles, ""
            user_id = UserId(SERVICE_PREFIX + client.client_id)
            permissions = client.scopes | self._permissions_of(roles)
        else:
            account = await self._accounts.find_by_id(client.user_id, client.tenant_id)
            if account is None or not account.active:
                raise InvalidKeyError(reason="authentication.account_inactive")
            if client.tenant_id is not None and account.tenant_id != client.tenant_id:
                raise InvalidKeyError(reason="authentication.membership_ended")
            user_id, email = account.user_id, account.email
            # Never more than its owner may do now.
            roles = client.roles & account.roles
            permissions = client.scopes & self._permissions_of(account.roles)
            permissions |= self._permissions_of(roles)
        # Its user type is never that of a super admin, and no key is ever a fresh sign-in.
        return Principal(
            user_id=user_id,
            email=email,
            tenant_id=client.tenant_id,
            roles=roles,
            permissions=permissions,
            method=AuthenticationMethod.API_KEY,
            session_id=None,
            limits=_limits_of(client),
        )


def _limits_of(client: APIClient) -> tuple[LimitRule, ...]:
    """Return the limit of a program's own, which counts for it alone and over all routes."""
    amount = client.requests_per_minute
    if amount is None:
        return ()
    return (LimitRule(amount=amount, window=60, scope=f"program:{client.client_id}"),)


def _fingerprint(presented: tuple[bytes | None, bytes | None]) -> bytes:
    client_id, key = presented
    return sha256((client_id or b"") + b"\0" + (key or b"")).digest()
