"""Find the application that a TARGET names."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from stockade.errors import ConfigurationError, StockadeError

_ATTRIBUTE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\(\))?")
_DEFAULT_ATTRIBUTE = "app"


def load_target(target: str) -> Any:  # noqa: ANN401 - whatever the application's module holds
    """Import an application.

    Args:
        target: ``module:app``, ``module:factory()``, or the path of a file with or without the
            name behind a colon; the name is ``app`` unless given.

    Raises:
        ConfigurationError: There is no such thing, or it can't be imported.
    """
    place, attribute = _split(target)
    found = _import(_name_of_file(Path(place)) if _is_path(place) else _name_of_module(place))
    for name in attribute.removesuffix("()").split("."):
        if not hasattr(found, name):
            message = f"{place} has no {name!r}: name the application, as in module:app"
            raise ConfigurationError(message)
        found = getattr(found, name)
    return _call(found, target) if attribute.endswith("()") else found


def _split(target: str) -> tuple[str, str]:
    place, colon, attribute = target.rpartition(":")
    if not colon or os.sep in attribute or "\\" in attribute:
        return target, _DEFAULT_ATTRIBUTE
    if not place or not _ATTRIBUTE.fullmatch(attribute):
        message = f"{target!r} names no application: use module:app, module:factory() or a path"
        raise ConfigurationError(message)
    return place, attribute


def _is_path(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _name_of_module(place: str) -> str:
    # As `python -m` does it: modules of the current folder come first.
    _put_first(Path.cwd())
    return place


def _name_of_file(path: Path) -> str:
    file = path.resolve()
    if file.suffix != ".py" or not file.is_file():
        message = f"there is no Python file {str(path)!r}"
        raise ConfigurationError(message)
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    _put_first(folder)
    return ".".join(parts)


def _put_first(folder: Path) -> None:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))


def _import(name: str) -> Any:  # noqa: ANN401 - any module
    try:
        return importlib.import_module(name)
    except StockadeError:
        raise
    # Importing runs the application's own code, which may raise anything.
    except Exception as error:
        raise ConfigurationError(f"{name} can't be imported: {_first_line(error)}") from error


def _call(factory: Any, target: str) -> Any:  # noqa: ANN401 - the application's own function
    if not callable(factory):
        message = f"{target!r}: that is no function"
        raise ConfigurationError(message)
    try:
        return factory()
    except StockadeError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{target} failed: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
