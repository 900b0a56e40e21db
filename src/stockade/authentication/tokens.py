"""Issue and verify access tokens: signed JWTs of the type ``at+jwt``.

Source: RFC 7519, RFC 8725, RFC 9068. Keys come from the application's own settings alone: a key, a
key address or a certificate in a token's header is never looked at.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.jws import (
    decode_base64url,
    decode_object,
    encode_base64url,
    encode_object,
    read_compact,
    read_object,
    write_compact,
)
from stockade.authentication.models import AccessToken, IssuedToken
from stockade.authentication.signing_keys import choose_signing_keys
from stockade.core.identity import SECOND_FACTORS, Factor, TenantId, UserId

if TYPE_CHECKING:
    from stockade.authentication.algorithms import VerificationKey
    from stockade.authentication.models import Account, Session
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068, section 2.1
_HEADER: Final = frozenset({"alg", "typ", "kid"})
# A token of ours has about 700 bytes. The cap stands before any parsing, so that a huge one costs
# nothing.
MAXIMUM_SIZE: Final = 4096
# Year 9999: later moments can't be told apart from mistakes and overflow `datetime`.
_LATEST: Final = 253_402_300_799
# Names of RFC 8176, which has none for codes that are kept on paper.
_METHODS: Final[dict[str, str]] = {
    Factor.PASSWORD: "pwd",
    Factor.TOTP: "otp",
    Factor.RECOVERY_CODE: "recovery_code",
    Factor.PASSKEY: "pop",
    # RFC 8176 has no name for it; this one is in use elsewhere.
    Factor.PROVIDER: "fed",
    Factor.MFA: "mfa",
}
_FACTORS: Final = {method: str(factor) for factor, method in _METHODS.items()}
# What goes into events, rows and file names: no control characters, and no halves of a pair, which
# no driver takes.
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")


class AccessTokens:
    """Issue and verify access tokens.

    Args:
        keys: Secrets of the application; the keys of the tokens are derived from them where the
            settings give none.
        settings: Issuer, audience, algorithm, keys and lifetime.
        clock: Source of time.

    Attributes:
        keys: The keys that sign and verify.

    Raises:
        ConfigurationError: The settings give no key that can be used.
    """

    def __init__(self, keys: KeyRing, settings: AuthenticationSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.keys = choose_signing_keys(keys, settings)
        newest = self.keys.newest
        header = {"alg": self.keys.name, "typ": TOKEN_TYPE, "kid": newest.verification.kid}
        self._header = encode_object(header)
        # What we write ourselves needs no parsing when it comes back.
        self._known: dict[bytes, VerificationKey] = {self._header: newest.verification}

    def issue(self, account: Account, *, session: Session | None = None) -> IssuedToken:
        """Make an access token.

        Args:
            account: Whom it is for.
            session: The session that it belongs to and ends with; without one, the account counts
                as having just signed in.
        """
        now = int(self._clock.now().timestamp())
        settings = self._settings
        lifetime = int(settings.access_token_lifetime.total_seconds())
        claims = {
            "iss": settings.issuer,
            "aud": settings.audience,
            "sub": account.user_id,
            # RFC 9068, section 2.2, asks for one; whoever signs in here by password comes by the
            # application's own clients.
            "client_id": settings.audience,
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
            claims["amr"] = write_methods(session.factors)
        signed = write_compact(self._header, claims)
        signature = encode_base64url(self.keys.newest.sign(signed))
        return IssuedToken((signed + b"." + signature).decode("ascii"), lifetime)

    def verify(self, token: str) -> AccessToken:
        """Verify a token and return what it says.

        Args:
            token: Untrusted.

        Raises:
            InvalidTokenError: Anything about the token does not hold; its `reason` says what.

        Source: RFC 8725, sections 3.1 to 3.12; RFC 9068, section 4; ASVS 5.0 V9.1 and V9.2.
        """
        compact = read_compact(token, limit=MAXIMUM_SIZE)
        key = self._known.get(compact.header) or self._find_key(decode_object(compact.header))
        key.verify(compact.signed, compact.signature)
        payload = decode_base64url(compact.payload)
        try:
            claims = read_object(payload)
        except ValueError:
            raise InvalidTokenError(reason="authentication.token_claims") from None
        return read_claims(claims, settings=self._settings, now=self._clock.now())

    def _find_key(self, header: dict[str, Any]) -> VerificationKey:
        """Find the key that a header names, and check that the header agrees with it."""
        if header.keys() != _HEADER:
            # We write nothing else, so that nothing else, such as "crit", has to be understood.
            raise InvalidTokenError(reason="authentication.token_header")
        if header["typ"] != TOKEN_TYPE:
            raise InvalidTokenError(reason="authentication.token_type")
        kid, algorithm = header["kid"], header["alg"]
        key = self.keys.by_kid.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise InvalidTokenError(reason="authentication.token_key")
        if not isinstance(algorithm, str) or algorithm not in key.algorithm.names:
            raise InvalidTokenError(reason="authentication.token_algorithm")
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
    expires_at = read_time(claims, "exp")
    # No leeway at the end: a token must never hold longer than its lifetime says.
    if moment >= expires_at:
        raise InvalidTokenError(reason="authentication.token_expired")
    signed_in_at = read_time(claims, "auth_time")
    # The latest of them counts: a sign-in that has not happened yet would pass for a fresh one.
    if moment < max(read_time(claims, "nbf"), read_time(claims, "iat"), signed_in_at) - leeway:
        raise InvalidTokenError(reason="authentication.token_not_yet_valid")
    tenant = claims.get("active_tenant_id")
    return AccessToken(
        user_id=UserId(read_name(claims, "sub")),
        tenant_id=None if tenant is None else TenantId(read_name(claims, "active_tenant_id")),
        token_epoch=read_time(claims, "epoch"),
        expires_at=expires_at,
        authenticated_at=datetime.fromtimestamp(signed_in_at, tz=UTC),
        token_id=read_name(claims, "jti"),
        session_id=None if "sid" not in claims else read_name(claims, "sid"),
        factors=_read_methods(claims),
    )


def write_methods(factors: frozenset[str]) -> list[str]:
    """Name factors as RFC 8176 does (``amr``).

    >>> write_methods(frozenset({"password", "totp"}))
    ['mfa', 'otp', 'pwd']
    """
    names = {_METHODS[factor] for factor in factors}
    # A second factor is only ever asked for after a first one.
    return sorted(names if SECOND_FACTORS.isdisjoint(factors) else names | {"mfa"})


def _read_methods(claims: dict[str, Any]) -> frozenset[str]:
    methods = claims.get("amr", [])
    if not isinstance(methods, list) or not all(
        isinstance(each, str) and each in _FACTORS for each in methods
    ):
        raise InvalidTokenError(reason="authentication.token_claims")
    # "mfa" says no more than the others together.
    return frozenset(_FACTORS[each] for each in methods if each != "mfa")


def read_time(claims: dict[str, Any], name: str) -> int:
    """Read a moment, in whole seconds since 1970; also any other number that only grows.

    Raises:
        InvalidTokenError: There is none, or it is no plain number up to the year 9999.
    """
    value = claims.get(name)
    # A boolean is an int in Python, and a float could be infinite.
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise InvalidTokenError(reason="authentication.token_claims")
    return value


def read_name(claims: dict[str, Any], name: str) -> str:
    """Read an identifier.

    Raises:
        InvalidTokenError: There is none, or it is no text of 1 to 255 characters that can be kept.
    """
    value = claims.get(name)
    # RFC 9068 leaves the length to us.
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidTokenError(reason="authentication.token_claims")
    return value
