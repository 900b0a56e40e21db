"""Let a test client call as somebody, with every layer in place.

Nothing is taken away: the client brings a credential that nobody can guess, that one application in
one process knows, and that ends with the test. Limits, roles, permissions, the age of the sign-in,
the isolation of tenants and the check of where a browser's request comes from hold as for any other
caller.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypedDict
from uuid import uuid4

from stockade.authentication.browsers import origin_of
from stockade.authorization import permissions_of
from stockade.core.exchange import SESSION_COOKIE
from stockade.core.identity import (
    AuthenticationMethod,
    Factor,
    Principal,
    TenantId,
    UserId,
    UserType,
)
from stockade.testing.clients import find_stockade, with_cookie, with_headers
from stockade.testing.errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from typing import Unpack

    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.core.clock import Clock
    from stockade.core.exchange import Exchange
    from stockade.core.interfaces import Authenticator
    from stockade.settings import Settings
    from stockade.testing.clients import Client

_PREFIX: Final = "stkt_"
_NEVER: Final = datetime.fromtimestamp(0, tz=UTC)


class Facts(TypedDict, total=False):
    """What a test says of a caller; see `as_principal`."""

    user_id: str
    email: str
    user_type: UserType
    tenant: str
    roles: Iterable[str]
    permissions: Iterable[str]
    signed_in_ago: timedelta
    method: AuthenticationMethod
    factors: Iterable[str]


@contextmanager
def as_principal(
    client: Client, principal: Principal | None = None, **facts: Unpack[Facts]
) -> Iterator[Principal]:
    """Make the requests of a client come from somebody, without an account or a password.

    Args:
        client: Starlette's `TestClient`, or a client of httpx with an `ASGITransport`.
        principal: The very caller; made from the facts unless given.
        **facts: ``user_id`` and ``email`` (``test-user``); ``user_type`` (an ordinary user);
            ``tenant``, and ``roles`` held in it; ``permissions`` beyond those of the roles;
            ``signed_in_ago``, the age of the sign-in (0); ``factors`` that were given
            (``password``), such as ``totp``; ``method`` (``bearer``). With ``cookie``
            the check of where a request comes from applies (`as_browser`). With ``api_key`` the
            caller is a program: an ordinary user without a session, whose sign-in is never fresh.

    Returns:
        The caller.

    Raises:
        HelperError: The environment is neither ``local`` nor ``test``, there is no such role, or
            the facts contradict each other.
    """
    stockade = find_stockade(client)
    standing = stockade.stand_in(_put_in_front)
    if principal is None:
        principal = _make_principal(stockade.settings, facts, now=standing.clock.now())
    elif facts:
        message = "pass a principal or facts to make one of, not both"
        raise HelperError(message)
    if principal.method is AuthenticationMethod.BASIC:
        message = "a caller who comes by Basic is a reader of the API documentation: send Basic"
        raise HelperError(message)
    if principal.method is AuthenticationMethod.COOKIE:
        _require_cookies(stockade.settings)
    credential = _PREFIX + secrets.token_urlsafe(32)
    with standing.stand(principal, credential), _carry(client, principal, credential):
        yield principal


class StandIns:
    """Knows callers that tests have made up, and asks the real authenticator about all others.

    Args:
        behind: The real authenticator.
        guard: Refuses what other sites make browsers send; None where cookies are off.
        clock: Source of time of the application.
    """

    def __init__(self, behind: Authenticator, guard: CrossSiteGuard | None, clock: Clock) -> None:
        self._behind = behind
        self._guard = guard
        self.clock = clock
        self._standing: dict[bytes, Principal] = {}

    @contextmanager
    def stand(self, principal: Principal, credential: str) -> Iterator[None]:
        """Know a caller by a credential for a while."""
        digest = sha256(credential.encode("ascii")).digest()
        self._standing[digest] = principal
        try:
            yield
        finally:
            del self._standing[digest]

    def peek(self, exchange: Exchange) -> Principal | None:
        """Return the caller if no other site can have sent the request."""
        made_up = self._find(exchange)
        if made_up is None:
            return self._behind.peek(exchange)
        return None if made_up.method is AuthenticationMethod.COOKIE else made_up

    async def authenticate(self, exchange: Exchange) -> Principal:
        """Return the caller of a request.

        Raises:
            UnauthenticatedError: There are no credentials, or they do not hold.
            ForbiddenError: Another site may have made a browser send it.
            StoreError: A store is away.
        """
        made_up = self._find(exchange)
        if made_up is None:
            return await self._behind.authenticate(exchange)
        if made_up.method is AuthenticationMethod.COOKIE and exchange.browser and self._guard:
            self._guard.require_own_site(
                exchange.browser, own_origin=origin_of(exchange), session_id=made_up.session_id
            )
        return made_up

    def _find(self, exchange: Exchange) -> Principal | None:
        if exchange.api_key is not None:
            # A test that sends a real key beside it gets the real answer.
            return None
        if exchange.authorization is not None:
            scheme, _, value = exchange.authorization.partition(b" ")
            presented = value if scheme == b"Bearer" else b""
        else:
            presented = b"" if exchange.browser is None else exchange.browser.cookie
        found = self._standing.get(sha256(presented).digest())
        if found is None:
            return None
        by_cookie = exchange.authorization is None
        return found if by_cookie is (found.method is AuthenticationMethod.COOKIE) else None


def _put_in_front(current: Authenticator, guard: CrossSiteGuard | None, clock: Clock) -> StandIns:
    return current if isinstance(current, StandIns) else StandIns(current, guard, clock)


def _carry(client: Client, principal: Principal, credential: str) -> AbstractContextManager[None]:
    if principal.method is AuthenticationMethod.COOKIE:
        return with_cookie(client, SESSION_COOKIE, credential)
    return with_headers(client, {"Authorization": f"Bearer {credential}"})


def _require_cookies(settings: Settings) -> None:
    if not settings.authentication.cookies:
        message = "cookies are off: set authentication={'cookies': True} for callers with a cookie"
        raise HelperError(message)


def _make_principal(settings: Settings, facts: Facts, *, now: datetime) -> Principal:
    known = settings.authorization.roles
    roles = _names(facts, "roles")
    tenant = facts.get("tenant")
    _check_roles(roles, known=frozenset(known), tenant=tenant)
    method = facts.get("method", AuthenticationMethod.BEARER)
    user_type = facts.get("user_type", UserType.USER)
    session_id: str | None = str(uuid4())
    signed_in = now - facts.get("signed_in_ago", timedelta(0))
    if method is AuthenticationMethod.API_KEY:
        if user_type is not UserType.USER or "signed_in_ago" in facts:
            message = "a program is an ordinary user and has no sign-in: leave both out"
            raise HelperError(message)
        session_id, signed_in = None, _NEVER
    default = () if method is AuthenticationMethod.API_KEY else (Factor.PASSWORD,)
    factors = _names(facts, "factors") if "factors" in facts else frozenset[str](default)
    _check_factors(factors, method=method)
    return Principal(
        user_id=UserId(facts.get("user_id", "test-user")),
        email=facts.get("email", "test-user@example.com"),
        user_type=user_type,
        tenant_id=None if tenant is None else TenantId(tenant),
        roles=roles,
        permissions=permissions_of(roles, known) | _names(facts, "permissions"),
        method=method,
        authenticated_at=signed_in,
        session_id=session_id,
        factors=factors,
    )


def _check_factors(factors: frozenset[str], *, method: AuthenticationMethod) -> None:
    if factors and method is AuthenticationMethod.API_KEY:
        message = "a program gives no factors: leave factors= out"
        raise HelperError(message)
    unknown = factors - frozenset(Factor)
    if unknown:
        known = ", ".join(sorted(Factor))
        message = f"there is no factor {', '.join(sorted(unknown))}: there are {known}"
        raise HelperError(message)


def _check_roles(roles: frozenset[str], *, known: frozenset[str], tenant: str | None) -> None:
    """Refuse a caller that no store could ever give, with which a test would prove nothing."""
    if roles and tenant is None:
        message = "roles are held in a tenant: pass tenant= as well"
        raise HelperError(message)
    unknown = roles - known
    if unknown:
        message = (
            f"there is no role {', '.join(sorted(unknown))}: the settings have "
            f"{', '.join(sorted(known))}"
        )
        raise HelperError(message)


def _names(facts: Any, name: str) -> frozenset[str]:  # noqa: ANN401 - a TypedDict by a variable name
    given = facts.get(name, ())
    if isinstance(given, str):
        message = f"{name}= takes a set of names, such as {name}={{{given!r}}}"
        raise HelperError(message)
    return frozenset(map(str, given))
