"""The safe value is the default."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stockade.validation.settings import ValidationSettings


def test_unbounded_input_stops_the_start_by_default() -> None:
    """Nobody has to switch the check on."""
    assert ValidationSettings().unbounded == "refuse"


def test_unknown_settings_are_refused() -> None:
    """A misspelt setting is an error, not a silence."""
    with pytest.raises(ValidationError):
        ValidationSettings.model_validate({"unbound": "warn"})
