"""Accept access tokens of issuers outside of this application.

Which issuer, which audience, which algorithms and what the claims mean is settled by
`IssuerSettings`; a token chooses nothing but which of the pinned issuers it is verified against.

Source: RFC 8725, sections 3.1 to 3.12; RFC 9068, section 4; ASVS 5.0 V9.1, V9.2 and V10.3.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stockade.authentication.algorithms import Algorithm
from stockade.authentication.authenticator import read_bearer
from stockade.authentication.cache import BoundedCache
from stockade.authentication.discovery import fetch_keys
from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.issuer_keys import IssuerKeys
from stockade.authentication.jwks import is_kid
from stockade.authentication.jws import decode_base64url, decode_object, read_compact, read_object
from stockade.authentication.tokens import read_name, read_time
from stockade.core.identity import AuthenticationMethod, Factor, Principal, TenantId, UserId
from stockade.errors import ConfigurationError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stockade.authentication.authenticator import BearerAuthenticator
    from stockade.authentication.http_reader import DocumentReader
    from stockade.authentication.issuer_settings import IssuerSettings
    from stockade.authentication.jws import CompactJWS
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.events import EventLog

# Groups and roles make some tokens long; more than this no header of a request should have.
MAXIMUM_SIZE: Final = 8192
# How long a verified token is believed without its key. Keys that an issuer withdraws are noticed
# much later anyway, when it is asked again.
_BELIEVED_FOR: Final = 60.0
_MOST_AUDIENCES: Final = 20
_LONGEST_USER_ID: Final = 255
# A header that brings a key, or asks for other processing than ours.
_REFUSED_HEADERS: Final = frozenset(
    {"crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c"}
)
# Identity tokens have some of these, and logout tokens the last; access tokens none.
_OTHER_TOKENS: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events"})


class _Verified(NamedTuple):
    principal: Principal
    fresh_until: float
    """Moment (`Clock.monotonic`) from which on the token has to be verified again."""


class OutsideIssuer:
    """Verify tokens of one issuer.

    Args:
        name: Its name in the settings, which goes before the subjects of its tokens.
        settings: Whom and what to believe.
        keys: Its keys.
        permissions_of: Permissions that follow from roles.
        leeway: Clock difference that is forgiven, in seconds.
        clock: Source of time.
    """

    def __init__(
        self,
        name: str,
        settings: IssuerSettings,
        keys: IssuerKeys,
        *,
        permissions_of: Callable[[frozenset[str]], frozenset[str]],
        leeway: float,
        clock: Clock,
    ) -> None:
        self._name = name
        self._settings = settings
        self._keys = keys
        self._permissions_of = permissions_of
        self._leeway = leeway
        self._clock = clock
        self._types = frozenset(kind.lower() for kind in settings.token_types)
        wanted = (Algorithm(name) for name in settings.algorithms)
        self._algorithms = {name: each for each in wanted for name in each.names}

    async def authenticate(self, compact: CompactJWS) -> tuple[Principal, int]:
        """Return the caller, and until when (seconds since 1970) its token holds.

        Raises:
            InvalidTokenError: Anything about the token does not hold; its `reason` says what.
            UnavailableError: The issuer is away, and its keys are not known or too old.
        """
        kid, algorithm = self._read_header(decode_object(compact.header))
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise InvalidTokenError(reason="authentication.token_key")
        key.verify(compact.signed, compact.signature)
        claims = _read_payload(compact)
        expires_at = check_claims(
            claims, self._settings, now=self._clock.now(), leeway=self._leeway
        )
        return self._make_principal(claims), expires_at

    def _read_header(self, header: dict[str, Any]) -> tuple[str, Algorithm]:
        if header.keys() & _REFUSED_HEADERS:
            raise InvalidTokenError(reason="authentication.token_header")
        # RFC 7515, section 4.1.9: the prefix may be left out, and case does not count.
        given = header.get("typ", "jwt")
        kind = given.lower() if isinstance(given, str) else ""
        if kind.removeprefix("application/") not in self._types:
            raise InvalidTokenError(reason="authentication.token_type")
        name, kid = header.get("alg"), header.get("kid")
        algorithm = self._algorithms.get(name) if isinstance(name, str) else None
        if algorithm is None:
            raise InvalidTokenError(reason="authentication.token_algorithm")
        if not isinstance(kid, str) or not is_kid(kid):
            raise InvalidTokenError(reason="authentication.token_key")
        return kid, algorithm

    def _make_principal(self, claims: dict[str, Any]) -> Principal:
        settings = self._settings
        # Never the bare subject: it could be the identifier of one of our own accounts.
        user_id = f"{self._name}|{read_name(claims, 'sub')}"
        if len(user_id) > _LONGEST_USER_ID:
            raise InvalidTokenError(reason="authentication.token_claims")
        roles = _read_roles(claims, settings)
        # Its user type is never that of a super admin.
        return Principal(
            user_id=UserId(user_id),
            email=_read_email(claims, settings),
            tenant_id=_read_tenant(claims, settings),
            roles=roles,
            permissions=self._permissions_of(roles),
            method=AuthenticationMethod.BEARER,
            authenticated_at=self._read_sign_in(claims),
            factors=_read_factors(claims),
        )

    def _read_sign_in(self, claims: dict[str, Any]) -> datetime:
        """Read when the caller gave its password; never, where the token does not say so."""
        moment = 0 if "auth_time" not in claims else read_time(claims, "auth_time")
        if moment > self._clock.now().timestamp() + self._leeway:
            raise InvalidTokenError(reason="authentication.token_not_yet_valid")
        return datetime.fromtimestamp(moment, tz=UTC)


class OutsideAuthenticator:
    """Authenticate requests by tokens of outside issuers, and leave all others to our own.

    Args:
        own: Knows our own tokens.
        issuers: The outside issuers, by their exact name in tokens (``iss``).
        size: Verified tokens that are remembered.
        clock: Source of time.
    """

    def __init__(
        self,
        own: BearerAuthenticator,
        issuers: Mapping[str, OutsideIssuer],
        *,
        size: int,
        clock: Clock,
    ) -> None:
        self._own = own
        self._issuers = issuers
        self._clock = clock
        self._verified: BoundedCache[bytes, _Verified] = BoundedCache(size)

    def peek(self, authorization: bytes | None) -> Principal | None:
        """Return the caller if this very header was verified lately and is still fresh."""
        if authorization is None:
            return None
        known = self._verified.get(sha256(authorization).digest())
        if known is None or self._clock.monotonic() >= known.fresh_until:
            return self._own.peek(authorization)
        return known.principal

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """Return the caller of a request.

        Args:
            authorization: The value of the request's only ``Authorization`` header; untrusted.

        Raises:
            UnauthenticatedError: There is no bearer token.
            InvalidTokenError: The token does not hold, or its account no longer backs it.
            UnavailableError: The token's issuer is away, and its keys are not known or too old.
            StoreError: The accounts are away.
        """
        found = None if authorization is None else self._find(authorization)
        if authorization is None or found is None:
            return await self._own.authenticate(authorization)
        issuer, compact = found
        started = self._clock.monotonic()
        principal, expires_at = await issuer.authenticate(compact)
        remaining = expires_at - self._clock.now().timestamp()
        fresh_until = started + min(remaining, _BELIEVED_FOR)
        self._verified.put(sha256(authorization).digest(), _Verified(principal, fresh_until))
        return principal

    def _find(self, authorization: bytes) -> tuple[OutsideIssuer, CompactJWS] | None:
        """Find the issuer that a token names; nothing about the token is verified by that."""
        try:
            token = read_bearer(authorization).decode("ascii", errors="replace")
            compact = read_compact(token, limit=MAXIMUM_SIZE)
            named = _read_payload(compact).get("iss")
        except UnauthenticatedError:
            # Whatever it is, our own rules say why it is refused.
            return None
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        return None if issuer is None else (issuer, compact)


def make_outside_issuers(
    settings: AuthenticationSettings,
    reader: DocumentReader,
    *,
    permissions_of: Callable[[frozenset[str]], frozenset[str]],
    allow_http: bool,
    events: EventLog,
    clock: Clock,
) -> dict[str, OutsideIssuer]:
    """Build what verifies the tokens of the issuers in the settings.

    Args:
        settings: The issuers, and the leeway.
        reader: Reads their documents.
        permissions_of: Permissions that follow from roles.
        allow_http: Whether an issuer on this machine may do without TLS.
        events: Where it is recorded that an issuer is away.
        clock: Source of time.

    Raises:
        ConfigurationError: Two issuers have one name, one has ours, or one does without TLS.
    """
    found: dict[str, OutsideIssuer] = {}
    for name, each in settings.issuers.items():
        addresses = (each.issuer, each.jwks_url or "")
        if not allow_http and any(address.startswith("http:") for address in addresses):
            message = (
                f"the issuer {name} is asked by http: give https addresses, or set"
                " STOCKADE_ENVIRONMENT to local or test"
            )
            raise ConfigurationError(message)
        if each.issuer in found or each.issuer == settings.issuer:
            message = (
                f"the issuer {name} has the name of another one, or of this application: give each"
                " issuer its own, so that it is clear whose keys count"
            )
            raise ConfigurationError(message)
        keys = IssuerKeys(name, each, partial(fetch_keys, reader, each), events=events, clock=clock)
        found[each.issuer] = OutsideIssuer(
            name,
            each,
            keys,
            permissions_of=permissions_of,
            leeway=settings.leeway.total_seconds(),
            clock=clock,
        )
    return found


def check_claims(
    claims: dict[str, Any], settings: IssuerSettings, *, now: datetime, leeway: float
) -> int:
    """Check the claims of a token whose signature holds, and return when it ends.

    Raises:
        InvalidTokenError: A claim is missing, of the wrong type, or does not hold.
    """
    moment = now.timestamp()
    if claims.get("iss") != settings.issuer:
        raise InvalidTokenError(reason="authentication.token_issuer")
    if not _is_for(claims.get("aud"), settings.audience):
        raise InvalidTokenError(reason="authentication.token_audience")
    expires_at, issued_at = read_time(claims, "exp"), read_time(claims, "iat")
    if moment >= expires_at:
        raise InvalidTokenError(reason="authentication.token_expired")
    starts_at = read_time(claims, "nbf") if "nbf" in claims else issued_at
    if moment < max(starts_at, issued_at) - leeway:
        raise InvalidTokenError(reason="authentication.token_not_yet_valid")
    if expires_at - issued_at > settings.longest_lifetime.total_seconds():
        raise InvalidTokenError(reason="authentication.token_lifetime")
    if claims.keys() & _OTHER_TOKENS:
        raise InvalidTokenError(reason="authentication.token_type")
    for name, value in settings.required_claims.items():
        if claims.get(name) != value:
            raise InvalidTokenError(reason="authentication.token_requirement")
    if not _read_scopes(claims).issuperset(settings.required_scopes):
        raise InvalidTokenError(reason="authentication.token_requirement")
    return expires_at


def _is_for(audience: object, ours: str) -> bool:
    """Tell whether an audience, which may be one name or several, is ours (RFC 7519, 4.1.3)."""
    if isinstance(audience, list) and len(audience) <= _MOST_AUDIENCES:
        return all(isinstance(name, str) for name in audience) and ours in audience
    return isinstance(audience, str) and audience == ours


def _read_scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Read the scopes: one text (RFC 9068, section 2.2.3), or a list as some issuers have it."""
    value = claims.get("scope", claims.get("scp", ""))
    if isinstance(value, str):
        return frozenset(value.split(" "))
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return frozenset(value)
    raise InvalidTokenError(reason="authentication.token_claims")


def _read_payload(compact: CompactJWS) -> dict[str, Any]:
    try:
        return read_object(decode_base64url(compact.payload))
    except ValueError:
        raise InvalidTokenError(reason="authentication.token_claims") from None


def _read_email(claims: dict[str, Any], settings: IssuerSettings) -> str:
    # An address that nobody has verified is whatever the caller has typed in at its issuer.
    if settings.email_claim is None or claims.get("email_verified") is not True:
        return ""
    return read_name(claims, settings.email_claim) if settings.email_claim in claims else ""


def _read_factors(claims: dict[str, Any]) -> frozenset[str]:
    """Read whether the issuer has asked for several factors (RFC 8176); it alone knows which."""
    methods = claims.get("amr")
    several = isinstance(methods, list) and "mfa" in methods
    return frozenset({Factor.MFA}) if several else frozenset()


def _read_tenant(claims: dict[str, Any], settings: IssuerSettings) -> TenantId | None:
    if not settings.tenant_claim:
        return None if settings.tenant is None else TenantId(settings.tenant)
    value = _follow(claims, settings.tenant_claim)
    tenant = settings.tenants.get(value) if isinstance(value, str) else None
    if tenant is None:
        raise InvalidTokenError(reason="authentication.token_tenant")
    return TenantId(tenant)


def _read_roles(claims: dict[str, Any], settings: IssuerSettings) -> frozenset[str]:
    value = _follow(claims, settings.roles_claim) if settings.roles_claim else None
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list):
        return frozenset()
    return frozenset(
        settings.roles[role] for role in given if isinstance(role, str) and role in settings.roles
    )


def _follow(claims: dict[str, Any], path: tuple[str, ...]) -> object:
    found: object = claims
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
