"""The repository keeps its own rules: what exists is documented, and what is documented exists."""

import ast
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel

import stockade

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src"
REFERENCE = ROOT / "docs" / "reference"
OPTIONAL = ("PIL", "argon2", "asyncpg", "httpx2", "phonenumbers", "psycopg", "redis", "webauthn")
"""Import names of what the extras install."""

MOST_PUBLIC_NAMES = 15

VOCABULARIES = ("stockade/validation", "stockade/validation/types")
"""Packages with more public names: the field types are one vocabulary."""

IMPORT_TIMEOUT = 120
"""Seconds for all modules together, on a busy machine."""

# A module whose driver is missing must say which extra brings it, as an error of ours.
IMPORT_WITHOUT_EXTRAS = """
import importlib, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
from stockade.errors import ConfigurationError
for module in sys.argv[2:]:
    try:
        importlib.import_module(module)
    except ConfigurationError as error:
        assert "stockade[" in str(error), module
"""


def module_names() -> list[str]:
    """Return every module of the package, but for those that only run by their path."""
    files = sorted((SOURCES / "stockade").rglob("*.py"))
    parts = [file.relative_to(SOURCES).with_suffix("").parts for file in files]
    return [
        ".".join(names).removesuffix(".__init__")
        for names in parts
        if names[-1] != "__main__" and not {"migrations", "static", "templates"} & set(names)
    ]


def documented(page: str, *, under: str = r"#+\s+|\|\s*") -> set[str]:
    """Return the names in code quotes at the start of a heading or a table row of a page."""
    path = REFERENCE / page
    if not path.exists():
        reason = f"docs/reference/{page} is not written yet"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    text = path.read_text(encoding="utf-8")
    return set(re.findall(rf"^(?:{under})`([^`]+)`", text, re.MULTILINE))


def optional_module(name: str) -> Any:  # noqa: ANN401  # a module is what importlib returns
    """Import a module that may not exist yet; a mistake inside it is still an error."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} does not exist yet")
    return importlib.import_module(name)


def setting_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every setting of a model and of the models in it."""
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        nested = next((kind for kind in kinds if _is_model(kind)), None)
        if nested is None:
            yield prefix + name
        else:
            yield from setting_names(nested, f"{prefix}{name}.")


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def commands(command: Any, name: str = "stockade") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # Typer carries its own copy of Click's classes
    """Yield every command with the words that call it."""
    children: Mapping[str, Any] = getattr(command, "commands", {})
    if not children:
        yield name, command
    for word, child in children.items():
        if not child.hidden:
            yield from commands(child, f"{name} {word}")


def tracked_files() -> list[Path]:
    """Return the files that git keeps."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def pinned(lock: str) -> dict[str, list[Requirement]]:
    """Return the pins of a lock by package; one package may have a pin per Python version."""
    pins: dict[str, list[Requirement]] = {}
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    for line in re.findall(r"^([a-z0-9][^\\\n]*)", text, re.MULTILINE):
        pin = Requirement(line.strip())
        pins.setdefault(pin.name, []).append(pin)
    return pins


def run_script(*arguments: str) -> subprocess.Popen[str]:
    """Start a fresh interpreter on our sources, with warnings as errors."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_every_module_imports_alone() -> None:
    """Each module imports first in a fresh process, so none leans on what another imported."""
    modules, script = module_names(), str(ROOT / "tests" / "import_each.py")
    folder = str(SOURCES / "stockade")
    # Two at a time: each has half of the modules.
    runs = [run_script(script, folder, *modules[start::2]) for start in (0, 1)]
    for run in runs:
        _, errors = run.communicate(timeout=IMPORT_TIMEOUT)
        assert run.returncode == 0, errors


def test_every_module_imports_without_extras() -> None:
    """Without the optional drivers a module imports, or its error names the extra to install."""
    run = run_script("-c", IMPORT_WITHOUT_EXTRAS, ",".join(OPTIONAL), *module_names())
    _, errors = run.communicate(timeout=IMPORT_TIMEOUT)
    assert run.returncode == 0, errors


def test_every_package_says_what_it_offers() -> None:
    """Each package has a docstring and few public names; everything else is private."""
    for file in sorted((SOURCES / "stockade").rglob("__init__.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), file
        offered = getattr(importlib.import_module(_dotted(file)), "__all__", ())
        if not file.parent.as_posix().endswith(("/stockade", *VOCABULARIES)):
            assert len(offered) <= MOST_PUBLIC_NAMES, file


def _dotted(file: Path) -> str:
    return ".".join(file.parent.relative_to(SOURCES).parts)


def test_public_names_match_the_stored_list() -> None:
    """A public name comes and goes with a change of the stored list, never by accident."""
    stored = (ROOT / "tests" / "public_names.txt").read_text(encoding="utf-8").split()
    assert sorted(getattr(stockade, "__all__", ())) == stored


def test_every_setting_is_documented() -> None:
    """Each setting has an entry, and each entry is a setting."""
    settings = optional_module("stockade.settings").Settings
    assert set(setting_names(settings)) == documented("settings.md")


def test_every_event_is_documented() -> None:
    """Each event has an entry, and each entry is an event."""
    assert set(optional_module("stockade.events").EVENTS) == documented("events.md")


def test_every_command_is_documented() -> None:
    """Each command has a heading, each option an entry below it, and nothing else has one."""
    from typer.main import get_command

    found = dict(commands(get_command(optional_module("stockade.cli").app)))
    assert set(found) == documented("cli.md", under=r"#+\s+")
    sections = re.split(r"^#+\s+", (REFERENCE / "cli.md").read_text("utf-8"), flags=re.MULTILINE)
    for name, command in found.items():
        section = next(text for text in sections if text.startswith(f"`{name}`"))
        options = {
            max(parameter.opts, key=len)
            for parameter in command.params
            if parameter.opts[0].startswith("-") and not getattr(parameter, "hidden", False)
        } - {"--help"}
        assert options == set(re.findall(r"`(--[a-z-]+)", section)), name


@pytest.mark.parametrize(
    ("lock", "extras", "groups"),
    [
        ("runtime.lock", ("demo",), ("build-backend",)),
        ("dev.lock", ("all",), ("build", "test", "lint", "docs", "audit")),
    ],
)
def test_locks_follow_pyproject(
    lock: str, extras: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    """Each dependency is pinned to a release that its range allows: else run `make lock`."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(data["project"]["dependencies"])
    optional = data["project"]["optional-dependencies"]
    for extra in optional if extras == ("all",) else extras:
        wanted += optional[extra]
    for group in groups:
        wanted += [item for item in data["dependency-groups"][group] if isinstance(item, str)]
    pins = pinned(lock)
    for requirement in map(Requirement, wanted):
        if requirement.name == "stockade":
            continue
        assert requirement.name in pins, requirement
        for pin in pins[requirement.name]:
            version = next(iter(pin.specifier)).version
            assert requirement.specifier.contains(version), (requirement, version)


@pytest.mark.parametrize("lock", ["runtime.lock", "dev.lock", "tools.lock"])
def test_locks_name_no_place(lock: str) -> None:
    """A lock installs from whatever index the reader has: it holds hashes and no address."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|^--(?!hash)|file:|\s/\w", text, re.MULTILINE)
    assert all("--hash" in block for block in re.split(r"\n(?=[a-z0-9])", text.strip()))


def test_no_file_names_an_index_or_this_checkout() -> None:
    """No tracked file holds the address of a package index or a path of the machine it is on."""
    # Written in parts, so that this file passes its own test.
    patterns = [
        r"(?:index|extra-index|find-links)[-_ ]?" + r"url?\s*=\s*\S*:/",
        r"pypi\.org/" + "simple",
        "files.python" + r"hosted\.org",
        r"registry\.npm" + r"js\.org",
    ]
    if len(ROOT.parts) > 2:
        patterns.append(re.escape(str(ROOT)) + r"(?![\w-])")
    forbidden = re.compile("|".join(patterns).encode(), re.IGNORECASE)
    found = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.is_file() and forbidden.search(path.read_bytes())
    ]
    assert found == []
