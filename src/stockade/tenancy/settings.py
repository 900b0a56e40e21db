"""Hold the settings of tenant isolation."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TenancySettings(BaseModel):
    """What the layer has to know about an application's tables.

    Attributes:
        column: Database name of the column that says whose row it is; every table that has it is
            scoped.
        trusted_elements: Qualified names (``package.module.Class``) of SQL constructs with a
            compiler of their own (``sqlalchemy.ext.compiler``) that were reviewed and read no rows.
        row_level_security: ``on`` where PostgreSQL keeps the tenants apart as well: sessions tell
            it the tenant, and the start verifies that every table and the role in use are subject
            to it. ``raw_sql`` also lets SQL text into the sessions, which PostgreSQL filters.
        role: Role of PostgreSQL that every transaction of a tenant takes on; None to stay with the
            role of the connection.

    Raises:
        ValueError: There is a role, and nothing that needs it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str = Field(default="tenant_id", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")
    trusted_elements: frozenset[str] = frozenset()
    row_level_security: Literal["off", "on", "raw_sql"] = "off"
    role: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")

    @model_validator(mode="after")
    def _check_role(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        if self.role is not None and self.row_level_security == "off":
            message = "a role needs row_level_security to be on or raw_sql"
            raise ValueError(message)
        return self
