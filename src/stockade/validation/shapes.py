"""Walk the core schema that Pydantic validates with, whatever it was declared as.

The shape of core schemas is described in ``pydantic_core.core_schema`` and may grow with each
release; what is unknown here is unbounded to `find_unbounded`, never overlooked.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import TypeAdapter
from pydantic.warnings import UnsupportedFieldAttributeWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A core schema is a union of 50 typed dicts; for a walker it is a dict with a "type".
Node: TypeAlias = dict[str, Any]


def core_schema_of(annotation: object) -> Node:
    """Return the core schema of an annotation, or of a type adapter as it is.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a type.
    """
    adapter = annotation if isinstance(annotation, TypeAdapter) else adapter_of(annotation)
    if "type" not in adapter.core_schema:
        # The adapter was told to build late; until then its core schema is a stand-in.
        adapter.rebuild(force=True)
    return adapter.core_schema  # type: ignore[return-value] # See Node.


def adapter_of(annotation: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any annotation
    """Return a type adapter for an annotation, be it that of a model or of a parameter.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a type.
    """
    with warnings.catch_warnings():
        # Aliases and defaults mean nothing outside a model; parameters of endpoints have them.
        warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
        return TypeAdapter(annotation)


def children(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the schemas directly inside one, each with what it adds to the path of a value."""
    reader = _READERS.get(node["type"])
    if reader is not None:
        yield from reader(node)
    else:
        yield from _by_key(node, _KEYS.get(node["type"], (("", "schema"),)))


def definitions_of(node: Node) -> dict[str, Node]:
    """Return the named definitions that a schema brings with it."""
    return {each["ref"]: each for each in node.get("definitions", ()) if "ref" in each}


def members_of(node: Node) -> list[Node]:
    """Return the named members of a schema that keeps them as a list."""
    members: list[Node] = node.get("fields") or node.get("arguments_schema") or []
    return members


def paths_of(name: str, member: Node) -> Iterator[tuple[str | int, ...]]:
    """Yield each path of names that leads to a member of a schema: its name and its aliases."""
    yield (name,)
    alias = member.get("validation_alias")
    if isinstance(alias, str):
        yield (alias,)
    elif isinstance(alias, list):
        for path in alias if isinstance(alias[0], list) else [alias]:
            yield tuple(path)


def _fields(node: Node) -> Iterator[tuple[str, Node]]:
    for name, member in node["fields"].items():
        yield f".{name}", member["schema"]
    if node.get("extras_schema"):
        yield ".*", node["extras_schema"]


def _members(node: Node) -> Iterator[tuple[str, Node]]:
    for member in members_of(node):
        yield f".{member['name']}", member["schema"]


def _positions(node: Node) -> Iterator[tuple[str, Node]]:
    for index, item in enumerate(node["items_schema"]):
        yield f"[{index}]", item


def _choices(node: Node) -> Iterator[tuple[str, Node]]:
    for choice in node["choices"]:
        yield "", choice[0] if isinstance(choice, tuple) else choice


def _tags(node: Node) -> Iterator[tuple[str, Node]]:
    for tag, choice in node["choices"].items():
        yield f"<{tag}>", choice


def _steps(node: Node) -> Iterator[tuple[str, Node]]:
    for step in node["steps"]:
        yield "", step


def _by_key(node: Node, keys: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, Node]]:
    for label, key in keys:
        if node.get(key):
            yield label, node[key]


_READERS: Final[dict[str, Callable[[Node], Iterator[tuple[str, Node]]]]] = {
    "arguments": _members,
    "arguments-v3": _members,
    "chain": _steps,
    "dataclass-args": _members,
    "model-fields": _fields,
    "named-tuple": _members,
    "tagged-union": _tags,
    "tuple": _positions,
    "typed-dict": _fields,
    "union": _choices,
}
_ITEMS: Final = (("[]", "items_schema"),)
_PAIRS: Final = ((".{key}", "keys_schema"), (".{value}", "values_schema"))
# Where the others keep what is inside them; most have one "schema".
_KEYS: Final = {
    "call": (("", "arguments_schema"),),
    "counter": _PAIRS,
    "deque": _ITEMS,
    "dict": _PAIRS,
    "frozendict": _PAIRS,
    "frozenset": _ITEMS,
    "generator": _ITEMS,
    "json-or-python": (("", "json_schema"), ("", "python_schema")),
    "lax-or-strict": (("", "lax_schema"), ("", "strict_schema")),
    "list": _ITEMS,
    "ordered-dict": _PAIRS,
    "set": _ITEMS,
}
