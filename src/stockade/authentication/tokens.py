"""Issue and verify access tokens: signed JWTs of the type ``at+jwt``.

joserfc checks the signature; every rule about the claims is here (RFC 7519, RFC 8725, RFC 9068).
Keys come from the application's key ring alone: a key, a key address or a certificate in a token's
header is never looked at.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey
from joserfc.jws import JWSRegistry

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.models import AccessToken, IssuedToken
from stockade.core.identity import TenantId, UserId

if TYPE_CHECKING:
    from stockade.authentication.models import Account, Session
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068, section 2.1
_HEADER: Final = frozenset({"alg", "typ", "kid"})
# A token of ours has about 700 bytes. The cap stands before any parsing, so that a huge one costs
# nothing.
MAXIMUM_SIZE: Final = 4096
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
# Year 9999: later moments can't be told apart from mistakes and overflow `datetime`.
_LATEST: Final = 253_402_300_799


class AccessTokens:
    """Issue and verify access tokens with the keys of a ring.

    Args:
        keys: Secrets of the application; the newest signs, all of them verify.
        settings: Issuer, audience, algorithm and lifetime.
        clock: Source of time.
    """

    def __init__(self, keys: KeyRing, settings: AuthenticationSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        derived = keys.derive(f"jwt/{settings.algorithm}")
        ring = [_make_key(settings.algorithm, key) for key in derived]
        self._signing = ring[0]
        self._verifying = {key.kid: key for key in ring}
        self._registry = JWSRegistry(algorithms=[settings.algorithm])

    def issue(self, account: Account, *, session: Session | None = None) -> IssuedToken:
        """Make an access token.

        Args:
            account: Whom it is for.
            session: The session that it belongs to and ends with; without one, the account counts
                as having just signed in.
        """
        now = int(self._clock.now().timestamp())
        lifetime = int(self._settings.access_token_lifetime.total_seconds())
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": account.user_id,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(16),
            "auth_time": now if session is None else int(session.authenticated_at.timestamp()),
            "epoch": account.token_epoch,
            # The names that teams already read (requirement R5).
            "user_id": account.user_id,
            "email": account.email,
            "user_type": str(account.user_type),
            "active_tenant_id": account.tenant_id,
        }
        if session is not None:
            # OpenID Connect Front-Channel Logout 1.0, section 3, registers this name.
            claims["sid"] = session.session_id
        header = {"alg": self._settings.algorithm, "typ": TOKEN_TYPE, "kid": self._signing.kid}
        value = jwt.encode(header, claims, self._signing, registry=self._registry)
        return IssuedToken(value, lifetime)

    def verify(self, token: str) -> AccessToken:
        """Verify a token and return what it says.

        Raises:
            InvalidTokenError: Anything about the token does not hold; its `reason` says what.

        Source: RFC 8725, sections 3.1 to 3.12; RFC 9068, section 4; ASVS 5.0 V9.1 and V9.2.
        """
        if len(token) > MAXIMUM_SIZE:
            raise InvalidTokenError(reason="authentication.token_too_long")
        if not _SHAPE.fullmatch(token):
            raise InvalidTokenError(reason="authentication.token_malformed")
        try:
            decoded = jwt.decode(token, self._find_key, registry=self._registry)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidTokenError(reason="authentication.token_signature") from error
        if decoded.header.get("typ") != TOKEN_TYPE:
            raise InvalidTokenError(reason="authentication.token_type")
        if decoded.header.keys() != _HEADER:
            # We write nothing else, so that nothing else, such as "crit", has to be understood.
            raise InvalidTokenError(reason="authentication.token_header")
        return read_claims(decoded.claims, settings=self._settings, now=self._clock.now())

    def _find_key(self, obj: Any) -> OctKey | OKPKey:  # noqa: ANN401 - joserfc's callback takes several classes
        kid = obj.headers().get("kid")
        key = self._verifying.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise InvalidTokenError(reason="authentication.token_key")
        return key


def read_claims(
    claims: dict[str, Any], *, settings: AuthenticationSettings, now: datetime
) -> AccessToken:
    """Check the claims of a token whose signature holds.

    Raises:
        InvalidTokenError: A claim is missing, of the wrong type, or does not hold.
    """
    moment = now.timestamp()
    leeway = settings.leeway.total_seconds()
    if claims.get("iss") != settings.issuer:
        raise InvalidTokenError(reason="authentication.token_issuer")
    if claims.get("aud") != settings.audience:
        raise InvalidTokenError(reason="authentication.token_audience")
    expires_at = _time(claims, "exp")
    # No leeway at the end: a token must never hold longer than its lifetime says.
    if moment >= expires_at:
        raise InvalidTokenError(reason="authentication.token_expired")
    signed_in_at = _time(claims, "auth_time")
    # The latest of them counts: a sign-in that has not happened yet would pass for a fresh one.
    if moment < max(_time(claims, "nbf"), _time(claims, "iat"), signed_in_at) - leeway:
        raise InvalidTokenError(reason="authentication.token_not_yet_valid")
    tenant = claims.get("active_tenant_id")
    return AccessToken(
        user_id=UserId(_text(claims, "sub")),
        tenant_id=None if tenant is None else TenantId(_text(claims, "active_tenant_id")),
        token_epoch=_number(claims, "epoch"),
        expires_at=expires_at,
        authenticated_at=datetime.fromtimestamp(signed_in_at, tz=UTC),
        token_id=_text(claims, "jti"),
        session_id=None if "sid" not in claims else _text(claims, "sid"),
    )


def _number(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    # A boolean is an int in Python, and a float could be infinite.
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise InvalidTokenError(reason="authentication.token_claims")
    return value


_time = _number


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 255:  # noqa: PLR2004 - RFC 9068 leaves the length to us
        raise InvalidTokenError(reason="authentication.token_claims")
    return value


def _make_key(algorithm: str, material: bytes) -> OctKey | OKPKey:
    key: OctKey | OKPKey
    if algorithm == "HS256":
        key = OctKey.import_key(material)
    else:
        private = Ed25519PrivateKey.from_private_bytes(material)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key = OKPKey.import_key(pem)
    key.ensure_kid()
    return key
