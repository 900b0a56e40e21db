"""Write values of Python as Cedar has them, each by the type that the schema gives it.

A value is never written into a policy or an identifier: it becomes JSON of one declared type, so
that nothing in it can be read as anything else.

Source: Cedar policy language, "JSON format for entities".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from stockade.authorization.engines.cedar_schema import Record, SetOf
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authorization.engines.cedar_schema import CedarType, Declared

Encode: TypeAlias = Callable[[Any], Any]
"""Takes a value and gives JSON; raises ValueError, without the value, where it does not fit."""

_LONG: Final = 1 << 63
_FOUR_PLACES: Final = Decimal("0.0001")
_ADDRESSES: Final = (str, IPv4Address, IPv4Network, IPv6Address, IPv6Network)


def encoder_for(kind: CedarType, declared: Declared, namespace: str) -> Encode:
    """Return what writes values of a type.

    Args:
        kind: The type, as the schema names it.
        declared: What the schema declares.
        namespace: Where the type is named.

    Raises:
        ConfigurationError: The schema has a type that values can't be written in.
    """
    if isinstance(kind, SetOf):
        return _set_of(encoder_for(kind.item, declared, namespace))
    if isinstance(kind, Record):
        return record_of(kind, declared, namespace, read=_item_of)
    name = declared.find(kind.name, namespace)
    if name in declared.common:
        return encoder_for(declared.common[name], declared, name.rpartition("::")[0])
    if name in declared.entities:
        return _entity_of(name)
    if name not in _PRIMITIVES:
        message = f"the Cedar schema has an attribute of the type {name}, which is not supported"
        raise ConfigurationError(message)
    return _PRIMITIVES[name]


def record_of(
    kind: Record, declared: Declared, namespace: str, *, read: Callable[[Any, str], Any]
) -> Encode:
    """Return what writes the declared attributes of something, and no others.

    Args:
        kind: The attributes.
        declared: What the schema declares.
        namespace: Where they are declared.
        read: Returns an attribute of a value by its name; None where it has none.
    """
    parts = [
        (name, encoder_for(each, declared, namespace), required)
        for name, (each, required) in kind.attributes.items()
    ]

    def encode(value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever holds the attributes
        found = {}
        for name, part, required in parts:
            item = read(value, name)
            if item is not None:
                found[name] = part(item)
            elif required:
                message = f"{name} is required by the schema and has no value"
                raise ValueError(message)
        return found

    return encode


def entity_uid(kind: str, identifier: object) -> dict[str, str]:
    """Return the identity of an entity, whose type and identifier stay apart."""
    return {"type": kind, "id": text_of(identifier)}


def text_of(value: object) -> str:
    """Return the text of an identifier.

    Raises:
        ValueError: It is no text, number or UUID.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise _misfit("text")


def _misfit(kind: str) -> ValueError:
    return ValueError(f"a value does not fit the type {kind} of the schema")


def _item_of(value: object, name: str) -> object:
    if not isinstance(value, Mapping):
        raise _misfit("record")
    return value.get(name)


def _set_of(encode: Encode) -> Encode:
    def encode_all(value: object) -> list[Any]:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
            raise _misfit("Set")
        return [encode(each) for each in value]

    return encode_all


def _entity_of(name: str) -> Encode:
    return lambda value: entity_uid(name, value)


def _long(value: object) -> int:
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, int) or isinstance(value, bool) or not -_LONG <= value < _LONG:
        raise _misfit("Long")
    return int(value)


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _misfit("Bool")
    return value


def _decimal(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise _misfit("decimal")
    try:
        exact = Decimal(value).quantize(_FOUR_PLACES, rounding=ROUND_DOWN)
    except ArithmeticError:
        raise _misfit("decimal") from None
    # Cedar has four places; a fifth one would be cut off and could turn a comparison around.
    if exact != value:
        raise _misfit("decimal")
    return f"{exact:f}"


def _datetime(value: object) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            # Nobody can tell which moment that is.
            raise _misfit("datetime")
        return (
            value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            + f"{value.microsecond // 1000:03}Z"
        )
    if isinstance(value, date):
        return value.isoformat()
    raise _misfit("datetime")


def _duration(value: object) -> str:
    if not isinstance(value, timedelta):
        raise _misfit("duration")
    return f"{value // timedelta(milliseconds=1)}ms"


def _address(value: object) -> str:
    if not isinstance(value, _ADDRESSES):
        raise _misfit("ipaddr")
    return str(value)


_PRIMITIVES: Final[dict[str, Encode]] = {
    "String": text_of,
    "Long": _long,
    "Bool": _bool,
    "Boolean": _bool,
    "decimal": _decimal,
    "datetime": _datetime,
    "duration": _duration,
    "ipaddr": _address,
}
