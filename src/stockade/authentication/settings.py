"""Settings of sign-in and tokens."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from stockade.authentication.issuer_settings import IssuerSettings, check_address
from stockade.authentication.leaked_keys import read_reporter_key
from stockade.authentication.provider_settings import ProviderSettings

_IssuerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_PAGES: Final = re.compile(
    r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*", re.ASCII
)
_ORIGIN: Final = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", re.ASCII)

# A name, and no address: passkeys belong to domains.
_DOMAIN: Final = (
    r"^(localhost|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?)$"
)


def check_origin(value: str) -> str:
    """Return an origin as browsers write it.

    Raises:
        ValueError: It is none.
    """
    if not _ORIGIN.fullmatch(value):
        message = "an origin is scheme, host and port alone: https://app.example.com"
        raise ValueError(message)
    return value


def check_pages_url(value: str) -> str:
    """Return the beginning of links.

    Raises:
        ValueError: It is none.
    """
    if not _PAGES.fullmatch(value):
        message = "the beginning of links is a URL with no slash at its end: https://example.com"
        raise ValueError(message)
    return value


def check_reporter_key(value: str) -> str:
    """Return a public key of a scanner as it is.

    Raises:
        ValueError: It is none that is used.
    """
    read_reporter_key(value)
    return value


def check_service(value: str) -> str:
    """Return the address of a service.

    Raises:
        ValueError: It is no https address, or names more than a place.
    """
    check_address(value)
    return value


class AuthenticationSettings(BaseModel):
    """How callers sign in and what their tokens look like.

    Attributes:
        issuer: Who issues the tokens (``iss``, RFC 7519, section 4.1.1); tokens of another issuer
            are refused.
        audience: Whom the tokens are for (``aud``); tokens for somebody else are refused.
        algorithm: Signature algorithm of new tokens: ``Ed25519``, or ``EdDSA``, the older name of
            the same, for verifiers that do not know the new one; ``ES256``; ``RS256``, which needs
            signing keys; ``HS256``, where a shared secret is wanted.
        signing_keys: Private keys in PEM, or JWKs, oldest to newest: the newest signs, all of them
            verify. Without any, keys follow from the application's secret keys.
        signing_key_files: The same as paths of files, one key each.
        issuers: Outside issuers whose access tokens are accepted, each under a short name that
            goes before its callers' identifiers.
        providers: Providers at which people sign in (OpenID Connect), each under a short name
            that is part of its addresses here; in the environment each member may have a variable
            of its own, such as ``STOCKADE_AUTHENTICATION__PROVIDERS__GOOGLE__CLIENT_ID``.
        public_url: Address of this application as its users know it, up to where ``/auth`` begins;
            providers send them back to it.
        return_origin: Origin that browsers go to after a sign-in at a provider, such as
            ``https://app.example.com``; that of ``public_url`` unless given.
        access_token_lifetime: How long an access token holds; 5 to 15 minutes.
        session_lifetime: How long a session holds at most, however much it is used.
        session_idle_lifetime: How long a session holds without a refresh.
        refresh_grace: How long a refresh token that was just exchanged gives the same successor
            again, for parallel tabs and lost answers; after that its use ends the session.
        sessions_per_account: Most sessions of one account; the oldest one gives way.
        cookies: Whether browsers may sign in with a session cookie (``POST /auth/login``).
        trusted_origins: Origins of other sites whose pages may use the cookie, such as
            ``https://app.example.com``.
        api_key_overlap: How long the API key before a rotated one goes on.
        leak_reporter_keys: Public keys in PEM, on the curve P-256, of scanners that report leaked
            API keys (``POST /auth/api-keys/leaked``).
        introspections_per_program: Tokens that one program may ask about, in a minute.
        attempts_per_address: Sign-ins to one account from one address, in an hour.
        attempts_per_account: Sign-ins to one account from all addresses together, in an hour; an
            address from which the account is signed in is exempt.
        attempts_in_all: Sign-ins to all accounts together, in a minute.
        factor_attempts: Codes of a second factor that may be tried for one account in an hour, and
            four times as many in a day; the addresses from which the account is signed in share as
            many of their own.
        display_name: Name that authenticator apps and passkeys show; `issuer` unless given.
        passkey_rp_id: Domain that passkeys belong to, such as ``example.com``; they work on it and
            below it. Without one there are none, and it can't be changed later.
        passkey_origins: Origins of the pages that use passkeys, such as
            ``https://app.example.com``; ``https://`` and the domain unless given.
        passkey_verification: Whether a passkey as a second factor has to ask for finger, face or
            number (``required``), or may (``preferred``). To sign in by itself it always has to.
        pages_url: Where the pages of the front end are that one-time links lead to, such as
            ``https://app.example.com/account``; the host of a request is never used for it.
        registration: Who may make an account by themselves: nobody, those whom an admin of a tenant
            has invited, or everybody who receives mail.
        verified_email_required: Whether an account may sign in only after its address was shown to
            be its owner's, which a registration and a reset do.
        reset_link_lifetime: How long a link for a new password or a new address holds.
        registration_link_lifetime: How long a link for a new account holds.
        mails_per_address: Links that are mailed to one address in an hour.
        mails_per_client: Links that one client may ask for in an hour.
        leeway: Clock difference to other machines that is forgiven.
        token_cache_size: Verified tokens that are remembered per process, so that a signature is
            checked once.
        identity_cache_lifetime: How long an account read from the database is believed, in seconds;
            a revoked role or a deactivated account takes effect within this time.
        identity_cache_size: Accounts that are remembered per process.
        password_min_length: Least characters of a password that stands alone.
        password_min_length_with_factor: Least characters of one beside a second factor.
        password_max_length: Most characters; with bcrypt 72 bytes in UTF-8 at most.
        password_words: Names of the service, which no password may lean on.
        breach_check: Whether new passwords are looked up in stolen data, and if so, whether one
            that can't be looked up may be chosen: ``open`` or ``closed``.
        breach_check_url: Service that is asked, by the range protocol of Pwned Passwords.
        breach_check_timeout: The most time that an answer may take.
        password_hash: How new passwords are hashed. Hashes of the other kind go on, and are
            replaced at the next sign-in.
        argon2_memory: KiB that one hash of Argon2id takes; times ``hashing_threads`` at once.
        argon2_time: Passes of Argon2id over its memory.
        stored_hash_memory: Most KiB that the check of a stored hash may take, of Argon2 or scrypt;
            times ``hashing_threads`` at once. A hash that wants more is not read.
        password_pepper: Whether a key is mixed into new passwords, so that a stolen table alone
            can't be guessed at. What was hashed the other way is replaced at the next sign-in.
        password_pepper_keys: Keys for that, oldest to newest: the newest is mixed in, all of them
            check. They are not the application's secret keys, since one that is taken away makes
            the hashes under it useless.
        bcrypt_cost: Work factor of bcrypt, as a power of two.
        hashing_threads: Passwords that are hashed at the same time, off the event loop.
        hashing_queue: Sign-ins that may wait for a hashing thread; more are answered 503.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(default="stockade", min_length=1, max_length=255)
    audience: str = Field(default="stockade", min_length=1, max_length=255)
    algorithm: Literal["Ed25519", "EdDSA", "ES256", "RS256", "HS256"] = "Ed25519"
    signing_keys: tuple[SecretStr, ...] = Field(default=(), max_length=20)
    signing_key_files: tuple[Path, ...] = Field(default=(), max_length=20)
    issuers: dict[_IssuerName, IssuerSettings] = Field(default_factory=dict, max_length=20)
    providers: dict[_IssuerName, ProviderSettings] = Field(default_factory=dict, max_length=20)
    public_url: Annotated[str, Field(max_length=255), AfterValidator(check_service)] | None = None
    return_origin: Annotated[str, Field(max_length=255), AfterValidator(check_origin)] | None = None
    access_token_lifetime: timedelta = Field(
        default=timedelta(minutes=10), ge=timedelta(minutes=5), le=timedelta(minutes=15)
    )
    session_lifetime: timedelta = Field(
        default=timedelta(days=30), ge=timedelta(minutes=5), le=timedelta(days=365)
    )
    session_idle_lifetime: timedelta = Field(
        default=timedelta(days=7), ge=timedelta(minutes=5), le=timedelta(days=365)
    )
    refresh_grace: timedelta = Field(
        default=timedelta(seconds=10), ge=timedelta(0), le=timedelta(minutes=1)
    )
    sessions_per_account: int = Field(default=50, ge=1, le=10_000)
    cookies: bool = False
    trusted_origins: tuple[Annotated[str, AfterValidator(check_origin)], ...] = ()
    api_key_overlap: timedelta = Field(
        default=timedelta(days=1), ge=timedelta(0), le=timedelta(days=90)
    )
    leak_reporter_keys: tuple[Annotated[str, AfterValidator(check_reporter_key)], ...] = Field(
        default=(), max_length=10
    )
    introspections_per_program: int = Field(default=3000, ge=1, le=6_000_000)
    attempts_per_address: int = Field(default=20, ge=1, le=100_000)
    attempts_per_account: int = Field(default=60, ge=1, le=100_000)
    attempts_in_all: int = Field(default=3000, ge=1, le=10_000_000)
    factor_attempts: int = Field(default=10, ge=1, le=1000)
    display_name: str | None = Field(default=None, pattern=r"^[^:\x00-\x1f\x7f]{1,100}$")
    passkey_rp_id: Annotated[str, Field(pattern=_DOMAIN, max_length=253)] | None = None
    passkey_origins: tuple[Annotated[str, AfterValidator(check_origin)], ...] = Field(
        default=(), max_length=20
    )
    passkey_verification: Literal["required", "preferred"] = "required"
    pages_url: Annotated[str, AfterValidator(check_pages_url)] | None = Field(
        default=None, max_length=200
    )
    registration: Literal["closed", "invited", "open"] = "closed"
    verified_email_required: bool = True
    reset_link_lifetime: timedelta = Field(
        default=timedelta(minutes=30), ge=timedelta(minutes=5), le=timedelta(days=1)
    )
    registration_link_lifetime: timedelta = Field(
        default=timedelta(days=1), ge=timedelta(minutes=5), le=timedelta(days=7)
    )
    mails_per_address: int = Field(default=5, ge=1, le=1000)
    mails_per_client: int = Field(default=30, ge=1, le=100_000)
    leeway: timedelta = Field(
        default=timedelta(seconds=10), ge=timedelta(0), le=timedelta(minutes=2)
    )
    token_cache_size: int = Field(default=10_000, ge=0, le=1_000_000)
    identity_cache_lifetime: float = Field(default=1.0, ge=0, le=5)
    identity_cache_size: int = Field(default=10_000, ge=1, le=1_000_000)
    password_min_length: int = Field(default=15, ge=8, le=64)
    password_min_length_with_factor: int = Field(default=8, ge=8, le=64)
    password_max_length: int = Field(default=128, ge=64, le=1024)
    password_words: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    breach_check: Literal["off", "open", "closed"] = "off"
    breach_check_url: Annotated[str, AfterValidator(check_service)] = (
        "https://api.pwnedpasswords.com/range"
    )
    breach_check_timeout: timedelta = Field(
        default=timedelta(seconds=2), ge=timedelta(milliseconds=100), le=timedelta(seconds=30)
    )
    password_hash: Literal["argon2id", "bcrypt"] = "bcrypt"  # noqa: S105 - the name of an algorithm
    argon2_memory: int = Field(default=19_456, ge=7_168, le=1_048_576)
    argon2_time: int = Field(default=2, ge=1, le=20)
    stored_hash_memory: int = Field(default=131_072, ge=19_456, le=1_048_576)
    password_pepper: bool = False
    password_pepper_keys: tuple[SecretStr, ...] = Field(default=(), max_length=20)
    bcrypt_cost: int = Field(default=12, ge=4, le=16)
    hashing_threads: int = Field(default=2, ge=1, le=64)
    hashing_queue: int = Field(default=32, ge=1, le=10_000)

    @model_validator(mode="after")
    def _check_passkey_origins(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        domain = self.passkey_rp_id
        for origin in self.passkey_origins:
            parts = urlsplit(origin)
            host = parts.hostname or ""
            # A browser uses a passkey on its domain and below it, and over TLS but on this machine.
            if domain is None or (host != domain and not host.endswith(f".{domain}")):
                message = "passkey_origins has to be on passkey_rp_id or below it"
                raise ValueError(message)
            if parts.scheme != "https" and host != "localhost":
                message = "passkey_origins has to begin with https://, but for http://localhost"
                raise ValueError(message)
        return self

    @field_validator("signing_keys", mode="before")
    @classmethod
    def _write_keys(cls, value: object) -> object:
        """Take a JWK as the object that it is, alone or in a list: the environment is JSON."""
        if isinstance(value, dict):
            value = [value]
        if not isinstance(value, list | tuple):
            return value
        return [json.dumps(each) if isinstance(each, dict) else each for each in value]
