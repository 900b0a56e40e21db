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
    from collections.abc import Iterator

# A core schema is a union of 50 typed dicts; for a walker it is a dict with a "type".
Node: TypeAlias = dict[str, Any]

_CHILDREN: Final = {
    "json-or-python": (("", "json_schema"), ("", "python_schema")),
    "lax-or-strict": (("", "lax_schema"), ("", "strict_schema")),
    "dict": ((".{key}", "keys_schema"), (".{value}", "values_schema")),
    "call": (("", "arguments_schema"),),
    "list": (("[]", "items_schema"),),
    "set": (("[]", "items_schema"),),
    "frozenset": (("[]", "items_schema"),),
    "generator": (("[]", "items_schema"),),
}
_FIELDS: Final = frozenset({"model-fields", "typed-dict"})
_LISTS: Final = {"dataclass-args": "fields", "arguments": "arguments_schema"}


def core_schema_of(annotation: object) -> Node:
    """Return the core schema of an annotation, or of a type adapter as it is.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a type.
    """
    adapter = annotation if isinstance(annotation, TypeAdapter) else _adapt(annotation)
    if "type" not in adapter.core_schema:
        # The adapter was told to build late; until then its core schema is a stand-in.
        adapter.rebuild(force=True)
    return adapter.core_schema  # type: ignore[return-value] # See Node.


def _adapt(annotation: object) -> TypeAdapter[Any]:
    with warnings.catch_warnings():
        # Aliases and defaults mean nothing outside a model; parameters of endpoints have them.
        warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
        return TypeAdapter(annotation)


def children(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the schemas directly inside one, each with what it adds to the path of a value."""
    kind = node["type"]
    if kind in _FIELDS:
        for name, member in node["fields"].items():
            yield f".{name}", member["schema"]
        if node.get("extras_schema"):
            yield ".*", node["extras_schema"]
    elif kind in _LISTS:
        for member in node[_LISTS[kind]]:
            yield f".{member['name']}", member["schema"]
    elif kind == "tuple":
        for index, item in enumerate(node["items_schema"]):
            yield f"[{index}]", item
    elif kind == "union":
        for choice in node["choices"]:
            yield "", choice[0] if isinstance(choice, tuple) else choice
    elif kind == "tagged-union":
        for tag, choice in node["choices"].items():
            yield f"<{tag}>", choice
    elif kind == "chain":
        for step in node["steps"]:
            yield "", step
    else:
        for label, key in _CHILDREN.get(kind, (("", "schema"),)):
            if node.get(key):
                yield label, node[key]


def definitions_of(node: Node) -> dict[str, Node]:
    """Return the named definitions that a schema brings with it."""
    return {each["ref"]: each for each in node.get("definitions", ()) if "ref" in each}
