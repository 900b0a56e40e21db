"""Expect settings that are checked when they are built."""

import pytest
from pydantic import ValidationError

from stockade.rate_limiting import RateLimitingSettings


def test_defaults_hold() -> None:
    """The defaults are valid, on unless the environment says otherwise, and closed on failure."""
    settings = RateLimitingSettings()
    assert settings.enabled is None
    assert settings.failure == "closed"
    assert [rule.amount for rule in settings.default_rules().login] == [10, 50]


@pytest.mark.parametrize("field", ["public", "authenticated", "address", "login"])
@pytest.mark.parametrize("text", ["", "nonsense", "0/minute"])
def test_wrong_limits_are_refused(field: str, text: str) -> None:
    """No limit may be empty or wrong: that would be a layer that is not in force."""
    with pytest.raises(ValidationError):
        RateLimitingSettings.model_validate({field: text})


@pytest.mark.parametrize(
    "given",
    [
        {"ipv6_prefix": 0},
        {"ipv6_prefix": 129},
        {"timeout": 0},
        {"failure": "maybe"},
        {"max_keys": 1},
        {"failure_threshold": 0},
        {"cooldown": 0},
        {"unknown": 1},
    ],
    ids=str,
)
def test_other_wrong_values_are_refused(given: dict[str, object]) -> None:
    """Values out of range and unknown names are errors."""
    with pytest.raises(ValidationError):
        RateLimitingSettings.model_validate(given)
