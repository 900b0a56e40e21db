"""Make a value for a column from nothing but the column."""

from __future__ import annotations

import datetime as dt
import decimal
import secrets
import uuid
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Column, DateTime, Enum, SmallInteger, String

_MOMENT: Final = dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
_LARGEST: Final = 2**31 - 1
_LARGEST_SMALL: Final = 2**15 - 1
# Long enough that two rows never agree by chance, where the column has room for it.
_TEXT: Final = 24

_MAKERS: Final[dict[type, Callable[[], object]]] = {
    bool: lambda: False,
    bytes: lambda: secrets.token_bytes(8),
    dt.date: _MOMENT.date,
    dt.time: lambda: _MOMENT.time().replace(tzinfo=None),
    dt.timedelta: lambda: dt.timedelta(seconds=1),
    decimal.Decimal: lambda: decimal.Decimal(secrets.randbelow(9) + 1),
    dict: dict,
    float: lambda: float(secrets.randbelow(1000)),
    list: list,
    uuid.UUID: uuid.uuid4,
}


def makes_itself(column: Column[Any]) -> bool:
    """Tell whether a column gets a value without being given one.

    A counted key does not: a made-up one is never that of a row that was deleted before.
    """
    return bool(
        column.default is not None
        or column.server_default is not None
        or column.computed is not None
        or column.identity is not None
    )


def make_value(column: Column[Any]) -> object:
    """Return a value that the column takes, another one each time where its type has several.

    Raises:
        TypeError: Nothing is known about the column's type.
    """
    kind = column.type
    if isinstance(kind, Enum):
        return next(iter(kind.enum_class)) if kind.enum_class is not None else kind.enums[0]
    if isinstance(kind, DateTime):
        return _MOMENT if kind.timezone else _MOMENT.replace(tzinfo=None)
    try:
        python = kind.python_type
    except NotImplementedError:
        raise TypeError(repr(kind)) from None
    if python is str:
        return secrets.token_hex(_TEXT // 2)[: getattr(kind, "length", None) or _TEXT]
    if python is int:
        return 1 + secrets.randbelow(_LARGEST_SMALL if _is_small(kind) else _LARGEST)
    if python is dt.datetime:
        return _MOMENT.replace(tzinfo=None)
    if python not in _MAKERS:
        raise TypeError(repr(kind))
    return _MAKERS[python]()


def is_text(column: Column[Any]) -> bool:
    """Tell whether a column holds plain text of any kind."""
    return isinstance(column.type, String) and not isinstance(column.type, Enum)


def _is_small(kind: object) -> bool:
    return isinstance(kind, SmallInteger)
