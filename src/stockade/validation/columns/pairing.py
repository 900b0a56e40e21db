"""Find out which schema is stored in which model: because somebody says so, or by their names.

Two classes are taken to belong together only if their names fit and both are in one family of
modules, or one module knows both. An application may well have two notes that are strangers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from stockade.validation.errors import StoredSchemaError

_Schema = TypeVar("_Schema", bound=type[Any])

_ATTRIBUTE: Final = "__stockade_stores__"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a schema is stored, as it was declared.

    Args:
        models: Mapped classes; none for a schema that is not stored.
        elsewhere: Fields that are not in a column of their name.
    """

    models: tuple[type[Any], ...]
    elsewhere: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A schema and the models that it is stored in.

    Args:
        schema: A class that Pydantic validates.
        models: Mapped classes.
        declared: Whether somebody said so; the names say so otherwise.
        elsewhere: Fields that are not in a column of their name.
    """

    schema: type[Any]
    models: tuple[type[Any], ...]
    declared: bool
    elsewhere: frozenset[str] = frozenset()


def stores(*models: type[Any], elsewhere: Collection[str] = ()) -> Callable[[_Schema], _Schema]:
    """Declare the models in whose columns the fields of a schema end up, each under its own name.

    ``@stores(Note)`` stands above the schema. Without a model it says that the schema is stored
    nowhere, whatever its name is. Subclasses are stored as their base class is.

    Args:
        models: Mapped classes; several where the fields are spread over several tables.
        elsewhere: Names of fields that are not stored, or not as they come: a password that is
            hashed, a filter.

    Raises:
        TypeError: Something is given that is no class, or a name that is no text.
    """
    if not all(isinstance(model, type) for model in models):
        message = "stores() takes mapped classes: @stores(Note)"
        raise TypeError(message)
    if isinstance(elsewhere, str) or not all(isinstance(name, str) for name in elsewhere):
        message = 'elsewhere= takes the names of fields: elsewhere=("password",)'
        raise TypeError(message)

    def declare(schema: _Schema) -> _Schema:
        setattr(schema, _ATTRIBUTE, Stored(models, frozenset(elsewhere)))
        return schema

    return declare


def pair_schemas(
    schemas: Iterable[type[Any]], models: Iterable[type[Any]], *, modules: Iterable[str] = ()
) -> list[Pair]:
    """Pair schemas with the models that they are stored in; the others are left out.

    Args:
        schemas: Classes that Pydantic validates.
        models: Mapped classes, among which names are looked for.
        modules: Further modules that know both of what belongs together, such as that of an
            endpoint.
    """
    known = list(models)
    homes = tuple(modules)
    found = (_declared(schema) or _named(schema, known, homes) for schema in schemas)
    return [pair for pair in found if pair is not None and pair.models]


def declared_pairs(given: Mapping[type[Any], Any]) -> list[Pair]:
    """Return the pairs that a mapping of schemas to models, or to several models, declares.

    Raises:
        TypeError: Something in it is no class.
    """
    pairs = []
    for schema, models in given.items():
        classes = (models,) if isinstance(models, type) else tuple(models)
        if not all(isinstance(each, type) for each in (schema, *classes)):
            message = "check_columns() takes classes: {NoteCreate: Note}"
            raise TypeError(message)
        said = getattr(schema, _ATTRIBUTE, Stored((), frozenset()))
        pairs.append(Pair(schema, classes, declared=True, elsewhere=said.elsewhere))
    return pairs


def require_fields(pair: Pair, names: Collection[str]) -> None:
    """Refuse an exception for a field that does not exist: it would hold for nothing.

    Raises:
        StoredSchemaError: There is one.
    """
    # A subclass may have left out a field of the class that said so.
    own = vars(pair.schema).get(_ATTRIBUTE)
    strangers = sorted(pair.elsewhere.difference(names)) if own is not None else []
    if strangers:
        message = (
            f"{pair.schema.__qualname__} has no field {', '.join(strangers)}: correct"
            " stores(..., elsewhere=...)"
        )
        raise StoredSchemaError(message)


def is_partial(schema: type[Any]) -> bool:
    """Tell by its name whether a schema changes what is there, so that None can mean "as it is"."""
    return not _PARTIAL.isdisjoint(_words(schema.__name__))


def _declared(schema: type[Any]) -> Pair | None:
    said = getattr(schema, _ATTRIBUTE, None)
    if not isinstance(said, Stored):
        return None
    return Pair(schema, said.models, declared=True, elsewhere=said.elsewhere)


def _named(schema: type[Any], models: list[type[Any]], modules: tuple[str, ...]) -> Pair | None:
    """Find the one model that has the schema's name and is related to it."""
    stems = _stems(schema.__name__, _ROLES)
    candidates = []
    for model in models:
        shared = stems & _stems(model.__name__, _TABLES)
        if shared:
            longest = max(shared, key=len)
            distance = _distance(schema, model, longest, modules)
            if distance is not None:
                candidates.append((-len(longest), distance, model))
    if not candidates:
        return None
    best = min(candidate[:2] for candidate in candidates)
    nearest = [model for *rank, model in candidates if tuple(rank) == best]
    # Of two that are equally near, none is known to be meant.
    return Pair(schema, (nearest[0],), declared=False) if len(nearest) == 1 else None


_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]")
_PARTIAL: Final = frozenset({"change", "edit", "modify", "partial", "patch", "update"})
# What is said of a schema beside the name of what it describes.
_ROLES: Final = _PARTIAL | {
    *("add", "base", "body", "create", "data", "dto", "form", "in", "input", "insert", "model"),
    *("new", "payload", "put", "register", "replace", "request", "save", "schema", "store"),
    *("upsert", "write"),
}
# And of a model.
_TABLES: Final = frozenset({"db", "entity", "model", "orm", "record", "row", "sql", "table"})
# Names of modules that say what is in them, and not of whom it is.
_PARTS: Final = frozenset(
    {
        *("api", "apis", "base", "bodies", "crud", "db", "dto", "dtos", "endpoints", "entities"),
        *("entity", "forms", "handlers", "inputs", "main", "model", "models", "orm", "requests"),
        *("router", "routers", "routes", "schema", "schemas", "table", "tables", "views"),
    }
)


def _words(name: str) -> list[str]:
    # What stands in brackets is what a generic schema was given, not its own name.
    return [word.lower() for word in _WORD.findall(name.partition("[")[0])]


def _stems(name: str, roles: Collection[str]) -> set[str]:
    """Return what a name may be of, when words that say its role are taken off both ends."""
    words = _words(name)
    starts = [0]
    while starts[-1] < len(words) and words[starts[-1]] in roles:
        starts.append(starts[-1] + 1)
    ends = [len(words)]
    while ends[-1] > 0 and words[ends[-1] - 1] in roles:
        ends.append(ends[-1] - 1)
    return {"_".join(words[a:b]) for a in starts for b in ends if a < b}


def _distance(
    schema: type[Any], model: type[Any], stem: str, modules: tuple[str, ...]
) -> int | None:
    """Say how near a schema and a model are, or None if they may be strangers."""
    one, other = schema.__module__, model.__module__
    if one == other:
        return 0
    if _knows(one, model) or _knows(other, schema):
        return 1
    if any(_knows(module, model) and _knows(module, schema) for module in modules):
        return 1
    return 2 if _family(one, stem) & _family(other, stem) else None


def _knows(module: str, cls: type[Any]) -> bool:
    """Tell whether a module has a class among its names."""
    loaded = sys.modules.get(module)
    return loaded is not None and any(value is cls for value in list(vars(loaded).values()))


def _family(module: str, stem: str) -> set[str]:
    """Return the places that a module belongs to.

    ``shop.notes.models``, ``shop.models.note`` and ``shop.schemas`` are all at home in ``shop``,
    as far as notes are concerned.
    """
    return set(_places(module, stem))


def _places(module: str, stem: str) -> Iterator[str]:
    parent, _, _ = module.rpartition(".")
    own = {stem, f"{stem}s", f"{stem}es", re.sub("y$", "ies", stem)}
    own |= {name.replace("_", "") for name in own}
    rest = [part for part in module.split(".") if part not in _PARTS and part not in own]
    place = ".".join(rest)
    if parent:
        yield f"package {parent}"
    if place:
        yield f"package {place}"
    else:
        # A folder of scripts has no package; two of them are told apart by where they are.
        folder = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
        if folder is not None:
            yield f"folder {_root_of(Path(folder))}"


def _root_of(file: Path) -> Path:
    return file.parent.parent if file.name == "__init__.py" else file.parent
