"""Turn the locations of validation errors into JSON Pointers that show nothing that was sent.

A location can hold anything the caller chose, such as the key of a mapping or the name of an
unknown field, and beside that words of Pydantic's own: the branch of a union, the tag of a tagged
one. So a location is read along the schema that made it: what the schema names is shown, what the
caller named is ``*``, and what names a branch is left out, for a body has no such place.

Source: RFC 6901; ASVS 5.0 V14.2.4; CWE-209.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from stockade.validation.shapes import (
    Node,
    children,
    core_schema_of,
    definitions_of,
    members_of,
    paths_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_UNNAMED: Final = "*"
# What Pydantic puts behind the key of a mapping if the key itself does not fit.
_KEY: Final = "[key]"
# A kind of schema that Pydantic lacks: one of several, and no location tells which.
_ANY_OF: Final = "stockade-any-of"


class _Reading(NamedTuple):
    """What a location was read as up to a part; fewer names unknown are better, then more names."""

    unnamed: int
    missing: int
    segments: tuple[str, ...]

    def then(self, path: tuple[str | int, ...]) -> _Reading:
        """Return the reading that goes on with some names."""
        return _Reading(
            self.unnamed + (path == (_UNNAMED,)),
            self.missing - len(path),
            self.segments + tuple(map(str, path)),
        )


class _Step(NamedTuple):
    """What some parts of a location stand for, and the schema behind them, if there is one."""

    parts: int
    path: tuple[str | int, ...]
    inner: Node | None


class Locations:
    """Reads the locations of the errors of one schema, or of one endpoint.

    Args:
        root: The schema that locations begin in.
    """

    def __init__(self, root: Node) -> None:
        self._root = root
        self._definitions = dict(_definitions(root, set()))

    @classmethod
    def of(cls, annotation: object) -> Locations:
        """Return what reads the errors of a model, any other annotation, or a type adapter."""
        return cls(core_schema_of(annotation))

    @classmethod
    def of_request(cls, values: Iterable[tuple[str, Iterable[str], object]]) -> Locations:
        """Return what reads the errors of FastAPI, whose locations begin with a place.

        Args:
            values: Each value that an endpoint takes: its place such as ``query``, the names of the
                parameter, and its annotation or type adapter.
        """
        places: dict[str, list[Node]] = {}
        for place, names, annotation in values:
            schema = core_schema_of(annotation)
            # FastAPI names the parameter, unless it is a model that stands for all of them.
            named = {"type": "typed-dict", "fields": {name: {"schema": schema} for name in names}}
            places.setdefault(place, []).extend([named, schema])
        roots = {place: {"schema": _any_of(choices)} for place, choices in places.items()}
        return cls({"type": "typed-dict", "fields": roots})

    def point(self, location: Sequence[object]) -> str:
        """Return a location as a JSON Pointer (RFC 6901).

        It ends where the schema does not explain what follows.

        Args:
            location: What is under ``loc`` in an error of Pydantic; untrusted.
        """
        parts = tuple(location)
        end, found = self._read(parts)
        if len(parts) > 1 and parts[0] == "header" and isinstance(parts[1], str):
            # FastAPI names a header as it is sent, and models spell it as Python does.
            name = parts[1].replace("-", "_")
            _, spelled = self._read(("header", name, *parts[2:]))
            if spelled.segments[1:2] == (name,) and (end < len(parts) or found.unnamed):
                found = spelled._replace(segments=("header", parts[1], *spelled.segments[2:]))
        return "".join(f"/{_escape(each)}" for each in found.segments)

    def _read(self, parts: tuple[object, ...]) -> tuple[int, _Reading]:
        """Return how many parts the schema explains, and what they stand for.

        A caller chooses how deep a location is, so nothing here calls itself; and a schema is
        entered once at each part, for it may hold itself and be reached in many ways.
        """
        reached: list[list[tuple[_Reading, Node | None]]] = [[] for _ in range(len(parts) + 1)]
        best = 0, _Reading(0, 0, ())
        reached[0].append((best[1], self._root))
        for at, found in enumerate(reached):
            found.sort(key=itemgetter(0))
            if found:
                best = at, found[0][0]
            seen: set[int] = set()
            for reading, root in found if at < len(parts) else ():
                for node in self._transparent(root, seen):
                    for step in _steps(node, parts[at:]):
                        reached[at + step.parts].append((reading.then(step.path), step.inner))
        return best

    def _transparent(self, root: Node | None, seen: set[int]) -> Iterator[Node]:
        """Yield a schema and those inside of it that stand for the same value."""
        pending = [] if root is None else [root]
        while pending:
            node = pending.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            kind: str = node["type"]
            if kind in _STEPS or (kind == "union" and len(node["choices"]) > 1):
                yield node
            elif kind == _ANY_OF:
                pending += node["choices"]
            elif kind == "definition-ref":
                named = self._definitions.get(node["schema_ref"])
                # An answer to what does not fit must not fail by itself.
                pending += [] if named is None else [named]
            else:
                pending += [child for _, child in children(node)]


def _steps(node: Node, parts: Sequence[object]) -> Iterator[_Step]:
    return _STEPS[node["type"]](node, parts)


def _into_member(node: Node, parts: Sequence[object]) -> Iterator[_Step]:
    known = False
    for position, (name, member) in enumerate(_members_of(node)):
        # Arguments of a call can be named by their position.
        paths = paths_of(name, member) if isinstance(parts[0], str) else ((name,),)
        for path in paths:
            if parts[0] == position or tuple(parts[: len(path)]) == path:
                known = True
                yield _Step(len(path), path, member["schema"])
    if not known and isinstance(parts[0], str):
        yield _Step(1, (_UNNAMED,), node.get("extras_schema"))


def _into_mapping(node: Node, parts: Sequence[object]) -> Iterator[_Step]:
    if tuple(parts[1:2]) == (_KEY,):
        yield _Step(2, (_UNNAMED,), node.get("keys_schema"))
    else:
        yield _Step(1, (_UNNAMED,), node.get("values_schema"))


def _into_item(node: Node, parts: Sequence[object]) -> Iterator[_Step]:
    items = node.get("items_schema")
    if isinstance(parts[0], int):
        for each in items if isinstance(items, list) else (items,):
            yield _Step(1, (parts[0],), each)


def _into_branch(node: Node, _parts: Sequence[object]) -> Iterator[_Step]:
    # The label of a union with one choice is not in the location, and such a union gets no step.
    for _, choice in children(node):
        yield _Step(1, (), choice)


def _into_tagged(node: Node, parts: Sequence[object]) -> Iterator[_Step]:
    chosen = node["choices"].get(parts[0])
    for choice in node["choices"].values() if chosen is None else (chosen,):
        yield _Step(1, (), choice)


_FIELDS: Final = ("model-fields", "typed-dict")
_STEPS: Final[dict[str, Callable[[Node, Sequence[object]], Iterator[_Step]]]] = {
    **dict.fromkeys(_FIELDS, _into_member),
    **dict.fromkeys(("arguments", "arguments-v3", "dataclass-args", "named-tuple"), _into_member),
    **dict.fromkeys(("counter", "dict", "frozendict", "ordered-dict"), _into_mapping),
    **dict.fromkeys(("deque", "frozenset", "generator", "list", "set", "tuple"), _into_item),
    "tagged-union": _into_tagged,
    "union": _into_branch,
}


def _members_of(node: Node) -> Iterable[tuple[str, Node]]:
    if node["type"] in _FIELDS:
        fields: dict[str, Node] = node["fields"]
        return fields.items()
    return ((member["name"], member) for member in members_of(node))


def _any_of(choices: list[Node]) -> Node:
    return choices[0] if len(choices) == 1 else {"type": _ANY_OF, "choices": choices}


def _definitions(node: Node, seen: set[int]) -> Iterator[tuple[str, Node]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    found = definitions_of(node)
    yield from found.items()
    choices = node["choices"] if node["type"] == _ANY_OF else ()
    for inner in chain(found.values(), choices, (child for _, child in children(node))):
        yield from _definitions(inner, seen)


def _escape(segment: str) -> str:
    return segment.replace("~", "~0").replace("/", "~1")
