"""Settings of input validation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ValidationSettings(BaseModel):
    """How input is checked.

    Attributes:
        unbounded: What an unbounded value of some route does at start-up: ``refuse`` stops the
            start, ``warn`` lets it go on, for the time of a migration. A `Schema` with an
            unbounded field is refused in both cases.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    unbounded: Literal["refuse", "warn"] = "refuse"
