"""Let models say whose rows they hold."""

from __future__ import annotations

from typing import Final, TypeVar

from sqlalchemy import String, Table
from sqlalchemy.orm import Mapped, mapped_column

from stockade.errors import ConfigurationError

EXEMPT_ATTRIBUTE: Final = "__tenant_exempt__"
_EXEMPT_INFO: Final = "stockade_tenant_exempt"

_Model = TypeVar("_Model", bound="type[object] | Table")


class TenantScoped:
    """Give a model the column that says which tenant a row belongs to.

    There is no foreign key: accounts and tenants may live in another database. A model may have a
    ``tenant_id`` column of its own instead (text, integer or UUID); it is found by its name.
    """

    tenant_id: Mapped[str] = mapped_column(String(36), nullable=False, index=True)


def exempt(model: _Model, reason: str) -> _Model:
    """Share the rows of a model or table among all tenants on purpose, and return it.

    Args:
        model: A mapped class or a `Table`. Setting ``__tenant_exempt__`` in the class body says
            the same. Subclasses are not exempt with it.
        reason: Why that is safe; it is shown in the audit.

    Raises:
        ConfigurationError: The reason is empty.
    """
    if not reason.strip():
        raise ConfigurationError("tenancy: exempt() needs the reason why sharing the rows is safe")
    if isinstance(model, Table):
        model.info[_EXEMPT_INFO] = reason
    else:
        setattr(model, EXEMPT_ATTRIBUTE, reason)
    return model


def exemption(table: Table, models: tuple[type[object], ...]) -> str | None:
    """Return the reason for which a table is exempt, "" where none was written, None if it isn't.

    Args:
        table: The table.
        models: The classes whose own table it is.
    """
    reasons = [vars(model)[EXEMPT_ATTRIBUTE] for model in models if EXEMPT_ATTRIBUTE in vars(model)]
    if _EXEMPT_INFO in table.info:
        reasons.append(table.info[_EXEMPT_INFO])
    if not reasons:
        return None
    return next((reason for reason in reasons if isinstance(reason, str) and reason.strip()), "")
