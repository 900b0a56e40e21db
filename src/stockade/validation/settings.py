"""Settings of input validation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from stockade.validation.content.limits import ContentLimits


class ValidationSettings(BaseModel):
    """How input is checked.

    Attributes:
        unbounded: What an unbounded value of some route does at start-up: ``refuse`` stops the
            start, ``warn`` lets it go on, for the time of a migration. A `Schema` with an
            unbounded field is refused in both cases.
        columns: What a field of a body that takes more than its database column holds does at
            start-up: ``refuse`` stops the start, ``warn`` lets it go on.
        max_json_depth: Most levels of objects and arrays within each other in a JSON body.
        max_json_values: Most members and items in a JSON body, all together.
        max_text: Most characters of a string in a JSON body, and bytes of a field of a form.
        max_form_fields: Most fields of a form that are no files.
        max_form_files: Most files of a form.
        content_codings: Content codings that are undone for the application; a body in any other
            one is refused. What counts is the size after that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    unbounded: Literal["refuse", "warn"] = "refuse"
    columns: Literal["refuse", "warn"] = "refuse"
    max_json_depth: int = Field(default=32, ge=1, le=200)
    max_json_values: int = Field(default=10_000, ge=1)
    max_text: int = Field(default=1_000_000, ge=1)
    max_form_fields: int = Field(default=1_000, ge=0)
    max_form_files: int = Field(default=100, ge=0)
    content_codings: tuple[Literal["deflate", "gzip"], ...] = ("deflate", "gzip")

    def content_limits(self) -> ContentLimits:
        """Return how much a body may hold where its endpoint does not say otherwise."""
        return ContentLimits(
            depth=self.max_json_depth,
            values=self.max_json_values,
            text=self.max_text,
            fields=self.max_form_fields,
            files=self.max_form_files,
        )
