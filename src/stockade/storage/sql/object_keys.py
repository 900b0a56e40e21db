"""Say how the key of a model's rows reads in a URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError
from sqlalchemy import BigInteger, SmallInteger, inspect
from sqlalchemy.exc import NoInspectionAvailable

from stockade.errors import ConfigurationError
from stockade.validation.types import UUIDIdentifier
from stockade.validation.types.integers import IntegerFormat
from stockade.validation.types.text import TextFormat

if TYPE_CHECKING:
    from sqlalchemy import Column

_LONGEST: Final = 255
_CANONICAL: Final = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f]+$"


def key_type_of(model: type[Any]) -> Any:  # noqa: ANN401 - an annotation
    """Return the type of the path parameter that names a row of a model.

    A key has one spelling: what reads otherwise is refused and not repaired.

    Raises:
        ConfigurationError: It is no mapped class, its key has several columns, or the key is
            neither a number nor a text nor a UUID.
    """
    try:
        columns: tuple[Column[Any], ...] = inspect(model).primary_key
    except NoInspectionAvailable:
        message = "load() needs a mapped class"
        raise ConfigurationError(message) from None
    if len(columns) != 1:
        message = (
            f"the key of {model.__name__} has {len(columns)} columns, and load() takes one: write"
            " the query in the handler and check with Depends(stockade.access)"
        )
        raise ConfigurationError(message)
    kind = columns[0].type
    try:
        python_type = kind.python_type
    except NotImplementedError:
        python_type = object
    if python_type is int:
        bits = _bits_of(kind)
        limits = IntegerFormat(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return Annotated[int, limits, BeforeValidator(_require_canonical)]
    if python_type is str:
        length = getattr(kind, "length", None) or _LONGEST
        return Annotated[str, TextFormat(_NO_CONTROLS, length, 1)]
    if python_type is UUID:
        return UUIDIdentifier
    message = (
        f"the key of {model.__name__} is a {python_type.__name__}, and load() reads numbers, texts"
        " and UUIDs: write the query in the handler and check with Depends(stockade.access)"
    )
    raise ConfigurationError(message)


def _bits_of(kind: object) -> int:
    if isinstance(kind, SmallInteger):
        return 16
    return 64 if isinstance(kind, BigInteger) else 32


def _require_canonical(value: object) -> object:
    """Refuse ``+1``, ``01``, ``1_0`` and digits of other scripts, which int() takes as well."""
    if isinstance(value, str) and not _CANONICAL.fullmatch(value):
        raise PydanticKnownError("int_parsing")
    return value
