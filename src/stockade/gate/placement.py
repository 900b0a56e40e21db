"""Refuse models that stand in a part of the request that they can't be read from.

A `ParameterSchema` takes the text "5" for the number, as parameters arrive; in a JSON body that
would be the conversion that a `Schema` promises not to make. A `Schema` takes no number from text
and would refuse each query. And a model of headers or cookies that refuses what it does not name
would refuse each request, because there are always others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import params
from pydantic import BaseModel

from stockade.validation import ParameterSchema, Schema
from stockade.validation.columns.fields import schemas_in
from stockade.validation.shapes import children, core_schema_of, definitions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS: Final = frozenset({"bool", "float", "int"})
_WITH_OTHERS: Final = frozenset({"cookie", "header"})


def find_misplaced(place: str, field: Any, annotation: object) -> Iterator[str]:  # noqa: ANN401 - FastAPI's ModelField
    """Yield what is wrong with the models of a parameter, each with how to mend it.

    Args:
        place: ``path``, ``query``, ``header``, ``cookie`` or ``body``.
        field: The parameter.
        annotation: All that it is declared as, or its type adapter.

    Raises:
        PydanticSchemaGenerationError: Pydantic can't validate such a type.
    """
    if place == "body" and not isinstance(field.field_info, params.Form):
        for cls in schemas_in(annotation):
            if issubclass(cls, ParameterSchema):
                yield f"{cls.__name__} reads numbers from text: derive it from Schema"
        return
    model = field.field_info.annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return
    if place in _WITH_OTHERS and model.model_config.get("extra") == "forbid":
        yield (
            f"{model.__name__} refuses each {place} that it does not name, and requests have"
            f" others: declare each {place} as a parameter of its own"
        )
    elif _is_for_json(model) and _holds_numbers(model):
        yield f"{model.__name__} reads no numbers from text: derive it from ParameterSchema"


def _is_for_json(model: type[BaseModel]) -> bool:
    return issubclass(model, Schema) and not issubclass(model, ParameterSchema)


def _holds_numbers(model: type[BaseModel]) -> bool:
    """Tell whether a model has a field that is read from text only if it is told to."""
    root = core_schema_of(model)
    pending, seen = [root, *definitions_of(root).values()], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        exact = node["type"] in _NUMBERS and node.get("strict") is not False
        if exact or node.get("sub_type") in _NUMBERS:  # An enumeration of numbers.
            return True
        pending += [child for _, child in children(node)]
        pending += definitions_of(node).values()
    return False
