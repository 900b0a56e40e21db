"""Refuse routes whose bodies take what the columns they are stored in don't hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PydanticUserError

from stockade.validation.columns.checking import check_pair, mapped_classes
from stockade.validation.columns.fields import schemas_in
from stockade.validation.columns.pairing import pair_schemas
from stockade.validation.errors import StoredSchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stockade.gate.tree import Leaf
    from stockade.validation.settings import ValidationSettings


class ColumnCheck:
    """Compares what bodies take with what columns hold.

    Args:
        settings: Whether a mismatch stops the start.
        find_bases: Finds the declarative bases and registries of the application's models.
    """

    def __init__(
        self, settings: ValidationSettings, find_bases: Callable[[], Iterable[Any]]
    ) -> None:
        self._settings = settings
        self._find_bases = find_bases
        self._warnings: dict[str, None] = {}
        self._compared: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """What does not fit and is let through by the settings."""
        return list(self._warnings)

    @property
    def compared(self) -> list[str]:
        """The schemas that were compared, each with its models."""
        return list(self._compared)

    def check(self, leaf: Leaf) -> list[str]:
        """Return a line for each field of a leaf's bodies that does not fit its column."""
        problems = [f"{leaf.label}: {line}" for line in self._lines(leaf)]
        if self._settings.columns == "warn":
            self._warnings |= dict.fromkeys(problems)
            return []
        return problems

    def _lines(self, leaf: Leaf) -> Iterator[str]:
        schemas = dict.fromkeys(_schemas_of(leaf.dependant))
        if not schemas:
            return
        # Collections of tables have no classes, and so no names to go by.
        bases = [
            base
            for base in self._find_bases()
            if hasattr(base, "registry") or hasattr(base, "mappers")
        ]
        module = getattr(leaf.endpoint, "__module__", None)
        pairs = pair_schemas(
            schemas, mapped_classes(bases), modules=[module] if isinstance(module, str) else []
        )
        for pair in pairs:
            models = ", ".join(model.__name__ for model in pair.models)
            self._compared[f"{pair.schema.__name__}: {models}"] = None
            try:
                yield from map(str, check_pair(pair))
            except StoredSchemaError as error:
                yield str(error)


def _schemas_of(dependant: Any) -> Iterator[type[Any]]:  # noqa: ANN401 - FastAPI's Dependant
    for field in dependant.body_params:
        try:
            yield from schemas_in(Annotated[field.field_info.annotation, field.field_info])
        except PydanticUserError:
            # The check of bounds says what is wrong with the annotation.
            continue
    for dependency in dependant.dependencies:
        yield from _schemas_of(dependency)
