"""Refuse routes that take unbounded input, and describe what did not fit without showing it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import PydanticUserError

from stockade.gate.parameters import annotation_of, fields_of, names_of
from stockade.gate.placement import find_misplaced
from stockade.gate.plans import Access
from stockade.validation.bounds import find_unbounded
from stockade.validation.excuses import find_excused
from stockade.validation.locations import Locations
from stockade.validation.problems import describe_errors
from stockade.validation.shapes import adapter_of
from stockade.validation.uploads.dependencies import inspect_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.gate.columns import ColumnCheck
    from stockade.gate.plans import Plan
    from stockade.gate.tree import Leaf
    from stockade.validation.settings import ValidationSettings


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


class _Taken(NamedTuple):
    """What an endpoint takes in each of its places; dependencies of routers add to it."""

    endpoint: object
    values: dict[str, list[tuple[str, frozenset[str], object]]]


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
        self._taken: dict[int, _Taken] = {}
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
        values: list[tuple[str, frozenset[str], object]] = []
        for place, field in fields_of(leaf.dependant):
            try:
                adapter = adapter_of(annotation_of(field))
                values.append((place, names_of(field), adapter))
                found = find_unbounded(adapter)
                misplaced += [
                    f"{leaf.label}: {_place(place, field, '')}: {problem}"
                    for problem in find_misplaced(place, field, adapter)
                ]
                self._excuses |= {
                    RouteExcuse(
                        leaf.label, _place(place, field, each.path), each.kind, each.reason
                    ): None
                    for each in find_excused(adapter)
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
        taken = self._taken.setdefault(id(leaf.endpoint), _Taken(leaf.endpoint, {}))
        taken.values[leaf.label] = values
        if self._settings.unbounded == "warn":
            self._warnings |= dict.fromkeys(problems)
            problems = []
        return problems + misplaced + self._columns.check(leaf)

    def describe(self, errors: Sequence[Any], endpoint: object) -> list[dict[str, str]]:
        """Describe validation errors without anything that was submitted.

        Args:
            errors: What FastAPI has found; untrusted.
            endpoint: What was about to be called.
        """
        taken = self._taken.get(id(endpoint), _Taken(endpoint, {}))
        locations = Locations.of_request(chain.from_iterable(taken.values.values()))
        found = describe_errors(errors, locations=locations)
        return [
            {"pointer": each.pointer, "code": each.code, "message": each.message} for each in found
        ]


def _place(place: str, field: Any, path: str) -> str:  # noqa: ANN401 - FastAPI's ModelField
    return ".".join(part for part in (place, field.alias, path) if part)
