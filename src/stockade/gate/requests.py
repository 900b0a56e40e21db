"""Refuse routes that take unbounded input, and describe what did not fit without showing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PydanticUserError

from stockade.gate.placement import find_misplaced
from stockade.gate.plans import Access
from stockade.validation.bounds import find_unbounded
from stockade.validation.excuses import find_excused
from stockade.validation.names import known_names_of
from stockade.validation.problems import describe_errors
from stockade.validation.uploads.dependencies import inspect_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stockade.gate.columns import ColumnCheck
    from stockade.gate.plans import Plan
    from stockade.gate.tree import Leaf
    from stockade.validation.settings import ValidationSettings

_PLACES = ("path", "query", "header", "cookie", "body")


@dataclass(frozen=True, slots=True)
class RouteExcuse:
    """A value of a route that may be of any size, because somebody said why.

    Args:
        route: Methods, template and endpoint.
        place: Where in the request, such as ``body.hook.payload``.
        kind: What is excused: ``str``, ``any``, ...
        reason: The reason, as it was written.
    """

    route: str
    place: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.route}: {self.place} ({self.kind}): {self.reason}"


class RequestCheck:
    """Looks at every value that a request can carry.

    Args:
        settings: Whether unbounded input stops the start.
        columns: Compares bodies with what they are stored in.
    """

    def __init__(self, settings: ValidationSettings, *, columns: ColumnCheck) -> None:
        self._settings = settings
        self._columns = columns
        self._excuses: dict[RouteExcuse, None] = {}
        self._names = frozenset(_PLACES)
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """What has no bound and is let through by the settings."""
        return list(self._warnings)

    @property
    def excuses(self) -> list[RouteExcuse]:
        """What has no bound and is excused in the code, with the reasons."""
        return list(self._excuses)

    def check(self, leaf: Leaf, plan: Plan) -> list[str]:
        """Return a line for each value of a leaf that has no bound, place or column that fits.

        Its field names and its excuses are remembered, and its uploads get their worker threads.
        """
        if leaf.dependant is None or plan.access is Access.DOCS:
            return []
        inspect_first(leaf.dependant)
        problems, misplaced = [], []
        for place, field in _fields(leaf.dependant):
            annotation = _annotation_of(field)
            try:
                names = known_names_of(annotation) | {field.name, field.alias}
                if place == "header":
                    # FastAPI looks for the fields of a model under the names that headers have.
                    names |= {name.replace("_", "-") for name in names}
                self._names |= names
                found = find_unbounded(annotation)
                misplaced += [
                    f"{leaf.label}: {_place(place, field, '')}: {problem}"
                    for problem in find_misplaced(place, field, annotation)
                ]
                self._excuses |= {
                    RouteExcuse(
                        leaf.label, _place(place, field, each.path), each.kind, each.reason
                    ): None
                    for each in find_excused(annotation)
                }
            except PydanticUserError:
                problems.append(
                    f"{leaf.label}: the annotation of {field.name!r} can't be resolved:"
                    " define what it names at the top of the module"
                )
                continue
            for unbounded in found:
                where = _place(place, field, unbounded.path)
                problems.append(
                    f"{leaf.label}: {where} has no bound ({unbounded.kind}): {unbounded.hint}"
                )
        if self._settings.unbounded == "warn":
            self._warnings |= dict.fromkeys(problems)
            problems = []
        return problems + misplaced + self._columns.check(leaf)

    def describe(self, errors: Sequence[Any]) -> list[dict[str, str]]:
        """Describe validation errors without anything that was submitted."""
        found = describe_errors(errors, known_names=self._names)
        return [
            {"pointer": each.pointer, "code": each.code, "message": each.message} for each in found
        ]


def _place(place: str, field: Any, path: str) -> str:  # noqa: ANN401 - FastAPI's ModelField
    return ".".join(part for part in (place, field.alias, path) if part)


def _fields(dependant: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - FastAPI's Dependant
    for place in _PLACES:
        for field in getattr(dependant, f"{place}_params"):
            yield place, field
    for dependency in dependant.dependencies:
        yield from _fields(dependency)


def _annotation_of(field: Any) -> Any:  # noqa: ANN401 - any annotation
    return Annotated[field.field_info.annotation, field.field_info]
