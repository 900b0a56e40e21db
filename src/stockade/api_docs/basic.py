"""Verify the HTTP Basic credentials of a reader of the API documentation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

from stockade.api_docs.settings import APIDocsSettings
from stockade.errors import UnauthenticatedError

# The longest legal credentials (64 and 256 characters of four bytes each, and a colon) take 1,708
# characters of base64. Whatever is longer is refused before it is decoded.
MAX_HEADER_LENGTH: Final = 2048

# RFC 9110, section 11.4: the scheme is case-insensitive, one or more spaces follow. RFC 4648,
# section 4: groups of four, the last one padded. The decoder alone would let surplus padding pass.
_CREDENTIALS: Final = re.compile(
    rb"(?i:basic) +((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)"
)


def basic_challenge(settings: APIDocsSettings) -> str:
    """Return the `WWW-Authenticate` value that asks for these credentials.

    Source: RFC 7617, sections 2 and 2.1.
    """
    return f'Basic realm="{settings.realm}", charset="UTF-8"'


def verify_basic(header: bytes | None, settings: APIDocsSettings) -> str:
    """Check an `Authorization` header and return the name of the user who signed in.

    Args:
        header: The untrusted value of the only `Authorization` header, or None if there is none.
        settings: The expected user name and password, and the realm of the challenge.

    Raises:
        UnauthenticatedError: The header is missing, malformed or wrong, or no password is set. The
            reasons are `api_docs.credentials_missing`, `api_docs.credentials_malformed`,
            `api_docs.credentials_wrong` and `api_docs.off`.

    Source: RFC 7617, section 2; ASVS 5.0 V11.2.4 (constant-time comparison).
    """
    if not settings.is_served or settings.username is None or settings.password is None:
        raise _refusal("off", settings)
    if header is None:
        raise _refusal("credentials_missing", settings)
    credentials = _decode(header)
    if credentials is None:
        raise _refusal("credentials_malformed", settings)
    username, password = credentials
    # Digests have one length, so neither comparison tells how long the expected value is. Both are
    # always made: a wrong name takes as long as a wrong password.
    name_matches = _is_equal(username, settings.username)
    password_matches = _is_equal(password, settings.password.get_secret_value())
    if not name_matches & password_matches:
        raise _refusal("credentials_wrong", settings)
    return settings.username


def _decode(header: bytes) -> tuple[str, str] | None:
    """Return user name and password, or None if the header is not RFC 7617 with UTF-8."""
    if len(header) > MAX_HEADER_LENGTH:
        return None
    match = _CREDENTIALS.fullmatch(header.strip(b" \t"))
    if match is None:
        return None
    try:
        decoded = base64.b64decode(match.group(1)).decode()
    except UnicodeDecodeError:
        return None
    username, colon, password = decoded.partition(":")
    return (username, password) if colon else None


def _is_equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(
        hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest()
    )


def _refusal(reason: str, settings: APIDocsSettings) -> UnauthenticatedError:
    return UnauthenticatedError(reason=f"api_docs.{reason}", challenge=basic_challenge(settings))
