"""Find the fields that take more than their column holds.

What passes validation and does not fit comes back as an error of the database, which is a 500 to
the caller and work for the server.

Source: ASVS 5.0 V2.2.1 (positive validation against expected structure and limits).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import ColumnProperty, DeclarativeBase, Mapper, SynonymProperty, registry

from stockade.validation.columns.capacity import misfits
from stockade.validation.columns.fields import Field, fields_of
from stockade.validation.columns.models import Misfit, MismatchKind
from stockade.validation.columns.pairing import (
    Pair,
    declared_pairs,
    is_partial,
    pair_schemas,
    require_fields,
)
from stockade.validation.columns.values import Kind
from stockade.validation.errors import StoredSchemaError

Base = type[DeclarativeBase] | registry


@dataclass(frozen=True, slots=True)
class ColumnMismatch:
    """A field that takes what its column does not hold.

    Args:
        schema: Name of the schema.
        field: Name of the field; ``tags[]`` is what a list holds.
        column: Table and column, such as ``notes.title``.
        kind: In which way they differ.
        detail: What the field takes and what the column holds.
        hint: The line to write.
    """

    schema: str
    field: str
    column: str
    kind: MismatchKind
    detail: str
    hint: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.field} {self.detail} ({self.column}): {self.hint}"


def check_columns(
    base: Base | Iterable[Base], schemas: Iterable[type[Any]] | Mapping[type[Any], Any]
) -> list[ColumnMismatch]:
    """Compare the fields of schemas with the columns that they are stored in.

    A schema belongs to a model if `stores` says so, or by its name: ``NoteCreate`` or
    ``UpdateNote`` to ``Note``, as far as both are in one family of modules. By name, only what is
    certain is reported, and only for columns that have a field's name; a schema that belongs to no
    model is left out. What is declared is compared to the last doubt.

    Args:
        base: Declarative bases or registries, whose models are looked through for names.
        schemas: Models, dataclasses or typed dicts; or a mapping that declares the model, or the
            models, that each is stored in.

    Raises:
        StoredSchemaError: What is declared can't be: the model is not mapped, or an exception names
            no field.
        TypeError: Something is given that is no class.
    """
    if isinstance(schemas, Mapping):
        pairs = declared_pairs(schemas)
    else:
        pairs = pair_schemas(schemas, mapped_classes(base))
    return [mismatch for pair in pairs for mismatch in check_pair(pair)]


def mapped_classes(base: Base | Iterable[Base]) -> list[type[Any]]:
    """Return the mapped classes of declarative bases and registries, in the order of their names.

    Raises:
        TypeError: Something is given that is neither.
    """
    given: Iterable[Any] = [base] if isinstance(base, type | registry) else base
    found: dict[type[Any], None] = {}
    for each in given:
        mapped = each if isinstance(each, registry) else getattr(each, "registry", None)
        if not isinstance(mapped, registry):
            message = "check_columns() takes a declarative base or a registry"
            raise TypeError(message)
        found |= dict.fromkeys(mapper.class_ for mapper in mapped.mappers)
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def check_pair(pair: Pair) -> list[ColumnMismatch]:
    """Compare one schema with the models that it is stored in.

    Raises:
        StoredSchemaError: A model is not mapped, or an exception names no field.
    """
    mappers = [_mapper_of(model) for model in pair.models]
    fields = fields_of(pair.schema, exact=pair.declared)
    require_fields(pair, [field.name for field in fields])
    found = [
        mismatch
        for field in fields
        if field.name not in pair.elsewhere
        for mismatch in _check_field(pair, field, mappers)
    ]
    return list(dict.fromkeys(found))


def _mapper_of(model: type[Any]) -> Mapper[Any]:
    try:
        mapper = inspect(model)
    except NoInspectionAvailable:
        mapper = None
    if not isinstance(mapper, Mapper):
        message = f"{model.__qualname__} is not mapped: a schema is stored in a model with a table"
        raise StoredSchemaError(message)
    return mapper


def _check_field(pair: Pair, field: Field, mappers: list[Mapper[Any]]) -> Iterator[ColumnMismatch]:
    columns = [column for mapper in mappers for column in _columns_for(mapper, field)]
    for column in columns:
        found = list(misfits(field.values, column.type, exact=pair.declared))
        if _takes_null(pair, field, column):
            found.append(_NULL)
        for misfit in found:
            yield _mismatch(pair, field, f"{column.table}.{column.name}", misfit)
    known = any(_has(mapper, field) for mapper in mappers)
    if pair.declared and not columns and not known and not field.excluded:
        models = " or ".join(model.__name__ for model in pair.models)
        yield _mismatch(
            pair,
            field,
            models,
            Misfit(
                MismatchKind.UNKNOWN_COLUMN,
                "has no column",
                f'name the column so, or write @stores({models}, elsewhere=("{field.name}",))',
            ),
        )


_NULL = Misfit(
    MismatchKind.NULLABLE,
    "takes null, the column does not",
    "take None out of the field, give the column a default, or make it nullable",
)


def _mismatch(pair: Pair, field: Field, column: str, misfit: Misfit) -> ColumnMismatch:
    return ColumnMismatch(
        schema=pair.schema.__qualname__,
        field=field.name + misfit.inside,
        column=column,
        kind=misfit.kind,
        detail=misfit.detail,
        hint=misfit.hint,
    )


def _columns_for(mapper: Mapper[Any], field: Field) -> list[Column[Any]]:
    """Return the columns that have the name of a field, or of its attribute, or else an alias."""
    for name in (field.name, *field.aliases):
        found = _columns_of(mapper, name)
        if not found:
            columns = _stored(mapper.columns.values())
            found = [column for column in columns if column.name == name]
        if found:
            return found
    return []


def _columns_of(mapper: Mapper[Any], name: str) -> list[Column[Any]]:
    if not mapper.has_property(name):
        return []
    # Unlike Mapper.attrs, this does not configure the mappers of the whole process.
    attribute = mapper.get_property(name)
    if isinstance(attribute, SynonymProperty):
        return _columns_of(mapper, attribute.name)
    return _stored(attribute.columns) if isinstance(attribute, ColumnProperty) else []


def _stored(mapped: Iterable[object]) -> list[Column[Any]]:
    """Return the columns of tables; expressions and selections are mapped, but not written to."""
    return [each for each in mapped if isinstance(each, Column) and isinstance(each.table, Table)]


def _has(mapper: Mapper[Any], field: Field) -> bool:
    """Tell whether a model has something of that name, such as a relationship or a property."""
    return any(hasattr(mapper.class_, name) for name in (field.name, *field.aliases))


def _takes_null(pair: Pair, field: Field, column: Column[Any]) -> bool:
    """Tell whether null gets as far as a column that refuses it."""
    if column.nullable or all(value.kind is not Kind.NULL for value in field.values):
        return False
    if column.default is not None or column.server_default is not None:
        # The ORM leaves the column out, and the default takes its place.
        return False
    if column is column.table.autoincrement_column:
        return False
    # "title: Line | None = None" of an update stands for "leave it as it is".
    return not (field.omits and is_partial(pair.schema))
