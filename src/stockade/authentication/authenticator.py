"""Turn an ``Authorization: Bearer`` header into a principal.

A signature is checked once per token and process; what the database says about the account is
believed for at most `AuthenticationSettings.identity_cache_lifetime`, so that a revoked role or
account takes effect within that time.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from stockade.authentication.cache import BoundedCache
from stockade.authentication.errors import InvalidTokenError
from stockade.core.identity import AuthenticationMethod, Principal
from stockade.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.interfaces import AccountStore, SessionStore
    from stockade.authentication.models import AccessToken, Account
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.tokens import AccessTokens
    from stockade.core.clock import Clock
    from stockade.core.identity import TenantId, UserId

_SCHEME = b"bearer "
# User, tenant and session.
_Key: TypeAlias = "tuple[UserId, TenantId | None, str | None]"


class _Verified(NamedTuple):
    token: AccessToken
    account: Account
    principal: Principal
    fresh_until: float
    """Moment (`Clock.monotonic`) from which on token and account have to be looked at again."""


class BearerAuthenticator:
    """Authenticate requests by their access token.

    Args:
        tokens: Verifies the signature and the claims.
        accounts: Says what the account may do now.
        sessions: Says whether the session of a token goes on.
        permissions_of: Permissions that follow from roles.
        settings: Sizes and lifetimes of the caches.
        clock: Source of time.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        accounts: AccountStore,
        sessions: SessionStore,
        *,
        permissions_of: Callable[[frozenset[str]], frozenset[str]],
        settings: AuthenticationSettings,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._identities = IdentityCache(accounts, sessions, settings=settings, clock=clock)
        self._permissions_of = permissions_of
        self._clock = clock
        self._verified: BoundedCache[bytes, _Verified] = BoundedCache(settings.token_cache_size)

    def peek(self, authorization: bytes | None) -> Principal | None:
        """Return the caller if this very header was verified lately and is still fresh.

        Args:
            authorization: The value of the request's only ``Authorization`` header; untrusted.

        Returns:
            The caller; None where `authenticate` has to decide.
        """
        if authorization is None:
            return None
        known = self._verified.get(sha256(authorization).digest())
        if known is None or self._clock.monotonic() >= known.fresh_until:
            return None
        return known.principal

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """Return the caller of a request.

        Args:
            authorization: The value of the request's only ``Authorization`` header; untrusted.

        Raises:
            UnauthenticatedError: There is no bearer token.
            InvalidTokenError: The token does not hold, or its account no longer backs it.
            StoreError: The accounts are away.
        """
        if authorization is None:
            raise UnauthenticatedError(reason="authentication.no_credentials")
        digest = sha256(authorization).digest()
        known = self._verified.get(digest)
        if known is not None and self._clock.monotonic() < known.fresh_until:
            return known.principal
        return await self._authenticate(authorization, digest, known)

    async def _authenticate(
        self, authorization: bytes, digest: bytes, known: _Verified | None
    ) -> Principal:
        if known is None:
            token = self._tokens.verify(
                read_bearer(authorization).decode("ascii", errors="replace")
            )
        else:
            token = known.token
        started = self._clock.monotonic()
        remaining = token.expires_at - self._clock.now().timestamp()
        if remaining <= 0:
            self._verified.discard(digest)
            raise InvalidTokenError(reason="authentication.token_expired")
        account, believed_until = await self._identities.load(token)
        fresh_until = min(believed_until, started + remaining)
        if known is not None and known.account is account:
            self._verified.put(digest, known._replace(fresh_until=fresh_until))
            return known.principal
        check_backing(token, account)
        principal = self._make_principal(token, account)
        self._verified.put(digest, _Verified(token, account, principal, fresh_until))
        return principal

    def _make_principal(self, token: AccessToken, account: Account) -> Principal:
        roles = account.roles
        return Principal(
            user_id=account.user_id,
            email=account.email,
            user_type=account.user_type,
            tenant_id=token.tenant_id,
            roles=roles,
            permissions=self._permissions_of(roles),
            method=AuthenticationMethod.BEARER,
            authenticated_at=token.authenticated_at,
            session_id=token.session_id,
            factors=token.factors,
        )


def read_bearer(authorization: bytes) -> bytes:
    """Take the token out of an ``Authorization`` header (RFC 6750, section 2.1).

    Raises:
        UnauthenticatedError: It is of another scheme.
    """
    if authorization[:7].lower() != _SCHEME:
        raise UnauthenticatedError(reason="authentication.other_scheme")
    return authorization[7:].strip(b" ")


def check_backing(token: AccessToken, account: Account) -> None:
    """Check that the account still stands behind a token.

    Raises:
        InvalidTokenError: The account is gone or inactive, its tokens were ended, or it left the
            tenant.
    """
    check_account(account, epoch=token.token_epoch, tenant_id=token.tenant_id)


def check_account(account: Account, *, epoch: int, tenant_id: TenantId | None) -> None:
    """Check that an account still stands behind what was issued to it.

    Args:
        account: The account, as it is now.
        epoch: Its epoch at that time.
        tenant_id: The tenant that was active.

    Raises:
        InvalidTokenError: It is inactive, its tokens were ended, or it left the tenant.
    """
    if not account.active:
        raise InvalidTokenError(reason="authentication.account_inactive")
    if account.token_epoch != epoch:
        raise InvalidTokenError(reason="authentication.token_revoked")
    if tenant_id is not None and account.tenant_id != tenant_id:
        raise InvalidTokenError(reason="authentication.membership_ended")


class IdentityCache:
    """Believe what the stores say about an account and its session for a short while.

    Args:
        accounts: Where accounts live.
        sessions: Where sessions live.
        settings: Lifetime and size.
        clock: Source of time.
    """

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SessionStore,
        *,
        settings: AuthenticationSettings,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._lifetime = settings.identity_cache_lifetime
        self._clock = clock
        self._entries: BoundedCache[_Key, tuple[float, Account]] = BoundedCache(
            settings.identity_cache_size
        )

    async def load(self, token: AccessToken) -> tuple[Account, float]:
        """Return a token's account, and how long (`Clock.monotonic`) it may be believed.

        An account that has not changed comes back as the same object.

        Raises:
            InvalidTokenError: There is no such account, or the session has ended.
            StoreError: A store is away.
        """
        key = (token.user_id, token.tenant_id, token.session_id)
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        if entry is not None and now < entry[0]:
            return entry[1], entry[0]
        found = await self._accounts.find_by_id(token.user_id, token.tenant_id)
        if found is None:
            self._entries.discard(key)
            raise InvalidTokenError(reason="authentication.account_gone")
        if token.session_id is not None and not await self._goes_on(token.session_id):
            self._entries.discard(key)
            raise InvalidTokenError(reason="authentication.session_over")
        account = entry[1] if entry is not None and entry[1] == found else found
        # The lifetime counts from before the question: what was read may be that old already.
        until = now + self._lifetime
        self._entries.put(key, (until, account))
        return account, until

    async def _goes_on(self, session_id: str) -> bool:
        stored = await self._sessions.find(session_id)
        if stored is None:
            return False
        session = stored.session
        return session.revoked_at is None and self._clock.now() < session.expires_at
