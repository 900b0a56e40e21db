import sys
from pathlib import Path

import pytest

from stockade.cli.targets import load_target
from stockade.errors import ConfigurationError
from tests.unit.cli.helpers import write_module

SOURCE = """
class Application:
    inner = "inner"

app = Application()
other = "other"
def make():
    return "made"
def fail():
    raise RuntimeError("first\\nsecond")
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A module in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return write_module(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [(":other", "other"), (":app.inner", "inner"), (":make()", "made")],
    ids=["name", "attribute", "factory"],
)
def test_name_behind_the_colon(module: str, tmp_path: Path, suffix: str, expected: str) -> None:
    """A module and a file are read alike: a name, an attribute, or what a factory makes."""
    assert load_target(module + suffix) == expected
    assert load_target(f"{module}.py{suffix}") == expected
    assert load_target(f"{tmp_path / module}.py{suffix}") == expected


def test_name_is_app_unless_given(module: str) -> None:
    """Without a colon the application is called `app`."""
    assert type(load_target(module)).__name__ == "Application"
    assert load_target(f"{module}.py") is load_target(module)


def test_file_in_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of a package is imported as a part of it, so that its relative imports work."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "package_of_targets" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("", "utf-8")
    (package.parent / "base.py").write_text("app = __name__", "utf-8")
    (package / "main.py").write_text("from ..base import app", "utf-8")
    assert load_target(str(package / "main.py")) == "package_of_targets.base"


def test_module_of_the_current_folder_comes_first(module: str, tmp_path: Path) -> None:
    """The current folder is looked at before anything that is installed."""
    assert load_target(f"{module}:other") == "other"
    assert sys.path[0] == str(tmp_path)


@pytest.mark.parametrize(
    "target",
    [
        "{}:nosuch",
        "{}:app.nosuch",
        "{}:other()",
        "{}:",
        ":app",
        "",
        ":",
        "{}:a b",
        "{}:make(1)",
        "{}:__import__('os')",
        "nosuch_module:app",
        "nosuch_module.inner:app",
        "nosuch.py",
        "./nosuch.py:app",
        "/",
        "..",
        "{}..x:app",
    ],
)
def test_what_names_nothing(module: str, target: str) -> None:
    """A target that names nothing is a mistake of the caller's, told in one line."""
    with pytest.raises(ConfigurationError) as refused:
        load_target(target.format(module))
    assert str(refused.value).count("\n") == 0


def test_failing_factory(module: str) -> None:
    """What a factory raises becomes one line."""
    with pytest.raises(ConfigurationError, match=r"RuntimeError: first$"):
        load_target(f"{module}:fail()")


@pytest.mark.parametrize(
    "source",
    [
        "1 / 0",
        "import nosuch_dependency",
        "def",
        "raise ValueError",
        "class E(Exception): pass\nraise E",
    ],
)
def test_module_that_can_not_be_imported(module: str, tmp_path: Path, source: str) -> None:
    """What a module raises while it is imported becomes one line."""
    with pytest.raises(ConfigurationError, match="can't be imported"):
        load_target(write_module(tmp_path, source))


def test_configuration_error_of_a_module_stays(module: str, tmp_path: Path) -> None:
    """An error of ours says by itself what is wrong."""
    source = "from stockade.errors import ConfigurationError\nraise ConfigurationError('mine')"
    with pytest.raises(ConfigurationError, match=r"^mine$"):
        load_target(write_module(tmp_path, source))
