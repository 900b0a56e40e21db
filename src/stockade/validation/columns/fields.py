"""List the fields of a schema, with all that each can hand on, and the schemas inside of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stockade.validation.columns.reading import Reader
from stockade.validation.columns.values import Value
from stockade.validation.shapes import (
    Node,
    children,
    core_schema_of,
    definitions_of,
    members_of,
)

_HOLDERS: Final = frozenset({"model-fields", "typed-dict"})
_LISTS: Final = frozenset({"dataclass-args", "named-tuple"})
_CLASSES: Final = frozenset({"dataclass", "model", "named-tuple", "typed-dict"})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a schema.

    Args:
        name: Its name.
        aliases: Other names under which it comes in or goes out.
        values: All that it hands on.
        omits: Whether it is null for those who leave it out.
        excluded: Whether it is left out when the schema is dumped.
    """

    name: str
    aliases: tuple[str, ...]
    values: tuple[Value, ...]
    omits: bool
    excluded: bool


def fields_of(schema: type[Any], *, exact: bool) -> list[Field]:
    """Return the fields of a schema; empty for a class that has none.

    Args:
        schema: A model, a dataclass, a typed dict or a named tuple.
        exact: As for `Reader`.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a class.
    """
    node = core_schema_of(schema)
    definitions = definitions_of(node)
    holder, config = _holder_of(node, definitions)
    if holder is None:
        return []
    reader = Reader(definitions, exact=exact)
    return [_field(reader, name, member, config) for name, member in _members_in(holder)]


def schemas_in(annotation: object) -> list[type[Any]]:
    """Return every class with fields that a value of an annotation can hold, itself too.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a type.
    """
    root = core_schema_of(annotation)
    pending, seen, found = [root], set[int](), dict[type[Any], None]()
    while pending:
        node = pending.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        cls = node.get("cls")
        if node["type"] in _CLASSES and isinstance(cls, type):
            found[cls] = None
        pending += [child for _, child in children(node)]
        pending += definitions_of(node).values()
    return list(found)


def _holder_of(node: Node, definitions: dict[str, Node]) -> tuple[Node | None, Mapping[str, Any]]:
    """Find what holds the fields, behind the validators of the whole schema."""
    config: dict[str, Any] = {}
    seen: set[int] = set()
    while id(node) not in seen:
        seen.add(id(node))
        definitions |= definitions_of(node)
        config |= node.get("config") or {}
        if node["type"] in _HOLDERS | _LISTS:
            return node, config
        if node.get("root_model"):
            return None, config
        if node["type"] == "definition-ref":
            node = definitions.get(node["schema_ref"], node)
        elif isinstance(node.get("schema"), dict):
            node = node["schema"]
        elif node["type"] == "call":
            node = node["arguments_schema"]
    return None, config


def _members_in(holder: Node) -> Iterator[tuple[str, Node]]:
    if holder["type"] in _HOLDERS:
        yield from holder["fields"].items()
    else:
        yield from ((member["name"], member) for member in members_of(holder))


def _field(reader: Reader, name: str, member: Node, config: Mapping[str, Any]) -> Field:
    node = member["schema"]
    aliases = [member.get("validation_alias"), member.get("serialization_alias")]
    return Field(
        name,
        tuple(each for each in dict.fromkeys(aliases) if isinstance(each, str) and each != name),
        tuple(reader.read(node, config)),
        omits=node["type"] == "default" and "default" in node and node["default"] is None,
        excluded=bool(member.get("serialization_exclude")),
    )
