"""Hold the settings of tenant isolation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TenancySettings(BaseModel):
    """What the layer has to know about an application's tables.

    Attributes:
        column: Database name of the column that says whose row it is; every table that has it is
            scoped.
        trusted_elements: Qualified names (``package.module.Class``) of SQL constructs with a
            compiler of their own (``sqlalchemy.ext.compiler``) that were reviewed and read no rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str = Field(default="tenant_id", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")
    trusted_elements: frozenset[str] = frozenset()
