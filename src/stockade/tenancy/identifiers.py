"""Turn the tenant of a principal into the type of a tenant column, or refuse it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Enum, Integer, String, Uuid

from stockade.core.identity import TenantId
from stockade.tenancy.errors import TenantRequiredError

_LONGEST: Final = 255
_LARGEST_INTEGER: Final = 2**63
_FOLDING_TYPES: Final = frozenset({"CITEXT"})


class TenantKind:
    """One way in which tables write down a tenant.

    Columns of one kind share one bound parameter, so a statement over many tables carries the
    tenant once.

    Args:
        column: A tenant column.

    Raises:
        TypeError: The column's type has no exact equality with the tenant's text.
    """

    def __init__(self, column: Column[Any]) -> None:
        kind = column.type
        if isinstance(kind, Uuid):
            self.name = "uuid" if kind.as_uuid else "uuid_text"
        elif isinstance(kind, Integer):
            self.name = "integer"
        elif isinstance(kind, String) and _compares_exactly(kind):
            self.name = "text"
        else:
            raise TypeError(repr(kind))
        self.length = (isinstance(kind, String) and kind.length) or _LONGEST

    @property
    def parameter(self) -> str:
        """Name of the bound parameter."""
        return f"stockade_tenant_{self.name}"

    def convert(self, tenant_id: TenantId) -> object:
        """Return the tenant in the type that the column holds.

        A value is never made to fit: the column's text must be the very text of the tenant, so
        that "7", " 7" and "07" can't become one tenant.

        Raises:
            TenantRequiredError: The tenant does not fit the column.
        """
        value = _CONVERTERS[self.name](tenant_id) if len(tenant_id) <= self.length else None
        if value is None or str(value) != tenant_id:
            raise TenantRequiredError(
                f"the tenant of the principal does not fit the tenant columns ({self.name})",
                reason="tenancy.invalid_tenant",
            )
        return value


def _compares_exactly(kind: String) -> bool:
    """Tell whether two different texts are two different values of the type.

    A collation or type that folds case would make tenants "a" and "A" one.
    """
    return (
        kind.collation is None
        and not isinstance(kind, Enum)
        and kind.__visit_name__ not in _FOLDING_TYPES
    )


def _text(value: str) -> str | None:
    return value if value.isprintable() else None


def _integer(value: str) -> int | None:
    try:
        number = int(value)
    except ValueError:
        return None
    return number if -_LARGEST_INTEGER <= number < _LARGEST_INTEGER else None


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _uuid_text(value: str) -> str | None:
    found = _uuid(value)
    return None if found is None else str(found)


_CONVERTERS: Final = {
    "text": _text,
    "integer": _integer,
    "uuid": _uuid,
    "uuid_text": _uuid_text,
}
