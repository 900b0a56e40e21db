"""Prove at start-up that limits, tokens and the sanitizer bite.

The gate and the isolation of tenants have proofs of their own.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from zlib import crc32

from stockade.core.exchange import SCOPE_KEY
from stockade.core.limits import LimitRule
from stockade.errors import ConfigurationError, RateLimitedError, UnauthenticatedError
from stockade.gate.canary import make_scope
from stockade.sanitization import sanitize_html

if TYPE_CHECKING:
    from stockade.core.interfaces import Authenticator
    from stockade.rate_limiting import RateLimiter

# {"alg":"none","typ":"at+jwt"} . {"sub":"1"} . an empty-looking signature: what a library with
# defaults once accepted.
_FORGED = (
    b"Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiIxIn0.AA",
    b"Bearer x",
    b"Basic Og==",
    None,
)
# A key whose checksum is right, of a client that nobody made.
_FORGED_KEY = b"stkc_" + b"0" * 24, b"stks_" + b"A" * 43 + b"%08x" % crc32(b"A" * 43)


async def prove_limits(limiter: RateLimiter) -> None:
    """Use up a planted limit; the next request has to be refused.

    Raises:
        ConfigurationError: It passed.
    """
    planted = LimitRule(amount=1, window=60, scope=f"stockade-canary-{secrets.token_hex(8)}")
    compiled = limiter.compile([planted], route="canary")
    if compiled is None:
        return  # Limits are off by setting, which the start says and the audit shows.
    scope = make_scope("http", "/", limiter)
    await limiter.check(compiled, scope[SCOPE_KEY], scope)
    try:
        await limiter.check(compiled, scope[SCOPE_KEY], scope)
    except RateLimitedError:
        return
    message = (
        "the start-up check of the rate limits failed: a limit that was used up let a request "
        "through"
    )
    raise ConfigurationError(message)


async def prove_authentication(authenticator: Authenticator) -> None:
    """Present credentials that can't hold; each has to be refused.

    Raises:
        ConfigurationError: One was accepted.
    """
    for forged, key in ((None, _FORGED_KEY), *((each, None) for each in _FORGED)):
        exchange = make_scope("http", "/", None)[SCOPE_KEY]
        exchange.authorization = forged
        exchange.api_key = key
        try:
            await authenticator.authenticate(exchange)
        except UnauthenticatedError:
            continue
        message = "the start-up check of the tokens failed: a forged token was accepted"
        raise ConfigurationError(message)


def prove_sanitization() -> None:
    """Sanitize a planted script; it has to be gone.

    Raises:
        ConfigurationError: It is still there.
    """
    cleaned = sanitize_html(
        '<p onclick="x()">a<script>alert(1)</script><a href="javascript:x()">b</a></p>'
    )
    if any(word in cleaned for word in ("script", "onclick")):
        message = (
            "the start-up check of the sanitizer failed: a script came through (is nh3 of a "
            "supported version?)"
        )
        raise ConfigurationError(message)
