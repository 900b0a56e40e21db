"""Find values that a request may make as large as it likes.

Requirement R1: a maximum length on every field. What counts is the schema that Pydantic really
validates with, so it makes no difference where a limit comes from.

Source: CWE-770 (allocation of resources without limits); ASVS 5.0 V2.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stockade.validation.errors import UnboundedInputError
from stockade.validation.shapes import Node, children, core_schema_of, definitions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

# Keys of a core schema's metadata.
EXCUSED: Final = "stockade_unbounded"
BOUNDED: Final = "stockade_bounded"


@dataclass(frozen=True, slots=True)
class Unbounded:
    """A place in a schema that takes values of any size.

    Args:
        path: Where, from the annotation inwards, such as ``items[].name``; empty for itself.
        kind: What is unbounded: ``str``, ``list``, ``any``, ...
        hint: How to bound it.
    """

    path: str
    kind: str
    hint: str


@dataclass(frozen=True, slots=True)
class unbounded:  # noqa: N801 - reads as a word of the declaration, like public("reason")
    """Excuse a field from having an upper bound: ``Annotated[Any, unbounded("reason")]``.

    The body's size still has its limit. The reason is for the reader and the audit.

    Raises:
        UnboundedInputError: There is no reason.
    """

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            message = "unbounded() needs a reason: say why this field may be of any size"
            raise UnboundedInputError(message)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return _with_metadata(handler(source), {EXCUSED: self.reason})


def _with_metadata(schema: Any, metadata: dict[str, str]) -> CoreSchema:  # noqa: ANN401 - Node
    schema["metadata"] = {**(schema.get("metadata") or {}), **metadata}
    result: CoreSchema = schema
    return result


_LENGTH: Final = "give it a maximum: Field(max_length=...), or a type such as Line or Text"
_ITEMS: Final = "give it a maximum number of items: Field(max_length=...)"
_DIGITS: Final = "give it a maximum of digits: Field(max_digits=..., decimal_places=...)"
_RANGE: Final = (
    "give it a range: Field(ge=..., le=...), or take Int64 from stockade.validation for all that a"
    " column holds"
)
_FINITE: Final = (
    "refuse NaN and infinities: Field(allow_inf_nan=False), or give it a range:"
    " Field(ge=..., le=...)"
)
_SHAPE: Final = "declare what it holds"
_OPAQUE: Final = "nothing is known of its size: put a bounded type under it"
_FILE: Final = (
    'say which files it takes: Annotated[UploadFile, Upload("image/png", max_size="2 MB")], with'
    " Upload from stockade.validation.uploads"
)

# Kinds that have a size, and the key that bounds it.
_SIZED: Final = {
    "str": ("max_length", _LENGTH),
    "bytes": ("max_length", _LENGTH),
    "url": ("max_length", _LENGTH),
    "multi-host-url": ("max_length", _LENGTH),
    "list": ("max_length", _ITEMS),
    "deque": ("max_length", _ITEMS),
    "frozendict": ("max_length", _ITEMS),
    "ordered-dict": ("max_length", _ITEMS),
    "counter": ("max_length", _ITEMS),
    "set": ("max_length", _ITEMS),
    "frozenset": ("max_length", _ITEMS),
    "dict": ("max_length", _ITEMS),
    "generator": ("max_length", _ITEMS),
    "decimal": ("max_digits", _DIGITS),
}
# Kinds whose values are bounded by what they are.
_FIXED: Final = frozenset(
    {
        *("bool", "callable", "date", "datetime", "ellipsis", "enum", "invalid"),
        *("is-subclass", "literal", "missing-sentinel", "none", "time", "timedelta", "uuid"),
    }
)
# Kinds that hold others and have no size of their own.
_TRANSPARENT: Final = frozenset(
    {
        *(
            "arguments",
            "arguments-v3",
            "named-tuple",
            "call",
            "chain",
            "custom-error",
            "dataclass",
            "dataclass-args",
            "default",
        ),
        *("definitions", "function-after", "function-before", "function-wrap", "json-or-python"),
        *("lax-or-strict", "model", "model-fields", "nullable", "tagged-union", "tuple"),
        *("typed-dict", "union"),
    }
)
# What these functions accept is bounded by themselves: addresses by their form, e-mail addresses
# by Pydantic's own cap.
_BOUNDED_FUNCTIONS: Final = frozenset(
    {
        "pydantic.networks.EmailStr",
        "pydantic.networks.IPvAnyAddress",
        "pydantic.networks.IPvAnyInterface",
        "pydantic.networks.IPvAnyNetwork",
        "pydantic.networks.NameEmail",
        *(
            f"ipaddress.IPv{version}{kind}"
            for version in (4, 6)
            for kind in ("Address", "Interface", "Network")
        ),
        *(
            f"pydantic._internal._validators.ip_v{version}_{kind}_validator"
            for version in (4, 6)
            for kind in ("address", "interface", "network")
        ),
    }
)
_UPLOAD: Final = "fastapi.datastructures.UploadFile"
_FROM_REQUESTS: Final = (str, bytes, int, float, list, dict)


def find_unbounded(annotation: object) -> list[Unbounded]:
    """List everything in a model or a parameter that has no upper bound.

    Args:
        annotation: A model, any other annotation, or a type adapter.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a type.
    """
    return find_unbounded_in(core_schema_of(annotation))


def find_unbounded_in(node: Node) -> list[Unbounded]:
    """List everything in a core schema that has no upper bound."""
    walk = _Walk(definitions_of(node))
    # A union can reach one place in several ways.
    return list(dict.fromkeys(walk.visit(node, "")))


def require_bounded(annotation: object, *, where: str) -> None:
    """Refuse an annotation that takes values of any size.

    Args:
        annotation: A model, any other annotation, or a type adapter.
        where: Its name in the message.

    Raises:
        UnboundedInputError: Something in it has no upper bound.
    """
    refuse_unbounded(find_unbounded(annotation), where)


def refuse_unbounded(found: list[Unbounded], where: str) -> None:
    """Raise one error for everything that was found, if anything was.

    Raises:
        UnboundedInputError: Something was found.
    """
    if found:
        lines = "".join(
            f"\n  {each.path or 'the value itself'} ({each.kind}): {each.hint}" for each in found
        )
        message = (
            f"{where} takes input of any size; bound it, or excuse it with"
            f' Annotated[..., unbounded("reason")]:{lines}'
        )
        raise UnboundedInputError(message)


_NOTHING: Final[Mapping[str, Any]] = {}


class _Walk:
    """One walk over a schema with its definitions."""

    def __init__(self, definitions: dict[str, Node]) -> None:
        self._definitions = dict(definitions)
        self._inside: list[str] = []

    def visit(
        self, node: Node, path: str, *, limited: bool = False, config: Mapping[str, Any] = _NOTHING
    ) -> Iterator[Unbounded]:
        """Yield what is unbounded in a node.

        A length limit can stand around it (``limited``), and the configuration of a model can give
        its strings a length and keep NaN from its numbers.
        """
        metadata = node.get("metadata") or {}
        if EXCUSED in metadata:
            return
        kind: str = node["type"]
        limited = limited or BOUNDED in metadata or _limits_length(node)
        if kind == "definition-ref":
            yield from self._follow(node["schema_ref"], path, limited=limited)
            return
        self._definitions |= definitions_of(node)
        # To Pydantic, a model inside another one has a configuration of its own alone.
        inherited = _NOTHING if kind in {"dataclass", "model"} else config
        config = {**inherited, **(node.get("config") or {})}
        yield from self._own(node, path, limited=limited, config=config)
        if kind == "chain":
            yield from self._best_step(node, path, limited=limited, config=config)
            return
        # A limit holds for the value it stands around, not for what is inside the value.
        for label, child in children(node):
            inner = (path + label).removeprefix(".")
            yield from self.visit(child, inner, limited=limited and not label, config=config)

    def _follow(self, ref: str, path: str, *, limited: bool) -> Iterator[Unbounded]:
        if ref not in self._inside and ref in self._definitions:
            self._inside.append(ref)
            yield from self.visit(self._definitions[ref], path, limited=limited)
            self._inside.pop()

    def _best_step(self, node: Node, path: str, **state: Any) -> Iterator[Unbounded]:  # noqa: ANN401
        # A value passes all steps, so that the strictest counts.
        steps = [list(self.visit(step, path, **state)) for step in node["steps"]]
        yield from min(steps, key=len, default=[])

    def _own(
        self, node: Node, path: str, *, limited: bool, config: Mapping[str, Any]
    ) -> Iterator[Unbounded]:
        hint = None if limited else _hint(node, config)
        if hint is not None:
            yield Unbounded(path, node["type"], hint)
        if _takes_extra(node):
            yield Unbounded(path, "extra", "refuse unknown fields: ConfigDict(extra='forbid')")


def _hint(node: Node, config: Mapping[str, Any]) -> str | None:  # noqa: PLR0911 - a table of kinds.
    """Return how to bound a node, or None where it has a bound or no size of its own."""
    kind: str = node["type"]
    if kind in _SIZED:
        key, hint = _SIZED[kind]
        default = config.get("str_max_length")
        return hint if node.get(key, default if kind == "str" else None) is None else None
    if kind == "tuple":
        open_ended = "variadic_item_index" in node and "max_length" not in node
        return _ITEMS if open_ended else None
    if kind == "is-instance":
        # Only what a parsed request consists of can get here.
        return _SHAPE if _can_be(node["cls"]) else None
    if kind == "function-plain":
        name = _name_of(node["function"]["function"])
        return None if name in _BOUNDED_FUNCTIONS else _FILE if name == _UPLOAD else _OPAQUE
    has_range = ("ge" in node or "gt" in node) and ("le" in node or "lt" in node)
    if kind == "int":
        return None if has_range else _RANGE
    if kind == "float":
        # NaN is in no range, and 1e999 is an infinity.
        finite = node.get("allow_inf_nan", config.get("allow_inf_nan")) is False
        return None if finite or has_range else _FINITE
    return None if kind in _FIXED or kind in _TRANSPARENT else _SHAPE


def _can_be(cls: object) -> bool:
    """Tell whether values of a parsed request can be instances of a class."""
    if not isinstance(cls, type):
        # A form that isinstance() takes and issubclass() may not.
        return True
    return any(issubclass(each, cls) for each in _FROM_REQUESTS)


def _takes_extra(node: Node) -> bool:
    config = node.get("config") or {}
    behaviour = node.get("extra_behavior") or config.get("extra_fields_behavior")
    return behaviour == "allow" and not node.get("extras_schema")


def _limits_length(node: Node) -> bool:
    """Tell whether a node is the check of length that Pydantic puts around other types."""
    if node["type"] != "function-after":
        return False
    function = node["function"]["function"]
    if isinstance(function, partial):
        return isinstance(function.keywords.get("max_length"), int)
    return _name_of(function) in _BOUNDED_FUNCTIONS


def _name_of(function: object) -> str:
    owner = getattr(function, "__self__", None)
    named = function if owner is None else owner if isinstance(owner, type) else type(owner)
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', '')}"
