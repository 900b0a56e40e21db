"""Make a schema strict where JSON is exact, and lenient only where JSON has no type of its own.

FastAPI parses a body with `json.loads` and validates Python objects. Pydantic's lax mode would then
take ``"5"`` for a number and ``1`` for true, and its strict mode would refuse every date and UUID,
which JSON can only spell as strings. So each schema is strict, and the kinds that JSON lacks are
opened for the one spelling they have.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from stockade.validation.errors import LooseSchemaError
from stockade.validation.shapes import Node, children

if TYPE_CHECKING:
    from collections.abc import Callable

# A number that no column of 64 bits can hold would come back as a database error.
MAX_INTEGER: Final = 2**63 - 1
MIN_INTEGER: Final = -(2**63)

# PostgreSQL refuses NUL in text, C code ends there; lone surrogates can't be encoded at all.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_MOST_OFFSET: Final = timedelta(hours=16)
# Key of a core schema's metadata: nothing is left to do here.
CHECKED: Final = "stockade_checked"


def harden(node: Node, resolve: Callable[[Node], Node], *, text: bool) -> None:
    """Make the schema of a model's fields strict, in place.

    Models inside it have their own rules and are left alone.

    Args:
        node: The schema inside a model.
        resolve: Finds the schema that a reference stands for.
        text: Values arrive as text (query, header, cookie, form), so that numbers and booleans are
            read from it.
    """
    if node["type"] == "definition-ref":
        # Whatever Pydantic keeps under a name: aliases of types, enumerations, tuples, models.
        harden(resolve(node), resolve, text=text)
        return
    kind: str = node["type"]
    if kind in _WITH_RULES or CHECKED in (node.get("metadata") or {}):
        return
    if kind == "typed-dict" or "ref" in node:
        # It may hold itself; and it may be shared, so that its first user decides.
        node["metadata"] = {**(node.get("metadata") or {}), CHECKED: True}
    if not text:
        _refuse_looseness(node, kind)
    if kind in _OPEN:
        node["strict"] = False
    for label, child in children(node):
        # Keys of JSON objects are text, whatever they stand for.
        harden(child, resolve, text=text or label == ".{key}")
    if kind in _GUARDS:
        _guard(node, _GUARDS[kind])
    elif text and kind in _READ_FROM_TEXT:
        node["strict"] = False
    if kind in _RULES and not (text and kind == "enum"):
        _RULES[kind](node)


def _refuse_looseness(node: Node, kind: str) -> None:
    """Refuse a field that switches off for itself what its model promises."""
    if kind in _EXACT and node.get("strict") is False:
        message = (
            f"a field of a Schema sets strict=False, which would take other types for {kind}:"
            " leave it out; a ParameterSchema reads numbers from text"
        )
        raise LooseSchemaError(message)
    if kind in _WITH_INFINITY and node.get("allow_inf_nan") is True:
        message = (
            "a field of a Schema sets allow_inf_nan=True, and neither JSON nor a column of numbers"
            " has NaN: leave it out"
        )
        raise LooseSchemaError(message)


def _guard_enum(node: Node) -> None:
    """Keep text and booleans from standing for members that are numbers."""
    types = {type(member.value) for member in node["members"]}
    if node.get("sub_type") not in {"int", "float"}:
        # Strings are exact already, and a discriminator has to stay readable for Pydantic.
        return

    def check(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
        if isinstance(value, node_class) or type(value) in types:
            return value
        raise PydanticCustomError("enum", "Input should be one of the members")

    node_class = node["cls"]
    _guard(node, check)


def _limit_input(node: Node) -> None:
    """Let a maximum length that stands behind a validator hold for what comes in, too."""
    function = node["function"]["function"]
    limit = function.keywords.get("max_length") if isinstance(function, partial) else None
    if not isinstance(limit, int):
        return
    holder = node
    # What is inside may belong to other fields as well, where it is the alias of a type.
    while holder["schema"]["type"] in _AROUND:
        inner = dict(holder["schema"])
        holder["schema"] = inner
        holder = inner
    inner = holder["schema"]
    if inner["type"] == "str":
        holder["schema"] = {**inner, "max_length": min(limit, inner.get("max_length", limit))}


def _bound_integer(node: Node) -> None:
    if "ge" not in node and "gt" not in node:
        node["ge"] = MIN_INTEGER
    if "le" not in node and "lt" not in node:
        node["le"] = MAX_INTEGER


def _keep_finite(node: Node) -> None:
    """Say of a number itself what the model says, for those that stand under a name."""
    node["allow_inf_nan"] = False


def _check_literal(node: Node) -> None:
    """Keep true from standing for 1, and 1.0 for either: to Python, they are equal."""
    if all(isinstance(value, str) for value in node["expected"]):
        # Strings are exact already, and a discriminator has to stay readable for Pydantic.
        return
    members = [value for value in node["expected"] if isinstance(value, Enum)]
    expected = [*node["expected"], *(member.value for member in members)]

    def check(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
        if not any(type(value) is type(each) and value == each for each in expected):
            raise PydanticKnownError("literal_error", {"expected": "one of the allowed values"})
        return value

    _guard(node, check)


def _check_string(node: Node) -> None:
    _wrap(node, lambda inner: core_schema.no_info_after_validator_function(check_storable, inner))


def _check_instant(node: Node) -> None:
    _wrap(node, lambda inner: core_schema.no_info_after_validator_function(check_instant, inner))


def check_instant(value: datetime) -> datetime:
    """Return a datetime as it is, unless UTC has no such year.

    A database keeps instants in UTC: the first morning of the year 1 east of Greenwich would come
    back as a database error.

    Raises:
        PydanticCustomError: In UTC it is before the year 1 or after the year 9999.
    """
    try:
        if value.tzinfo is not None:
            value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "datetime_out_of_range", "Date and time are out of range"
        ) from None
    return value


def _check_offset(node: Node) -> None:
    _wrap(node, lambda inner: core_schema.no_info_after_validator_function(check_offset, inner))


def check_offset(value: time) -> time:
    """Return a time as it is, unless its offset from UTC is one that no place has.

    ISO 8601 spells offsets of up to a day; PostgreSQL refuses those of 16 hours and more.

    Raises:
        PydanticCustomError: The offset is 16 hours or more.
    """
    offset = value.utcoffset()
    if offset is not None and abs(offset) >= _MOST_OFFSET:
        raise PydanticCustomError("time_out_of_range", "Time has an offset that no place has")
    return value


def check_storable(value: str) -> str:
    """Return a string as it is, unless no database and no encoding can hold it.

    Raises:
        PydanticCustomError: It has a NUL character or half of a surrogate pair.
    """
    if _UNSTORABLE.search(value):
        raise PydanticCustomError("string_unstorable", "String holds a character that is no text")
    return value


def _guard(node: Node, check: Callable[[Any], Any]) -> None:
    _wrap(node, lambda inner: core_schema.no_info_before_validator_function(check, inner))


def _wrap(node: Node, build: Callable[[Any], Any]) -> None:
    """Put a schema into another one, in the place where it stands."""
    inner = dict(node)
    reference = inner.pop("ref", None)
    node.clear()
    node.update(build(inner))
    node["metadata"] = {**(node.get("metadata") or {}), CHECKED: True}
    if reference is not None:
        node["ref"] = reference


def _spelled(error: Any, spelling: str, *types: type) -> Callable[[Any], Any]:  # noqa: ANN401 - a literal of pydantic_core
    """Build a check that takes values of some types, and text of one spelling.

    The spelling keeps numbers in disguise out: lax mode reads "1700000000" as a date.
    """
    pattern = re.compile(spelling)

    def check(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
        if isinstance(value, types) or (isinstance(value, str) and pattern.match(value)):
            return value
        raise PydanticKnownError(error)

    return check


def _decimal(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise PydanticKnownError("decimal_type")
    return value


def _not_numeric(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    """Keep numbers from standing for addresses and paths: 1 is an IPv4Address to Pydantic."""
    if isinstance(value, (bool, int, float, bytes)):
        raise PydanticKnownError("string_type")
    return value


_GUARDS: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": _spelled("bytes_type", "", bytes),
    "date": _spelled("date_type", r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", date),
    "datetime": _spelled("datetime_type", r"[0-9]{4}-", datetime),
    "decimal": _decimal,
    "lax-or-strict": _not_numeric,
    "time": _spelled("time_type", r"[0-9]{2}:", time),
    "timedelta": _spelled("time_delta_type", r"[+-]?P|-?[0-9 days,]*[0-9]{1,2}:", timedelta),
    "uuid": _spelled("uuid_type", "", UUID),
}
# JSON has one kind of sequence and spells enumerations by their values.
_OPEN: Final = frozenset(
    {*_GUARDS, *("deque", "enum", "frozenset", "multi-host-url", "set", "tuple", "url")}
)
# Kinds that JSON has itself, so that another type is another value.
_EXACT: Final = frozenset({"bool", "float", "int"})
_WITH_INFINITY: Final = frozenset({"decimal", "float"})
_READ_FROM_TEXT: Final = frozenset({"bool", "float", "int"})
# What has rules of its own; `Schema` refuses those that are not strict.
_WITH_RULES: Final = frozenset({"dataclass", "model"})
_RULES: Final[dict[str, Callable[[Node], None]]] = {
    "datetime": _check_instant,
    "enum": _guard_enum,
    "float": _keep_finite,
    "function-after": _limit_input,
    "int": _bound_integer,
    "literal": _check_literal,
    "str": _check_string,
    "time": _check_offset,
}
_AROUND: Final = frozenset({"function-after", "function-before", "function-wrap", "nullable"})
