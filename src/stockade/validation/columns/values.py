"""Describe every value that a field can hand on, from the core schema that validates it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction
from functools import partial
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic import Secret, SecretBytes, SecretStr

from stockade.validation.shapes import Node, children, definitions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    # How a kind of core schema is read: its node, the model's configuration, and what a step of a
    # chain before it has handed on.
    Reading = Callable[["Reader", Node, Mapping[str, Any], Sequence["Value"]], list["Value"]]


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


# Changes of case happen behind the check of the length: "ΐ" has three capitals, "İ" two small
# letters.
_UPPER: Final = 3
_LOWER: Final = 2
_CASES: Final[tuple[tuple[object, int], ...]] = (
    *((function, _UPPER) for function in (str.upper, str.title, str.capitalize, str.swapcase)),
    *((function, growth) for function, growth in ((str.casefold, _UPPER), (str.lower, _LOWER))),
    *((function, 1) for function in (str, str.strip, str.lstrip, str.rstrip)),
)
# Percent-encoding makes twelve characters of one, and an empty path becomes a slash.
_URL_GROWTH: Final = 12
# email-validator's own cap, whatever the field says (RFC 5321, section 4.5.3.1).
_MAX_EMAIL: Final = 254
# Functions of these packages hand on what they were given, or check the length of what they made.
_TRUSTED: Final = frozenset({"fastapi", "pydantic", "pydantic_core", "stockade"})
# And these of them do not.
_ALTERING: Final = frozenset(
    {"pydantic.types.ByteSize", "pydantic.types.EncodedBytes", "pydantic.types.EncodedStr"}
)
_SECRETS: Final = (Secret, SecretBytes, SecretStr)
# A pattern of one alternative, from ^ to $, of plain characters, classes and repetitions.
_ESCAPES: Final = re.compile(r"\\[d\W_]")
_CLASSES: Final = re.compile(r"\[(?!\^)[^\[\]\\]*\]")
_NOT_PLAIN: Final = re.compile(r"[.|\\\[]|\(\?(?!:)")


class Reader:
    """Reads the fields of one schema.

    Args:
        definitions: Named parts of the schema.
        exact: Whether a validator that nobody knows may have made anything of a value; otherwise it
            is taken to hand on what it got.
    """

    def __init__(self, definitions: Mapping[str, Node], *, exact: bool) -> None:
        self.exact = exact
        self._definitions = dict(definitions)
        self._inside: list[str] = []

    def read(
        self, node: Node, config: Mapping[str, Any], before: Sequence[Value] = ()
    ) -> list[Value]:
        """Return all that a node can hand on."""
        kind: str = node["type"]
        self._definitions |= definitions_of(node)
        if kind == "definition-ref":
            return self._follow(node["schema_ref"], config, before)
        reading = _READINGS.get(kind)
        if reading is not None:
            return reading(self, node, config, before)
        simple = _SIMPLE.get(kind)
        if simple is not None:
            return [Value(kind=simple)]
        inside = list(children(node))
        if not inside:
            return [Value(kind=Kind.ANY)]
        return [value for _, child in inside for value in self.read(child, config, before)]

    def _follow(self, ref: str, config: Mapping[str, Any], before: Sequence[Value]) -> list[Value]:
        if ref in self._inside or ref not in self._definitions:
            return []
        self._inside.append(ref)
        found = self.read(self._definitions[ref], config, before)
        self._inside.pop()
        return found

    def behind(self, function: object, values: list[Value]) -> list[Value]:
        """Return what a function may make of values."""
        if isinstance(function, partial) and _is_trusted(function.func):
            return [_limited(value, function.keywords) for value in values]
        if isinstance(function, type) and issubclass(function, _SECRETS):
            return [replace(value, secret=True) for value in values]
        growth = next((factor for known, factor in _CASES if known is function), None)
        if growth is not None:
            return [_grown(value, growth) for value in values]
        if _is_trusted(function):
            return [_limited(value, _limits_of(function)) for value in values]
        if self.exact:
            return [_forgotten(value, _name_of(function)) for value in values]
        return values


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


def _both(one: Any, other: Any, choose: Callable[..., Any]) -> Any:  # noqa: ANN401 - a bound
    """Choose from two bounds that both hold."""
    known = [each for each in (one, other) if each is not None]
    return choose(known) if known else None


def _narrow(value: Value, other: Value) -> Value:
    """Apply the bounds of another description, which hold as well."""
    return replace(
        value,
        most=_both(value.most, other.most, min),
        low=_both(value.low, other.low, max),
        high=_both(value.high, other.high, min),
        whole=_both(value.whole, other.whole, min),
        places=_both(value.places, other.places, min),
    )


def _grown(value: Value, growth: int, more: int = 0) -> Value:
    if value.kind is not Kind.TEXT or value.most is None or (growth == 1 and not more):
        return value
    # A literal in capitals is another literal.
    return replace(value, most=value.most * growth + more, choices=())


def _forgotten(value: Value, name: str) -> Value:
    """Keep no more than the kind of a value."""
    has_zone = value.kind in {Kind.DATETIME, Kind.TIME}
    return Value(
        kind=value.kind,
        naive=has_zone,
        aware=has_zone,
        items=tuple(_forgotten(item, name) for item in value.items),
        secret=value.secret,
        behind=name,
    )


def _limited(value: Value, limits: Mapping[str, Any]) -> Value:
    """Apply the limits that stand around a value."""
    if value.kind in {Kind.TEXT, Kind.BYTES}:
        most = limits.get("max_length")
        if most is None:
            return value
        return replace(_narrow(value, Value(kind=value.kind, most=most)), behind="")
    if value.kind in {Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL}:
        return _narrow(value, _number(value.kind, limits))
    return value


def _limits_of(function: object) -> Mapping[str, Any]:
    """Return what a check of a trusted package says about its own limit."""
    owner = getattr(function, "__self__", None)
    if owner is not None and _name_of(function).startswith("stockade."):
        # A byte is at least a character.
        known = [getattr(owner, name, None) for name in ("max_length", "max_bytes")]
        found = [each for each in known if isinstance(each, int)]
        return {"max_length": min(found)} if found else {}
    return {"max_length": _MAX_EMAIL} if _name_of(function) == "pydantic.networks.EmailStr" else {}


def _is_trusted(function: object) -> bool:
    name = _name_of(function)
    return name.partition(".")[0] in _TRUSTED and name not in _ALTERING


def _name_of(function: object) -> str:
    owner = getattr(function, "__self__", None)
    named = function if owner is None else owner if isinstance(owner, type) else type(owner)
    if not hasattr(named, "__qualname__"):
        named = type(named)
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', '')}"


def _number(kind: Kind, limits: Mapping[str, Any]) -> Value:
    """Read the limits of numbers."""
    low = _both(_fraction(limits.get("ge")), _beyond(kind, limits.get("gt"), 1), max)
    high = _both(_fraction(limits.get("le")), _beyond(kind, limits.get("lt"), -1), min)
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
    if not isinstance(bound, int | float | Decimal) or not isfinite(bound):
        return None
    # Drivers send a float as it is written: 9.995 is a little less, and is rounded up all the same.
    return Fraction(repr(float(bound))) if isinstance(bound, float) else Fraction(bound)


def value_of(raw: object) -> Value | None:
    """Describe one value: a default, a literal, a member of an enumeration.

    Returns:
        None for something that is no value of a column.
    """
    plain = raw.value if isinstance(raw, Enum) else raw
    secret = isinstance(plain, _SECRETS)
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
        whole=len(str(abs(int(number)))) if int(number) else 0,
        places=max(0, -exponent) if isinstance(exponent, int) else None,
        choices=choices,
    )


def _read_text(
    reader: Reader, node: Node, config: Mapping[str, Any], before: Sequence[Value]
) -> list[Value]:
    most = node.get("max_length", config.get("str_max_length"))
    earlier = [value for value in merge(before) if value.kind is Kind.TEXT]
    value = Value(kind=Kind.TEXT, most=most, behind=earlier[0].behind if earlier else "")
    if earlier:
        value = _narrow(value, earlier[0])
    if node.get("to_upper", config.get("str_to_upper")):
        return [_grown(value, 1 if _is_ascii(node, exact=reader.exact) else _UPPER)]
    if node.get("to_lower", config.get("str_to_lower")):
        return [_grown(value, 1 if _is_ascii(node, exact=reader.exact) else _LOWER)]
    return [value]


def _is_ascii(node: Node, *, exact: bool) -> bool:
    """Tell whether only characters pass that have one form of each case."""
    pattern = node.get("pattern")
    if node.get("ascii_only") or not isinstance(pattern, str):
        return bool(node.get("ascii_only"))
    if not exact:
        # Most patterns of what is folded are for codes: "^[A-Za-z]{3}$".
        return True
    plain = _CLASSES.sub("", _ESCAPES.sub("", pattern))
    return (
        pattern.isascii()
        and pattern.startswith("^")
        and pattern.endswith("$")
        and not _NOT_PLAIN.search(plain)
    )


def _read_url(
    reader: Reader, node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    value = Value(kind=Kind.TEXT, most=node.get("max_length"))
    return [_grown(value, _URL_GROWTH, 1) if reader.exact else value]


def _read_bytes(
    _: Reader, node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    return [Value(kind=Kind.BYTES, most=node.get("max_length"))]


def _read_number(
    _: Reader, node: Node, _config: Mapping[str, Any], before: Sequence[Value]
) -> list[Value]:
    kind = _NUMBERS[node["type"]]
    value = _number(kind, node)
    for earlier in merge(before):
        if earlier.kind is kind:
            value = _narrow(value, earlier)
    return [value]


def _read_moment(
    _: Reader, node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    zone = node.get("tz_constraint")
    return [
        Value(
            kind=_MOMENTS[node["type"]],
            naive=zone in {None, "naive"},
            aware=zone != "naive",
            offset=zone if isinstance(zone, int) else None,
        )
    ]


def _read_choices(
    _: Reader, node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    found = [value_of(raw) for raw in node.get("members") or node.get("expected") or ()]
    return [value or Value(kind=Kind.OBJECT) for value in found]


def _read_nullable(
    reader: Reader, node: Node, config: Mapping[str, Any], before: Sequence[Value]
) -> list[Value]:
    return [*reader.read(node["schema"], config, before), Value(kind=Kind.NULL)]


def _read_default(
    reader: Reader, node: Node, config: Mapping[str, Any], before: Sequence[Value]
) -> list[Value]:
    values = reader.read(node["schema"], config, before)
    if "default" in node and not node.get("validate_default", config.get("validate_default")):
        # Pydantic does not look at it, and so it is stored as it is.
        given = value_of(node["default"])
        values += [] if given is None else [given]
    return values


def _read_chain(
    reader: Reader, node: Node, config: Mapping[str, Any], before: Sequence[Value]
) -> list[Value]:
    for step in node["steps"]:
        before = reader.read(step, config, before)
    return list(before)


def _read_function(
    reader: Reader, node: Node, config: Mapping[str, Any], before: Sequence[Value]
) -> list[Value]:
    values = reader.read(node["schema"], config, before)
    return reader.behind(node["function"]["function"], values)


def _read_plain(
    _: Reader, node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    function = node["function"]["function"]
    if _is_trusted(function) or _name_of(function).startswith("ipaddress."):
        return [Value(kind=Kind.OBJECT)]
    return [Value(kind=Kind.ANY, behind=_name_of(function))]


def _read_instance(
    _: Reader, node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    # Nothing else gets here from a request, which holds what JSON or a form can spell.
    kind = _INSTANCES.get(node["cls"]) if isinstance(node["cls"], type) else Kind.ANY
    return [] if kind is None else [Value(kind=kind)]


def _read_items(
    reader: Reader, node: Node, config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    items = [value for _, child in children(node) for value in reader.read(child, config)]
    return [Value(kind=Kind.ITEMS, items=tuple(items) or (Value(kind=Kind.ANY),))]


def _read_object(
    _: Reader, _node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    return [Value(kind=Kind.OBJECT)]


def _read_nothing(
    _: Reader, _node: Node, _config: Mapping[str, Any], _before: Sequence[Value]
) -> list[Value]:
    return []


_NUMBERS: Final = {"decimal": Kind.DECIMAL, "float": Kind.FLOAT, "int": Kind.INTEGER}
_MOMENTS: Final = {"datetime": Kind.DATETIME, "time": Kind.TIME}
_SIMPLE: Final = {
    "any": Kind.ANY,
    "bool": Kind.BOOLEAN,
    "date": Kind.DATE,
    "none": Kind.NULL,
    "timedelta": Kind.INTERVAL,
    "uuid": Kind.UUID,
}
_INSTANCES: Final[dict[type, Kind]] = {
    bool: Kind.BOOLEAN,
    bytes: Kind.BYTES,
    dict: Kind.OBJECT,
    float: Kind.FLOAT,
    int: Kind.INTEGER,
    list: Kind.ITEMS,
    object: Kind.ANY,
    str: Kind.TEXT,
}
_OBJECTS: Final = (
    *("call", "callable", "complex", "counter", "dataclass", "dict", "frozendict", "is-subclass"),
    *("model", "multi-host-url", "named-tuple", "ordered-dict", "typed-dict"),
)
_READINGS: Final[dict[str, Reading]] = {
    "bytes": _read_bytes,
    "chain": _read_chain,
    "default": _read_default,
    "enum": _read_choices,
    "function-after": _read_function,
    "function-plain": _read_plain,
    "function-wrap": _read_function,
    "invalid": _read_nothing,
    "is-instance": _read_instance,
    "literal": _read_choices,
    "missing-sentinel": _read_nothing,
    "nullable": _read_nullable,
    "str": _read_text,
    "url": _read_url,
    **dict.fromkeys(_MOMENTS, _read_moment),
    **dict.fromkeys(_NUMBERS, _read_number),
    **dict.fromkeys(_OBJECTS, _read_object),
    **dict.fromkeys(("deque", "frozenset", "generator", "list", "set", "tuple"), _read_items),
}
