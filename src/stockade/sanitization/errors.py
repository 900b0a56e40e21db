"""Define what sanitization refuses."""

from __future__ import annotations

from stockade.errors import ConfigurationError, InvalidInputError


class SanitizationError(InvalidInputError, ValueError):
    """A value can't be sanitized within bounds of size and work; it is refused, never cut.

    It is a ``ValueError`` too, so that Pydantic turns it into a 422 when a validator raises it.

    Args:
        reason: One of ``sanitization.too_long``, ``sanitization.too_complex`` and
            ``sanitization.not_unicode``.
        limit: The most characters that the policy takes, where length is the reason.
    """

    code = "sanitization"

    def __init__(self, *, reason: str, limit: int | None = None) -> None:
        super().__init__(reason=reason)
        self.limit = limit


class UnsafePolicyError(ConfigurationError):
    """A policy would let something through that runs script or reaches outside its element."""

    code = "unsafe_policy"
