"""Authenticate browsers by a session cookie, and refuse what other sites make them send.

A browser sends its cookies with whatever request any page makes it send. So a request that changes
something has to come from this very site: the browser says where it comes from
(``Sec-Fetch-Site``, else ``Origin``), and pages can't change what it says. A client that says
neither has to bring the token of its session.

Source: Fetch Metadata Request Headers (W3C); RFC 6265bis; OWASP CSRF Prevention Cheat Sheet;
ASVS 5.0 V3.5.1 and V3.5.3.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from stockade.authentication.authenticator import check_account
from stockade.authentication.cache import BoundedCache
from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.models import Session
from stockade.core.identity import AuthenticationMethod, Principal
from stockade.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.interfaces import AccountStore, SessionStore
    from stockade.authentication.models import Account
    from stockade.authentication.refresh_tokens import RefreshTokens
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.core.exchange import BrowserRequest, Exchange
    from stockade.crypto import KeyRing

# RFC 9110, section 9.2.1, but for TRACE. A websocket is none: no other rule of browsers keeps
# pages from opening one to any site.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# The site itself, and the user: an address typed in, a bookmark.
_OWN: Final = (b"same-origin", b"none")
_USE_NOTED_EVERY: Final = 60


class CrossSiteGuard:
    """Tell requests of the own site from those that another site has made a browser send.

    Args:
        keys: The token of a session follows from them.
        trusted_origins: Further origins, such as ``https://app.example.com``.
    """

    def __init__(self, keys: KeyRing, trusted_origins: tuple[str, ...] = ()) -> None:
        self._keys = keys.derive("csrf")
        self._trusted = frozenset(origin.encode("ascii") for origin in trusted_origins)

    def token_of(self, session_id: str) -> str:
        """Return the token of a session, for clients that say nothing of where they come from."""
        return _mac(self._keys[0], session_id)

    def require_own_site(
        self, request: BrowserRequest, *, own_origin: bytes, session_id: str | None
    ) -> None:
        """Refuse a request that another site may have made a browser send.

        Args:
            request: What the browser says.
            own_origin: Origin of this server, as the client sees it.
            session_id: The session, for its token; None where there is none yet.

        Raises:
            ForbiddenError: Nothing shows that it comes from here.
        """
        if request.method in _SAFE:
            return
        if request.origin is not None and request.origin in self._trusted:
            return
        if request.fetch_site is not None:
            own = request.fetch_site in _OWN
        elif request.origin is not None:
            own = request.origin == own_origin
        else:
            given = request.csrf_token or b""
            own = session_id is not None and any(
                hmac.compare_digest(_mac(key, session_id).encode("ascii"), given)
                for key in self._keys
            )
        if not own:
            raise ForbiddenError(reason="authentication.cross_site")


def origin_of(exchange: Exchange) -> bytes:
    """Return the origin of this server as the client of a request sees it."""
    secure = exchange.scheme in {"https", "wss"}
    return (b"https://" if secure else b"http://") + (exchange.host or b"")


class _Known(NamedTuple):
    session: Session
    principal: Principal
    fresh_until: float
    """Moment (`Clock.monotonic`) from which on the stores have to be asked again."""


class CookieAuthenticator:
    """Authenticate browsers by their session cookie.

    Args:
        store: Where sessions live.
        accounts: Says what an account may do now.
        cookies: Reads cookies.
        guard: Refuses what other sites send.
        permissions_of: Permissions that follow from roles.
        settings: Lifetimes, and how long the stores are believed.
        clock: Source of time.
    """

    def __init__(
        self,
        store: SessionStore,
        accounts: AccountStore,
        *,
        cookies: RefreshTokens,
        guard: CrossSiteGuard,
        permissions_of: Callable[[frozenset[str]], frozenset[str]],
        settings: AuthenticationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._cookies = cookies
        self._guard = guard
        self._permissions_of = permissions_of
        self._settings = settings
        self._clock = clock
        self._known: BoundedCache[bytes, _Known] = BoundedCache(settings.token_cache_size)

    def peek(self, request: BrowserRequest) -> Principal | None:
        """Return the caller of a safe request whose very cookie was verified lately."""
        if request.method not in _SAFE:
            return None
        known = self._known.get(sha256(request.cookie).digest())
        if known is None or self._clock.monotonic() >= known.fresh_until:
            return None
        return known.principal

    async def authenticate(self, request: BrowserRequest, *, own_origin: bytes) -> Principal:
        """Return the caller of a request.

        Args:
            request: What the browser says; untrusted.
            own_origin: Origin of this server, as the client sees it.

        Raises:
            InvalidTokenError: The cookie is none of ours, or its session or account has ended.
            ForbiddenError: Another site may have made the browser send it.
            StoreError: A store is away.
        """
        fingerprint = sha256(request.cookie).digest()
        known = self._known.get(fingerprint)
        if known is None or self._clock.monotonic() >= known.fresh_until:
            known = await self._look_up(request.cookie)
            self._known.put(fingerprint, known)
        self._guard.require_own_site(
            request, own_origin=own_origin, session_id=known.session.session_id
        )
        return known.principal

    async def _look_up(self, cookie: bytes) -> _Known:
        token = self._cookies.read(cookie.decode("ascii", errors="replace"))
        started = self._clock.monotonic()
        now = self._clock.now()
        stored = await self._store.find(token.session_id)
        digests = self._cookies.digests(token)
        if stored is None or not any(hmac.compare_digest(stored.digest, each) for each in digests):
            raise InvalidTokenError(reason="authentication.session_over")
        session = stored.session
        idle = session.last_used_at + self._settings.session_idle_lifetime
        if session.revoked_at is not None or now >= min(idle, session.expires_at):
            raise InvalidTokenError(reason="authentication.session_over")
        account = await self._accounts.find_by_id(session.user_id, session.tenant_id)
        if account is None:
            raise InvalidTokenError(reason="authentication.account_gone")
        check_account(account, epoch=session.token_epoch, tenant_id=session.tenant_id)
        if (now - session.last_used_at).total_seconds() >= _USE_NOTED_EVERY:
            await self._store.touch(session.session_id, now=now)
        lifetime = self._settings.identity_cache_lifetime
        return _Known(session, self._make_principal(session, account), started + lifetime)

    def _make_principal(self, session: Session, account: Account) -> Principal:
        return Principal(
            user_id=account.user_id,
            email=account.email,
            user_type=account.user_type,
            tenant_id=session.tenant_id,
            roles=account.roles,
            permissions=self._permissions_of(account.roles),
            method=AuthenticationMethod.COOKIE,
            authenticated_at=session.authenticated_at,
            session_id=session.session_id,
            factors=session.factors,
        )


def _mac(key: bytes, session_id: str) -> str:
    return hmac.digest(key, session_id.encode("ascii"), sha256).hex()
