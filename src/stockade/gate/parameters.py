"""Read from FastAPI's dependency tree which values an endpoint takes, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import params
from pydantic import AliasChoices, AliasPath, PydanticUserError

from stockade.validation.parameters import SingleParameters
from stockade.validation.shapes import adapter_of, core_schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES: Final = ("path", "query", "header", "cookie", "body")


def fields_of(dependant: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - FastAPI's Dependant
    """Yield each value that an endpoint and its dependencies take, as its place and its field."""
    for place in PLACES:
        for field in getattr(dependant, f"{place}_params"):
            yield place, field
    for dependency in dependant.dependencies:
        yield from fields_of(dependency)


def annotation_of(field: Any) -> Any:  # noqa: ANN401 - FastAPI's ModelField, any annotation
    """Return the annotation of a field with everything that is declared of it."""
    return Annotated[field.field_info.annotation, field.field_info]


def names_of(field: Any) -> frozenset[str]:  # noqa: ANN401 - FastAPI's ModelField
    """Return the names that FastAPI looks for a parameter under."""
    return frozenset({field.alias, *_spellings(field.field_info.validation_alias)})


def single_parameters_of(dependant: Any) -> SingleParameters:  # noqa: ANN401 - FastAPI's Dependant
    """Return the parameters of an endpoint of which one value is read."""
    found = []
    for place, field in fields_of(dependant):
        if place == "body" and not isinstance(field.field_info, params.Form):
            continue
        try:
            adapter = adapter_of(annotation_of(field))
            core_schema_of(adapter)
        except PydanticUserError:
            # The check of bounds says what is wrong with the annotation.
            continue
        found.append((place, names_of(field), adapter))
    return SingleParameters.among(found)


def _spellings(alias: str | AliasPath | AliasChoices | None) -> Iterator[str]:
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, AliasPath):
        yield str(alias.path[0])
    elif isinstance(alias, AliasChoices):
        for choice in alias.choices:
            yield from _spellings(choice)
