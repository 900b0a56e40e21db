"""Compute and check one-time passwords of authenticator apps.

Six digits of HMAC-SHA-1 each 30 seconds: what every app expects and many take alone. SHA-1 is no
weakness here, since HMAC needs no collisions to be hard.

Source: RFC 4226; RFC 6238; NIST SP 800-63B-4, section 3.1.4; ASVS 5.0 V6.5.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha1
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.core.identity import UserId

DIGITS: Final = 6
PERIOD: Final = 30
# One step to each side: clocks that differ, and a code that is typed in as it changes (RFC 6238,
# section 5.2).
_WINDOW: Final = 1
# 160 bits, as RFC 4226, section 4, recommends.
_SECRET: Final = 20
# `\d` would take the digits of other scripts.
_SHAPE: Final = re.compile(r"[0-9]{6}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TOTPFactor:
    """An authenticator app of an account, as a store keeps it.

    Args:
        factor_id: Identifier of this enrolment.
        user_id: Whose it is.
        sealed: Its secret, sealed for this enrolment.
        created_at: When it was begun.
        confirmed_at: When a first code turned it on; None before that, and it counts for nothing.
        last_step: The step of the last code that was taken; none at or before it is taken again.
    """

    factor_id: str
    user_id: UserId
    sealed: str = field(repr=False)
    created_at: datetime
    confirmed_at: datetime | None = None
    last_step: int = -1


def owner_of(factor_id: str, user_id: UserId) -> str:
    """Name what a secret is sealed for: this enrolment of this account, and no other."""
    return f"totp:{factor_id}:{user_id}"


def generate_secret() -> bytes:
    """Draw a new secret of 160 bits."""
    return secrets.token_bytes(_SECRET)


def compute_code(secret: bytes, step: int) -> str:
    """Return the code of a step (RFC 4226, section 5.3).

    >>> compute_code(b"12345678901234567890", 1)
    '287082'
    """
    digest = hmac.digest(secret, step.to_bytes(8, "big"), sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_at(now: datetime) -> int:
    """Return the number of the step that a moment is in."""
    return int(now.timestamp()) // PERIOD


def is_code(value: str) -> bool:
    """Tell whether a text has the shape of a code."""
    return _SHAPE.fullmatch(value) is not None


def find_step(secret: bytes, code: str, *, now: datetime) -> int | None:
    """Return the latest step near to now that has this code, or None.

    Args:
        secret: The secret of the app.
        code: What somebody typed in; untrusted.
        now: The time.
    """
    current = step_at(now)
    found = None
    # All of them are compared, whichever fits: the time says nothing about the code.
    for step in range(max(0, current - _WINDOW), current + _WINDOW + 1):
        if hmac.compare_digest(compute_code(secret, step).encode(), code.encode()):
            found = step
    return found


def write_secret(secret: bytes) -> str:
    """Write a secret as people type it into an app: base32 without padding."""
    return base64.b32encode(secret).decode("ascii").rstrip("=")


def write_uri(secret: bytes, *, issuer: str, account: str) -> str:
    """Write the address that apps read from a QR code.

    Source: Google Authenticator's Key URI Format, which all apps follow.
    """
    query = {
        "secret": write_secret(secret),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": PERIOD,
    }
    # Some apps show a plus sign where a space is meant.
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?" + urlencode(
        query, quote_via=quote
    )
