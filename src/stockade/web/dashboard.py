"""Settings of the dashboard."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


class DashboardSettings(BaseModel):
    """Where super administrators look at what the layers do.

    Attributes:
        path: Where it is served, such as ``/stockade``; unset, it is not.
        fresh: How old the sign-in of whoever changes something there may be at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = Field(default=None, pattern=r"^(/[A-Za-z0-9_.~-]+){1,8}$", max_length=200)
    fresh: timedelta = Field(
        default=timedelta(minutes=15), ge=timedelta(minutes=1), le=timedelta(hours=12)
    )
