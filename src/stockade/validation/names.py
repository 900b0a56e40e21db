"""Collect the names that a schema declares, which are safe to show to anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.validation.shapes import Node, children, core_schema_of, definitions_of, members_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def known_names_of(*annotations: object) -> frozenset[str]:
    """Return the names and aliases of all fields in some models, parameters or type adapters.

    A location in a validation error can hold anything the caller sent: the key of a mapping, the
    name of an unknown field. What is in this set was written by the application's author.
    """
    return frozenset(name for each in annotations for name in _names(core_schema_of(each), set()))


def _names(node: Node, seen: set[int]) -> Iterator[str]:
    if id(node) in seen:
        return
    seen.add(id(node))
    for definition in definitions_of(node).values():
        yield from _names(definition, seen)
    if node["type"] in {"model-fields", "typed-dict"}:
        for name, member in node["fields"].items():
            yield name
            yield from _aliases(member.get("validation_alias"))
    elif node["type"] in {"arguments", "arguments-v3", "dataclass-args", "named-tuple"}:
        for member in members_of(node):
            yield member["name"]
            yield from _aliases(member.get("validation_alias"))
    for _, child in children(node):
        yield from _names(child, seen)


def _aliases(alias: object) -> Iterator[str]:
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, list):
        for part in alias:
            yield from _aliases(part)
