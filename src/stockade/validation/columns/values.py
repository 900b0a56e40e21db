"""Describe values as columns care for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic import Secret, SecretBytes, SecretStr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# A bound of more digits than this is beyond every column, and would cost time.
_MOST_EXPONENT: Final = 10_000
SECRETS: Final = (Secret, SecretBytes, SecretStr)


class Kind(StrEnum):
    """What a value is, as far as columns care."""

    TEXT = "text"
    BYTES = "bytes"
    INTEGER = "integers"
    DECIMAL = "decimals"
    FLOAT = "floats"
    BOOLEAN = "booleans"
    DATE = "dates"
    DATETIME = "datetimes"
    TIME = "times"
    INTERVAL = "intervals"
    UUID = "UUIDs"
    ITEMS = "lists"
    NULL = "null"
    OBJECT = "objects"
    ANY = "values of any kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Values that a field can hand on.

    Args:
        kind: What they are.
        most: Most characters or bytes; None for any number of them.
        low: Least number; None where there is no such bound.
        high: Greatest number.
        whole: Most digits before the decimal point.
        places: Most digits behind it.
        naive: Whether there are some without a time zone.
        aware: Whether there are some with one.
        offset: The one offset from UTC that they have, in seconds, if it is fixed.
        choices: The one value that it is, in a tuple; empty where there are many.
        items: What is in a list.
        secret: Whether it is kept in one of Pydantic's secrets.
        behind: Name of a validator of which nobody knows what it returns.
    """

    kind: Kind
    most: int | None = None
    low: Fraction | None = None
    high: Fraction | None = None
    whole: int | None = None
    places: int | None = None
    naive: bool = False
    aware: bool = False
    offset: int | None = None
    choices: tuple[object, ...] = ()
    items: tuple[Value, ...] = ()
    secret: bool = False
    behind: str = ""


def merge(values: Iterable[Value]) -> list[Value]:
    """Join values of one kind to one that stands for all of them."""
    merged: dict[tuple[Kind, bool], Value] = {}
    for value in values:
        key = value.kind, value.secret
        known = merged.get(key)
        merged[key] = replace(value, choices=()) if known is None else _join(known, value)
    return list(merged.values())


def _join(one: Value, other: Value) -> Value:
    return Value(
        kind=one.kind,
        most=_either(one.most, other.most, max),
        low=_either(one.low, other.low, min),
        high=_either(one.high, other.high, max),
        whole=_either(one.whole, other.whole, max),
        places=_either(one.places, other.places, max),
        naive=one.naive or other.naive,
        aware=one.aware or other.aware,
        offset=one.offset if one.offset == other.offset else None,
        items=(*one.items, *other.items),
        secret=one.secret,
        behind=one.behind or other.behind,
    )


def _either(one: Any, other: Any, choose: Callable[..., Any]) -> Any:  # noqa: ANN401 - a bound
    """Choose from two bounds, of which none may be missing."""
    return None if one is None or other is None else choose(one, other)


def both(one: Any, other: Any, choose: Callable[..., Any]) -> Any:  # noqa: ANN401 - a bound
    """Choose from two bounds that both hold."""
    known = [each for each in (one, other) if each is not None]
    return choose(known) if known else None


def narrow(value: Value, other: Value) -> Value:
    """Apply the bounds of another description, which hold as well."""
    return replace(
        value,
        most=both(value.most, other.most, min),
        low=both(value.low, other.low, max),
        high=both(value.high, other.high, min),
        whole=both(value.whole, other.whole, min),
        places=both(value.places, other.places, min),
    )


def number_within(kind: Kind, limits: Mapping[str, Any]) -> Value:
    """Read the limits of numbers."""
    low = both(_fraction(limits.get("ge")), _beyond(kind, limits.get("gt"), 1), max)
    high = both(_fraction(limits.get("le")), _beyond(kind, limits.get("lt"), -1), min)
    if kind is Kind.INTEGER:
        low = None if low is None else Fraction(ceil(low))
        high = None if high is None else Fraction(floor(high))
    digits, places = limits.get("max_digits"), limits.get("decimal_places")
    return Value(
        kind=kind,
        low=low,
        high=high,
        whole=None if digits is None else max(0, digits - (places or 0)),
        # All digits can stand behind the point.
        places=digits if places is None else places,
    )


def _beyond(kind: Kind, bound: object, step: int) -> Fraction | None:
    """Return the first integer behind an open bound; other numbers come as near as they like."""
    found = _fraction(bound)
    if found is None or kind is not Kind.INTEGER:
        return found
    return Fraction(floor(found) + 1 if step > 0 else ceil(found) - 1)


def _fraction(bound: object) -> Fraction | None:
    if isinstance(bound, float) and isfinite(bound):
        # Drivers send it as it is written: 9.995 is a little less, and is rounded up all the same.
        return Fraction(repr(float(bound)))
    if isinstance(bound, Decimal) and bound.is_finite() and abs(bound.adjusted()) < _MOST_EXPONENT:
        return Fraction(bound)
    return Fraction(bound) if isinstance(bound, int) else None


def value_of(raw: object) -> Value | None:
    """Describe one value: a default, a literal, a member of an enumeration.

    Returns:
        None for something that is no value of a column.
    """
    plain = raw.value if isinstance(raw, Enum) else raw
    secret = isinstance(plain, SECRETS)
    if isinstance(plain, Secret | SecretBytes | SecretStr):
        plain = plain.get_secret_value()
    choices = (raw,)
    if plain is None:
        return Value(kind=Kind.NULL)
    if isinstance(plain, str | bytes):
        kind = Kind.TEXT if isinstance(plain, str) else Kind.BYTES
        return Value(kind=kind, most=len(plain), choices=choices, secret=secret)
    if isinstance(plain, bool):
        return Value(kind=Kind.BOOLEAN, choices=choices)
    if isinstance(plain, int | float | Decimal):
        return _value_of_number(plain, choices)
    if isinstance(plain, datetime | time):
        offset = plain.utcoffset()
        return Value(
            kind=Kind.DATETIME if isinstance(plain, datetime) else Kind.TIME,
            naive=offset is None,
            aware=offset is not None,
            offset=None if offset is None else int(offset.total_seconds()),
            choices=choices,
        )
    kind_of = ((date, Kind.DATE), (timedelta, Kind.INTERVAL), (UUID, Kind.UUID))
    found = next((kind for cls, kind in kind_of if isinstance(plain, cls)), None)
    return None if found is None else Value(kind=found, choices=choices)


def _value_of_number(number: float | Decimal, choices: tuple[object, ...]) -> Value:
    kind = {int: Kind.INTEGER, float: Kind.FLOAT}.get(type(number), Kind.DECIMAL)
    exact = _fraction(number)
    if kind is not Kind.DECIMAL or exact is None:
        return Value(kind=kind, low=exact, high=exact, choices=choices)
    exponent = Decimal(number).as_tuple().exponent
    return Value(
        kind=kind,
        low=exact,
        high=exact,
        whole=max(0, Decimal(number).adjusted() + 1) if number else 0,
        places=max(0, -exponent) if isinstance(exponent, int) else None,
        choices=choices,
    )
