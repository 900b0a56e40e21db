"""Errors of the authentication layer."""

from __future__ import annotations

from stockade.errors import StockadeError, UnauthenticatedError


class PasswordTooLongError(StockadeError):
    """The password has more bytes than the hash reads, or holds a NUL that would end it early.

    Args:
        limit: The most bytes in UTF-8.
    """

    code = "password_too_long"

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"a password may have at most {limit} bytes")
        self.limit = limit


class InvalidTokenError(UnauthenticatedError):
    """An access token does not hold (RFC 6750, section 3.1)."""

    code = "invalid_token"

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason=reason, challenge='Bearer error="invalid_token"')


class InvalidCredentialsError(UnauthenticatedError):
    """Name and password do not belong together, or the account may not sign in."""

    code = "invalid_credentials"
