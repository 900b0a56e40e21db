"""Settings of sign-in and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AuthenticationSettings(BaseModel):
    """How callers sign in and what their tokens look like.

    Attributes:
        issuer: Who issues the tokens (``iss``, RFC 7519, section 4.1.1); tokens of another issuer
            are refused.
        audience: Whom the tokens are for (``aud``); tokens for somebody else are refused.
        algorithm: Signature algorithm (RFC 9864 names): ``Ed25519``, or ``HS256`` where a shared
            secret is wanted.
        access_token_lifetime: How long an access token holds; 1 to 60 minutes.
        leeway: Clock difference to other machines that is forgiven.
        token_cache_size: Verified tokens that are remembered per process, so that a signature is
            checked once.
        identity_cache_lifetime: How long an account read from the database is believed, in seconds;
            a revoked role or a deactivated account takes effect within this time.
        identity_cache_size: Accounts that are remembered per process.
        bcrypt_cost: Work factor of bcrypt, as a power of two.
        hashing_threads: Passwords that are hashed at the same time, off the event loop.
        hashing_queue: Sign-ins that may wait for a hashing thread; more are answered 503.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(default="stockade", min_length=1, max_length=255)
    audience: str = Field(default="stockade", min_length=1, max_length=255)
    algorithm: Literal["Ed25519", "HS256"] = "Ed25519"
    access_token_lifetime: timedelta = Field(
        default=timedelta(minutes=10), ge=timedelta(minutes=1), le=timedelta(minutes=60)
    )
    leeway: timedelta = Field(
        default=timedelta(seconds=10), ge=timedelta(0), le=timedelta(minutes=2)
    )
    token_cache_size: int = Field(default=10_000, ge=0, le=1_000_000)
    identity_cache_lifetime: float = Field(default=1.0, ge=0, le=5)
    identity_cache_size: int = Field(default=10_000, ge=1, le=1_000_000)
    bcrypt_cost: int = Field(default=12, ge=4, le=16)
    hashing_threads: int = Field(default=2, ge=1, le=64)
    hashing_queue: int = Field(default=32, ge=1, le=10_000)
