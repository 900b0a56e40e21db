"""Refuse routes that take unbounded input, and describe what did not fit without showing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PydanticUserError

from stockade.gate.plans import Access
from stockade.validation import describe_errors, find_unbounded, known_names_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stockade.gate.plans import Plan
    from stockade.gate.tree import Leaf
    from stockade.validation.settings import ValidationSettings

_PLACES = ("path", "query", "header", "cookie", "body")


class RequestCheck:
    """Looks at every value that a request can carry.

    Args:
        settings: Whether unbounded input stops the start.
    """

    def __init__(self, settings: ValidationSettings) -> None:
        self._settings = settings
        self._names = frozenset(_PLACES)
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """What has no bound and is let through by the settings."""
        return list(self._warnings)

    def check(self, leaf: Leaf, plan: Plan) -> list[str]:
        """Return a line for each unbounded value of a leaf, and remember its field names."""
        if leaf.dependant is None or plan.access is Access.DOCS:
            return []
        problems = []
        for place, field in _fields(leaf.dependant):
            annotation = _annotation_of(field)
            try:
                self._names |= known_names_of(annotation) | {field.name, field.alias}
                found = find_unbounded(annotation)
            except PydanticUserError:
                problems.append(
                    f"{leaf.label}: the annotation of {field.name!r} can't be resolved:"
                    " define what it names at the top of the module"
                )
                continue
            for unbounded in found:
                where = ".".join(part for part in (place, field.alias, unbounded.path) if part)
                problems.append(
                    f"{leaf.label}: {where} has no bound ({unbounded.kind}): {unbounded.hint}"
                )
        if self._settings.unbounded == "warn":
            self._warnings |= dict.fromkeys(problems)
            return []
        return problems

    def describe(self, errors: Sequence[Any]) -> list[dict[str, str]]:
        """Describe validation errors without anything that was submitted."""
        found = describe_errors(errors, known_names=self._names)
        return [
            {"pointer": each.pointer, "code": each.code, "message": each.message} for each in found
        ]


def _fields(dependant: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - FastAPI's Dependant
    for place in _PLACES:
        for field in getattr(dependant, f"{place}_params"):
            yield place, field
    for dependency in dependant.dependencies:
        yield from _fields(dependency)


def _annotation_of(field: Any) -> Any:  # noqa: ANN401 - any annotation
    return Annotated[field.field_info.annotation, field.field_info]
