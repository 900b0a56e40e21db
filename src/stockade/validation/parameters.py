"""Refuse a parameter that is sent twice where one value is read.

Of two values, one reader takes the first and the next one the last: what a filter has looked at is
then not what the handler gets. Where a list is declared, as many values as fit it are welcome.

Source: CWE-235 (improper handling of extra parameters); ASVS 5.0 V15.3.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote_plus

from stockade.validation.content.errors import repeated
from stockade.validation.shapes import Node, children, core_schema_of, definitions_of, paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_Name = TypeVar("_Name", str, bytes)

_SEQUENCES: Final = frozenset({"deque", "frozenset", "generator", "list", "set", "tuple"})
# What is inside these is no parameter of its own.
_CLOSED: Final = frozenset({*_SEQUENCES, "dict", "json", "model-fields", "typed-dict"})


@dataclass(frozen=True, slots=True)
class SingleParameters:
    """The parameters of one endpoint of which one value is read.

    Args:
        query: Names in the query.
        header: Names of headers, in small letters.
        cookie: Names of cookies.
        form: Names of fields and files of a form.
    """

    query: frozenset[str] = frozenset()
    header: frozenset[bytes] = frozenset()
    cookie: frozenset[str] = frozenset()
    form: frozenset[str] = frozenset()

    @classmethod
    def among(cls, values: Iterable[tuple[str, Iterable[str], object]]) -> SingleParameters:
        """Find them among the values that an endpoint takes.

        Args:
            values: Each value's place, such as ``query``, with ``body`` for fields of a form; the
                names of the parameter; and its annotation or type adapter.
        """
        single: dict[str, set[str]] = {}
        several: dict[str, set[str]] = {}
        for place, names, annotation in values:
            for name, is_single in _parameters(frozenset(names), core_schema_of(annotation)):
                (single if is_single else several).setdefault(place, set()).add(name)
        query, header, cookie, form = (
            frozenset(single.get(place, set()) - several.get(place, set()))
            for place in ("query", "header", "cookie", "body")
        )
        spelled = {spelling for name in header for spelling in (name, name.replace("_", "-"))}
        return cls(query, frozenset(name.lower().encode() for name in spelled), cookie, form)

    def __bool__(self) -> bool:
        """Tell whether `check` has anything to look for."""
        return bool(self.query or self.header or self.cookie)

    def check(self, scope: Mapping[str, Any]) -> None:
        """Look at the query, the headers and the cookies of a request.

        Args:
            scope: ASGI scope; untrusted.

        Raises:
            InvalidRequestError: One of the parameters is there twice.
        """
        query: bytes = scope["query_string"]
        if self.query and b"&" in query:
            # The grammar is that of `urllib.parse.parse_qsl`, which Starlette reads it with.
            names = [each.partition("=")[0] for each in query.decode("latin-1").split("&")]
            if b"%" in query or b"+" in query:
                names = [unquote_plus(name) for name in names]
            _refuse_twice("query", names, self.query)
        if self.header:
            sent = [name for name, _ in scope["headers"]]
            twice = _first_twice(sent, self.header)
            if twice is not None:
                raise repeated("header", twice.decode("ascii"))
        if self.cookie:
            pairs = b";".join(value for name, value in scope["headers"] if name == b"cookie")
            names = [each.partition("=")[0].strip() for each in pairs.decode("latin-1").split(";")]
            _refuse_twice("cookie", names, self.cookie)


def _refuse_twice(place: str, names: list[str], single: frozenset[str]) -> None:
    twice = _first_twice(names, single)
    if twice is not None:
        raise repeated(place, twice)


def _first_twice(names: Iterable[_Name], single: frozenset[_Name]) -> _Name | None:
    seen: set[_Name] = set()
    for name in names:
        if name in seen:
            return name
        if name in single:
            seen.add(name)
    return None


def _parameters(names: frozenset[str], node: Node) -> Iterator[tuple[str, bool]]:
    """Yield the names that a value is read from, each with whether one value is read."""
    models = [each for each in _transparent(node) if each["type"] == "model-fields"]
    for model in models:
        for field, member in model["fields"].items():
            is_single = not _is_sequence(member["schema"])
            for path in paths_of(field, member):
                if isinstance(path[0], str):
                    yield path[0], is_single
    if not models:
        is_single = not _is_sequence(node)
        for name in names:
            yield name, is_single


def _is_sequence(node: Node) -> bool:
    return any(each["type"] in _SEQUENCES for each in _transparent(node))


def _transparent(root: Node) -> Iterator[Node]:
    """Yield a schema and those that stand for the same value inside of it."""
    definitions: dict[str, Node] = {}
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        definitions |= definitions_of(node)
        if node["type"] == "definition-ref":
            pending += [definitions[ref] for ref in (node["schema_ref"],) if ref in definitions]
        elif node["type"] not in _CLOSED:
            pending += [child for _, child in children(node)]
