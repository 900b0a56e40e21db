"""Read every value that a field can hand on from the core schema that validates it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stockade.validation.columns.values import (
    SECRETS,
    Kind,
    Value,
    merge,
    narrow,
    number_within,
    value_of,
)
from stockade.validation.shapes import Node, children, definitions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    # How a kind of core schema is read: its node, the model's configuration, and what a step of a
    # chain before it has handed on.
    Reading = Callable[["Reader", Node, Mapping[str, Any], Sequence[Value]], list[Value]]

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
        if isinstance(function, type) and issubclass(function, SECRETS):
            return [replace(value, secret=True) for value in values]
        growth = next((factor for known, factor in _CASES if known is function), None)
        if growth is not None:
            return [_grown(value, growth) for value in values]
        if _is_trusted(function):
            return [_limited(value, _limits_of(function)) for value in values]
        if self.exact:
            return [_forgotten(value, _name_of(function)) for value in values]
        return values


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
        return replace(narrow(value, Value(kind=value.kind, most=most)), behind="")
    if value.kind in {Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL}:
        return narrow(value, number_within(value.kind, limits))
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


def _read_text(
    reader: Reader, node: Node, config: Mapping[str, Any], before: Sequence[Value]
) -> list[Value]:
    most = node.get("max_length", config.get("str_max_length"))
    earlier = [value for value in merge(before) if value.kind is Kind.TEXT]
    value = Value(kind=Kind.TEXT, most=most, behind=earlier[0].behind if earlier else "")
    if earlier:
        value = narrow(value, earlier[0])
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
    value = number_within(kind, node)
    for earlier in merge(before):
        if earlier.kind is kind:
            value = narrow(value, earlier)
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
