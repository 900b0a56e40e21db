"""Read what a Cedar schema declares, from the form in which Cedar itself writes it.

cedarpy checks and holds schemas but does not hand out what is in them. Whatever a schema was
written in, Cedar prints it in one canonical form, and that is all that is read here. Anything else
in it is an error: a declaration that is not understood stops the start.

Source: Cedar policy language, "Human-readable schema format".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from stockade.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Named:
    """A type by its name: a primitive, an extension, an entity or a common type."""

    name: str


@dataclass(frozen=True, slots=True)
class SetOf:
    """A set of values of one type."""

    item: CedarType


@dataclass(frozen=True, slots=True)
class Record:
    """Attributes by name, each with its type and whether it has to be there."""

    attributes: dict[str, tuple[CedarType, bool]] = field(default_factory=dict)


CedarType: TypeAlias = "Named | SetOf | Record"


@dataclass(frozen=True, slots=True)
class EntityType:
    """A type of entities.

    Args:
        parents: Types that its entities may be members of.
        shape: Its attributes.
        choices: The only identifiers that exist, for an enumerated type.
        has_tags: Whether its entities carry tags.
    """

    parents: frozenset[str] = frozenset()
    shape: Record = field(default_factory=Record)
    choices: frozenset[str] | None = None
    has_tags: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """What an action applies to."""

    principals: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    context: CedarType = field(default_factory=Record)


@dataclass(frozen=True, slots=True)
class Declared:
    """Everything that a schema declares, by its full name."""

    entities: dict[str, EntityType] = field(default_factory=dict)
    common: dict[str, CedarType] = field(default_factory=dict)
    actions: dict[tuple[str, str], Action] = field(default_factory=dict)

    def find(self, name: str, namespace: str) -> str:
        """Return the full name that a name stands for in a namespace."""
        qualified = f"{namespace}::{name}" if namespace else name
        if qualified in self.entities or qualified in self.common:
            return qualified
        return name.removeprefix("__cedar::")


_TOKEN: Final = re.compile(
    r"""\s+|//[^\n]*|(?P<text>"(?:[^"\\]|\\.)*")|(?P<name>[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)"""
    r"""|(?P<mark>[{}\[\]<>(),;:=?@])""",
    re.ASCII | re.DOTALL,
)
_UNICODE_ESCAPE: Final = re.compile(r"\\u\{([0-9a-fA-F]{1,6})\}")


def read_schema(text: str) -> Declared:
    """Return what a schema declares.

    Args:
        text: The schema as `str` of a ``cedarpy.Schema`` gives it.

    Raises:
        ConfigurationError: Something in it is not understood.
    """
    reader = _Reader(_tokens(text))
    declared = Declared()
    while not reader.is_done:
        if reader.takes("namespace"):
            namespace = reader.name()
            reader.expect("{")
            while not reader.takes("}"):
                reader.declaration(declared, namespace)
        else:
            reader.declaration(declared, "")
    return declared


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _not_understood(text[at])
        if match.lastgroup is not None:
            found.append(match[0])
        at = match.end()
    return found


def _not_understood(token: str) -> ConfigurationError:
    message = f"the Cedar schema has a declaration that is not understood, at {token}"
    return ConfigurationError(message)


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._namespace = ""

    @property
    def is_done(self) -> bool:
        return self._at >= len(self._tokens)

    def _peek(self) -> str:
        return "" if self.is_done else self._tokens[self._at]

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def takes(self, token: str) -> bool:
        found = self._peek() == token
        self._at += found
        return found

    def expect(self, token: str) -> None:
        if not self.takes(token):
            raise _not_understood(self._peek() or "its end")

    def name(self) -> str:
        """Read a name, or a name in quotes."""
        token = self._next()
        if token.startswith('"'):
            return _unquote(token)
        if not token or not (token[0].isalpha() or token[0] == "_"):
            raise _not_understood(token or "its end")
        return token

    def declaration(self, declared: Declared, namespace: str) -> None:
        self._namespace = f"{namespace}::" if namespace else ""
        self._skip_annotations()
        kind = self._next()
        if kind == "type":
            name = self._namespace + self.name()
            self.expect("=")
            declared.common[name] = self._type()
        elif kind == "entity":
            self._entity(declared)
        elif kind == "action":
            self._action(declared, namespace)
        else:
            raise _not_understood(kind)
        self.expect(";")

    def _skip_annotations(self) -> None:
        while self.takes("@"):
            self.name()
            if self.takes("("):
                self.name()
                self.expect(")")

    def _entity(self, declared: Declared) -> None:
        name = self._namespace + self.name()
        if self.takes("enum"):
            declared.entities[name] = EntityType(choices=frozenset(self._list()))
            return
        parents = self._names() if self.takes("in") else frozenset[str]()
        shape = Record()
        if self.takes("=") or self._peek() == "{":
            shape = self._record()
        has_tags = self.takes("tags")
        if has_tags:
            self._type()
        declared.entities[name] = EntityType(parents, shape, None, has_tags)

    def _action(self, declared: Declared, namespace: str) -> None:
        name = self.name()
        if self.takes("in"):
            self._names()
        found = Action()
        if self.takes("appliesTo"):
            found = self._applies_to()
        declared.actions[namespace, name] = found

    def _applies_to(self) -> Action:
        principals = resources = frozenset[str]()
        context: CedarType = Record()
        self.expect("{")
        while not self.takes("}"):
            part = self.name()
            self.expect(":")
            if part == "principal":
                principals = self._names()
            elif part == "resource":
                resources = self._names()
            elif part == "context":
                context = self._type()
            else:
                raise _not_understood(part)
            self.takes(",")
        return Action(principals, resources, context)

    def _names(self) -> frozenset[str]:
        if self._peek() == "[":
            return frozenset(self._list())
        return frozenset([self._reference()])

    def _list(self) -> list[str]:
        found = []
        self.expect("[")
        while not self.takes("]"):
            found.append(self._reference())
            self.takes(",")
        return found

    def _reference(self) -> str:
        """Read a name, or that of an action group, ``Action::"group"``."""
        name = self.name()
        if self.takes(":"):
            self.expect(":")
            return f"{name}::{self.name()}"
        return name

    def _type(self) -> CedarType:
        if self._peek() == "{":
            return self._record()
        name = self.name()
        if name == "Set" and self.takes("<"):
            item = self._type()
            self.expect(">")
            return SetOf(item)
        return Named(name)

    def _record(self) -> Record:
        found: dict[str, tuple[CedarType, bool]] = {}
        self.expect("{")
        while not self.takes("}"):
            self._skip_annotations()
            name = self.name()
            required = not self.takes("?")
            self.expect(":")
            found[name] = self._type(), required
            self.takes(",")
        return Record(found)


def _unquote(token: str) -> str:
    # Cedar escapes as JSON does, but for \u{...}, \' and \0.
    plain = _UNICODE_ESCAPE.sub(lambda match: json.dumps(chr(int(match[1], 16)))[1:-1], token)
    plain = plain.replace("\\'", "'").replace("\\0", "\\u0000")
    try:
        found: str = json.loads(plain)
    except ValueError:
        raise _not_understood("a quoted name") from None
    return found
