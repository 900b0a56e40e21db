"""Verify identity tokens: who has signed in at a provider, and for whom it says so.

Source: OpenID Connect Core 1.0, sections 2, 3.1.3.7 and 3.1.3.8; RFC 8725; RFC 8176 (``amr``).
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256, sha512
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from stockade.authentication.algorithms import Algorithm
from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.jwks import is_kid
from stockade.authentication.jws import (
    decode_base64url,
    decode_object,
    encode_base64url,
    read_compact,
    read_object,
)
from stockade.authentication.tokens import read_name, read_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.issuer_keys import IssuerKeys
    from stockade.authentication.provider_settings import ProviderSettings
    from stockade.core.clock import Clock

# Those of Entra with many groups have 10 KB.
MAXIMUM_SIZE: Final = 16_384
_MOST_AUDIENCES: Final = 20
# A header that brings a key, or asks for other processing than ours.
_REFUSED_HEADERS: Final = frozenset(
    {"crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c"}
)
_LONGEST_EMAIL: Final = 254
# Addresses outside of ASCII have several spellings that look the same; nobody gets an account by
# one of them.
_EMAIL: Final = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)+", re.ASCII
)
_METHOD: Final = re.compile(r"[a-z0-9_-]{1,20}", re.ASCII)
_MOST_METHODS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenIdentity:
    """Who has signed in at a provider.

    Args:
        issuer: The provider's name for itself.
        subject: The provider's name for the user; never used again for another one.
        email: Address of the user, in lower case, if the provider says that it has verified it.
        authenticated_at: When the user last signed in at the provider; None where it does not say.
        methods: How (``amr``), in the provider's words.
        claims: All that the identity token says.
    """

    issuer: str
    subject: str
    email: str | None = field(default=None, repr=False)
    authenticated_at: datetime | None = None
    methods: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an identity token has to agree with.

    Args:
        nonce: What was sent along with the user.
        access_token: What the provider has given beside it.
        signed_in_since: Moment (seconds since 1970) after which the user has to have signed in at
            the provider; None where an earlier sign-in does.
    """

    nonce: str = field(repr=False)
    access_token: str = field(repr=False)
    signed_in_since: int | None = None


class IDTokenVerifier:
    """Verify the identity tokens of one provider.

    Args:
        settings: Whom and what to believe.
        keys: Its keys.
        leeway: Clock difference that is forgiven, in seconds.
        clock: Source of time.
    """

    def __init__(
        self, settings: ProviderSettings, keys: IssuerKeys, *, leeway: float, clock: Clock
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._leeway = leeway
        self._clock = clock
        wanted = (Algorithm(name) for name in settings.algorithms)
        self._algorithms = {name: each for each in wanted for name in each.names}

    async def verify(self, token: str, expected: Expectation) -> ProvenIdentity:
        """Verify a token, and return who has signed in.

        Args:
            token: Untrusted, although it comes from the provider itself.
            expected: What it has to agree with.

        Raises:
            InvalidTokenError: Anything about the token does not hold; its `reason` says what.
            UnavailableError: The provider is away, and its keys are not known or too old.
        """
        compact = read_compact(token, limit=MAXIMUM_SIZE)
        kid, algorithm = self._read_header(decode_object(compact.header))
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise InvalidTokenError(reason="authentication.token_key")
        key.verify(compact.signed, compact.signature)
        payload = decode_base64url(compact.payload)
        try:
            claims = read_object(payload)
        except ValueError:
            raise InvalidTokenError(reason="authentication.token_claims") from None
        self._check_parties(claims)
        self._check_times(claims)
        _check_binding(claims, expected, algorithm)
        return self._read(claims, expected)

    def _read_header(self, header: dict[str, Any]) -> tuple[str, Algorithm]:
        if header.keys() & _REFUSED_HEADERS:
            raise InvalidTokenError(reason="authentication.token_header")
        # Access tokens and logout tokens say that they are such; identity tokens say no more.
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.upper() != "JWT":
            raise InvalidTokenError(reason="authentication.token_type")
        name, kid = header.get("alg"), header.get("kid")
        # Neither "none" nor a shared secret is among them, whatever the provider supports.
        algorithm = self._algorithms.get(name) if isinstance(name, str) else None
        if algorithm is None:
            raise InvalidTokenError(reason="authentication.token_algorithm")
        if not isinstance(kid, str) or not is_kid(kid):
            raise InvalidTokenError(reason="authentication.token_key")
        return kid, algorithm

    def _check_parties(self, claims: dict[str, Any]) -> None:
        ours = self._settings.client_id
        if claims.get("iss") != self._settings.issuer:
            raise InvalidTokenError(reason="authentication.token_issuer")
        given = claims.get("aud")
        audiences = [given] if isinstance(given, str) else given
        if (
            not isinstance(audiences, list)
            or len(audiences) > _MOST_AUDIENCES
            or not all(isinstance(each, str) for each in audiences)
            or ours not in audiences
        ):
            raise InvalidTokenError(reason="authentication.token_audience")
        # Of several audiences one has asked for the token, and that has to be this application.
        party = claims.get("azp", ours if len(audiences) == 1 else None)
        if party != ours:
            raise InvalidTokenError(reason="authentication.token_party")

    def _check_times(self, claims: dict[str, Any]) -> None:
        moment = self._clock.now().timestamp()
        if moment >= read_time(claims, "exp"):
            raise InvalidTokenError(reason="authentication.token_expired")
        issued_at = read_time(claims, "iat")
        starts_at = read_time(claims, "nbf") if "nbf" in claims else issued_at
        if moment < max(starts_at, issued_at) - self._leeway:
            raise InvalidTokenError(reason="authentication.token_not_yet_valid")

    def _read(self, claims: dict[str, Any], expected: Expectation) -> ProvenIdentity:
        signed_in_at = None if "auth_time" not in claims else read_time(claims, "auth_time")
        latest = self._clock.now().timestamp() + self._leeway
        if signed_in_at is not None and signed_in_at > latest:
            raise InvalidTokenError(reason="authentication.token_not_yet_valid")
        since = expected.signed_in_since
        if since is not None and (signed_in_at is None or signed_in_at < since - self._leeway):
            # The provider was asked to have its user sign in anew, and has not.
            raise InvalidTokenError(reason="authentication.token_sign_in_too_old")
        return ProvenIdentity(
            issuer=self._settings.issuer,
            subject=read_name(claims, "sub"),
            email=_read_email(claims),
            authenticated_at=(
                None if signed_in_at is None else datetime.fromtimestamp(signed_in_at, tz=UTC)
            ),
            methods=_read_methods(claims),
            claims=MappingProxyType(claims),
        )


def _check_binding(claims: dict[str, Any], expected: Expectation, algorithm: Algorithm) -> None:
    """Check that a token was made for this very sign-in, and beside this very access token."""
    if not _is_same(claims.get("nonce"), expected.nonce):
        raise InvalidTokenError(reason="authentication.token_nonce")
    if "at_hash" in claims:
        # Half of the hash that the signature uses (OpenID Connect Core 1.0, section 3.1.3.6).
        method = sha512 if algorithm is Algorithm.ED25519 else sha256
        digest = method(expected.access_token.encode("utf-8", "surrogatepass")).digest()
        wanted = encode_base64url(digest[: len(digest) // 2]).decode("ascii")
        if not _is_same(claims["at_hash"], wanted):
            raise InvalidTokenError(reason="authentication.token_access_hash")


def _is_same(given: object, wanted: str) -> bool:
    return (
        isinstance(given, str)
        and given.isascii()
        and hmac.compare_digest(given.encode("ascii"), wanted.encode("ascii"))
    )


def _read_email(claims: dict[str, Any]) -> str | None:
    email = claims.get("email")
    # Some providers write the word in the place of the value; only the value counts.
    if claims.get("email_verified") is not True or not isinstance(email, str):
        return None
    lowered = email.lower() if email.isascii() else ""
    return lowered if len(lowered) <= _LONGEST_EMAIL and _EMAIL.fullmatch(lowered) else None


def _read_methods(claims: dict[str, Any]) -> tuple[str, ...]:
    given = claims.get("amr")
    if not isinstance(given, list):
        return ()
    words = [each for each in given if isinstance(each, str) and _METHOD.fullmatch(each)]
    return tuple(words[:_MOST_METHODS])
