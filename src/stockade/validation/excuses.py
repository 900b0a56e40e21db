"""List what is excused from having a bound, so that an audit sees every exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.validation.bounds import EXCUSED
from stockade.validation.shapes import Node, children, core_schema_of, definitions_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Excused:
    """A place in a schema that may be of any size, because somebody said why.

    Args:
        path: Where, from the annotation inwards, such as ``items[].payload``; empty for itself.
        kind: What is excused: ``str``, ``any``, ``model``, ...
        reason: The reason, as it was written.
    """

    path: str
    kind: str
    reason: str


def find_excused(annotation: object) -> list[Excused]:
    """List every use of `unbounded` in a model, a parameter or a type adapter.

    An excuse inside of something that is excused is listed, too: it holds by itself as soon as the
    outer one is gone.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a type.
    """
    node = core_schema_of(annotation)
    walk = _Walk(definitions_of(node))
    # A union can reach one place in several ways.
    return list(dict.fromkeys(walk.visit(node, "")))


class _Walk:
    """One walk over a schema with its definitions."""

    def __init__(self, definitions: dict[str, Node]) -> None:
        self._definitions = dict(definitions)
        self._inside: list[str] = []

    def visit(self, node: Node, path: str) -> Iterator[Excused]:
        """Yield the excuses in a node."""
        self._definitions |= definitions_of(node)
        reason = (node.get("metadata") or {}).get(EXCUSED)
        if reason is not None:
            yield Excused(path, self._kind_of(node), reason)
        if node["type"] == "definition-ref":
            ref = node["schema_ref"]
            if ref not in self._inside and ref in self._definitions:
                self._inside.append(ref)
                yield from self.visit(self._definitions[ref], path)
                self._inside.pop()
            return
        for label, child in children(node):
            yield from self.visit(child, (path + label).removeprefix("."))

    def _kind_of(self, node: Node) -> str:
        if node["type"] == "definition-ref":
            node = self._definitions.get(node["schema_ref"], node)
        kind: str = node["type"]
        return kind
