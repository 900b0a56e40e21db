"""Say where an application lets SQL text through, by reading its source; nothing of it is run.

A declaration is known when its module is loaded. The places that name it are found in the source of
all loaded modules, also those in functions that have never been called.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stockade.tenancy.raw import declared, unsafe_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.tenancy.raw import UnsafeRaw

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class RawExcuse:
    """SQL text that is let through, because somebody said why.

    Args:
        place: File and line of the declaration.
        name: What it is called there; empty if it has no name of its own.
        reason: The reason, as it was written.
        used: Files and lines that name it elsewhere, whether they have run or not.
        held_by: What holds the text: ``nothing``, or row-level security.
    """

    place: str
    name: str
    reason: str
    used: tuple[str, ...]
    held_by: str

    def __str__(self) -> str:
        used = f"used at {', '.join(self.used)}" if self.used else "no use was found"
        named = f" {self.name}" if self.name else ""
        return f"{self.place}:{named} (held by {self.held_by}; {used}): {self.reason}"


def list_raw(held_by: str) -> list[RawExcuse]:
    """Return what lets SQL text through in the modules that are loaded, whether it has run or not.

    Args:
        held_by: What holds the text.
    """
    made = declared()
    files = {each.file for each in made}
    sources = [
        (module, _read(module)) for module in _modules() if made and not _is_own(module, files)
    ]
    found = []
    for each in made:
        name = _name_of(each, sources)
        uses = set(_uses(each, name, sources)) if name else set()
        place = f"{_short(each.file)}:{each.line}"
        used = tuple(sorted(uses, key=_by_line))
        found.append(RawExcuse(place, name, each.reason, used, held_by))
    return found


def find_misplaced() -> list[str]:
    """Return a line for each `unsafe_raw` that a function calls, where it will be refused."""
    found = []
    for module in _modules():
        if not any(_is_ours(value) for value in vars(module).values()) or _is_own(module, set()):
            continue
        names = {name for name, value in vars(module).items() if value is unsafe_raw}
        found += [
            f"{_short(str(module.__file__))}:{line}: unsafe_raw() is called in a function: declare"
            " it at the top of the module, so that it is known before the function runs"
            for line in _inner_calls(_parse(_read(module)), names)
        ]
    return found


def _is_ours(value: object) -> bool:
    return value is unsafe_raw or (
        isinstance(value, ModuleType) and vars(value).get("unsafe_raw") is unsafe_raw
    )


def _inner_calls(tree: ast.AST, names: set[str], *, inside: bool = False) -> Iterator[int]:
    for child in ast.iter_child_nodes(tree):
        deeper = inside
        if isinstance(tree, _FUNCTIONS):
            # Decorators and defaults are evaluated where the function is defined.
            body = tree.body if isinstance(tree.body, list) else [tree.body]
            deeper = inside or child in body
        if deeper and isinstance(child, ast.Call):
            called = child.func
            by_name = isinstance(called, ast.Name) and called.id in names
            if by_name or (isinstance(called, ast.Attribute) and called.attr == "unsafe_raw"):
                yield child.lineno
        yield from _inner_calls(child, names, inside=deeper)


def _modules() -> Iterator[ModuleType]:
    # Anything may be put there.
    found: list[object] = list(sys.modules.values())
    for module in found:
        if not isinstance(module, ModuleType):
            continue
        is_file = str(getattr(module, "__file__", "")).endswith(".py")
        if is_file and module.__name__.partition(".")[0] not in sys.stdlib_module_names:
            yield module


def _is_own(module: ModuleType, files: set[str]) -> bool:
    """Tell whether a module is one of ours, and declares nothing."""
    return module.__name__.partition(".")[0] == "stockade" and module.__file__ not in files


def _read(module: ModuleType) -> str:
    try:
        return Path(str(module.__file__)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _parse(source: str) -> ast.AST:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        # The file has changed since it was loaded.
        return ast.Module(body=[], type_ignores=[])


def _name_of(made: UnsafeRaw, sources: list[tuple[ModuleType, str]]) -> str:
    source = next((text for module, text in sources if module.__file__ == made.file), "")
    for node in ast.walk(_parse(source)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            value = node.value
            if isinstance(value, ast.Call) and value.lineno <= made.line <= (value.end_lineno or 0):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                return next((each.id for each in targets if isinstance(each, ast.Name)), "")
    return ""


def _uses(made: UnsafeRaw, name: str, sources: list[tuple[ModuleType, str]]) -> Iterator[str]:
    package = made.module.partition(".")[0]
    mentions = re.compile(rf"\b{re.escape(name)}\b")
    imports = re.compile(rf"^\s*(from|import)\s+{re.escape(package)}\b", re.MULTILINE)
    for module, source in sources:
        own = module.__file__ == made.file
        known = {alias for alias, value in vars(module).items() if value is made}
        holds = own or any(_holds(value, name, made) for value in vars(module).values())
        # A function can import it only by a name of its package, or from inside of that.
        may_import = module.__name__.partition(".")[0] == package or imports.search(source)
        if not known and not ((holds or may_import) and mentions.search(source)):
            continue
        tree = _parse(source)
        names = known | set(_imported(tree, module, name, made))
        for node in ast.walk(tree):
            named = isinstance(node, ast.Name) and node.id in names
            reached = isinstance(node, ast.Attribute) and node.attr == name and (holds or names)
            if (named or reached) and isinstance(getattr(node, "ctx", None), ast.Load):
                yield f"{_short(str(module.__file__))}:{node.lineno}"  # type: ignore[attr-defined]


def _imported(tree: ast.AST, module: ModuleType, name: str, made: UnsafeRaw) -> Iterator[str]:
    """Yield what the declaration is called where a function imports it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            package = (module.__package__ or "").split(".")
            base = package[: len(package) - node.level + 1] if node.level else []
            path = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                if alias.name == name and _holds(sys.modules.get(path), name, made):
                    yield alias.asname or alias.name


def _holds(value: Any, name: str, made: UnsafeRaw) -> bool:  # noqa: ANN401 - anything in a module
    return isinstance(value, ModuleType | type) and vars(value).get(name) is made


def _short(file: str) -> str:
    """Return a path as it is written from the current folder, if it lies below."""
    path, here = Path(file).resolve(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _by_line(place: str) -> tuple[str, int]:
    file, _, line = place.rpartition(":")
    return file, int(line)
