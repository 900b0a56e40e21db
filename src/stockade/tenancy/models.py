"""Describe which rows of which table belong to a tenant, and who uses a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Table

from stockade.core.identity import TenantId
from stockade.tenancy.raw import RawBlocks
from stockade.tenancy.transactions import TenantTransaction


@dataclass(frozen=True, slots=True)
class TenantBinding:
    """The tenant that a connection works for, as long as its transaction lasts.

    Args:
        tenant_id: The tenant, as the principal names it.
        parameters: The same tenant in the type of each kind of tenant column, by parameter name.
        transaction: Tells PostgreSQL the tenant in each transaction; None without row-level
            security.
        raw: The blocks in which its session takes SQL text.
    """

    tenant_id: TenantId
    parameters: Mapping[str, object]
    transaction: TenantTransaction | None = None
    raw: RawBlocks = field(default_factory=RawBlocks)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key that points to rows of a tenant.

    Args:
        local: The columns that point, with every name that a statement may use for each.
        remote: The columns they point to, in the same order.
        target: The table they point to.
        nullable: Whether a row may point nowhere.
    """

    local: tuple[tuple[Column[Any], frozenset[str]], ...]
    remote: tuple[Column[Any], ...]
    target: Table
    nullable: bool


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How one table is isolated.

    A table is scoped by its own tenant column, or through foreign keys to tables that are scoped
    (an association table, the table of a subclass). Any other table is shared by all tenants.

    Args:
        table: The table.
        column: Its tenant column, if it has one.
        names: Every name that a statement may use for the tenant column.
        parameter: Name of the bound parameter that carries the tenant for this column.
        owners: Foreign keys through which the rows belong to a tenant, if there is no column.
        references: Foreign keys whose values are verified on every write.
    """

    table: Table
    column: Column[Any] | None = None
    names: frozenset[str] = frozenset()
    parameter: str = ""
    owners: tuple[Reference, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def scoped(self) -> bool:
        """Whether the rows of the table belong to tenants."""
        return self.column is not None or bool(self.owners)
