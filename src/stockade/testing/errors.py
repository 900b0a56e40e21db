"""Errors of the helpers for tests."""

from __future__ import annotations

from stockade.errors import ConfigurationError


class HelperError(ConfigurationError):
    """A helper for tests can't do what was asked of it; the message says what to change."""

    code = "test_helper"
