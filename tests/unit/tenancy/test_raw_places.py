"""Every place that lets SQL text in is found in the source, whether it has run or not."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from stockade.tenancy.raw_places import RawExcuse, find_misplaced, list_raw

Load = Callable[..., ModuleType]
DECLARED = 'from stockade import unsafe_raw\n\n\nREPORT = unsafe_raw("the report of the books")\n'


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Write a module, load it, and forget it afterwards."""
    loaded = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def load(source: str, name: str = "") -> ModuleType:
        name = name or f"places_{secrets.token_hex(6)}"
        path = tmp_path / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loaded.append(name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in loaded:
        del sys.modules[name]


def found_in(module: ModuleType) -> list[RawExcuse]:
    """Return what is listed of a module."""
    return [each for each in list_raw("nothing") if each.place.startswith(f"{module.__name__}.py")]


def test_uses_that_never_ran(load: Load) -> None:
    """Functions of the own module and of others are read, by whatever name they know it."""
    own = load(DECLARED + "\n\ndef report(session):\n    with REPORT(session):\n        pass\n")
    name = own.__name__
    others = [
        load(f"from {name} import REPORT\ndef f(s):\n    with REPORT(s): pass\n"),
        load(f"from {name} import REPORT as R\ndef f(s):\n    with R(s): pass\n"),
        load(f"import {name} as books\nasync def f(s):\n    with books.REPORT(s): pass\n"),
        load(f"def f(s):\n    from {name} import REPORT as R\n    with R(s): pass\n"),
    ]
    load("REPORT = 3\ndef f():\n    return REPORT\n")
    load("class Other:\n    REPORT = 3\ndef f():\n    return Other.REPORT\n")
    [excuse] = found_in(own)
    assert (excuse.name, excuse.place) == ("REPORT", f"{name}.py:4")
    lines = [8, 3, 3, 3, 3]
    assert sorted(excuse.used) == sorted(
        f"{module.__name__}.py:{line}" for module, line in zip([own, *others], lines, strict=True)
    )
    assert str(excuse).startswith(f"{name}.py:4: REPORT (held by nothing; used at ")
    assert str(excuse).endswith(": the report of the books")


def test_declared_in_a_class_or_a_table(load: Load) -> None:
    """An attribute of a class is known by its name; what has no name is listed without uses."""
    module = load(
        "from stockade import unsafe_raw\n"
        "class Books:\n"
        '    RAW = unsafe_raw(\n        "the report of the books"\n    )\n'
        "    def read(self, session):\n"
        "        with self.RAW(session): pass\n"
        'ALL = {1: unsafe_raw("the first of several")}\n'
    )
    first, second = found_in(module)
    assert (first.name, first.used) == ("RAW", (f"{module.__name__}.py:7",))
    assert (second.name, second.used) == ("", ())
    assert "no use was found" in str(second)


def test_declared_with_a_reason_that_is_computed(load: Load) -> None:
    """The reason is the one that was given in the end, wherever it came from."""
    module = load('from stockade import unsafe_raw\nWHY = "of" + " books"\nA = unsafe_raw(WHY)\n')
    assert [each.reason for each in found_in(module)] == ["of books"]


def test_source_that_is_gone(load: Load, tmp_path: Path) -> None:
    """Without its source a declaration is listed all the same; its uses are not known."""
    module = load(DECLARED)
    (tmp_path / f"{module.__name__}.py").unlink()
    [excuse] = found_in(module)
    assert excuse.reason == "the report of the books"
    assert excuse.used == ()


@pytest.mark.parametrize(
    "source",
    [
        "from stockade import unsafe_raw\ndef f(s):\n    with unsafe_raw('too deep')(s): pass\n",
        "import stockade\nasync def f(s):\n    with stockade.unsafe_raw('too deep')(s): pass\n",
        "from stockade import tenancy as t\nf = (\n    lambda: t.unsafe_raw('too deep'))\n",
        "from stockade import unsafe_raw as u\nclass A:\n  def f(s): u('too deep')\n",
    ],
)
def test_misplaced(load: Load, source: str) -> None:
    """A call in a function is found before it runs."""
    module = load(source)
    [line] = [line for line in find_misplaced() if line.startswith(module.__name__)]
    assert line.startswith(f"{module.__name__}.py:3: ")


@pytest.mark.parametrize(
    "source",
    [
        DECLARED,
        "from stockade import unsafe_raw\nclass A:\n    RAW = unsafe_raw('in a class')\n",
        "from stockade import unsafe_raw\ndef f(s, raw=unsafe_raw('as a default')): ...\n",
        "from stockade import unsafe_raw\nif True:\n    A = unsafe_raw('by condition')\n",
    ],
)
def test_well_placed(load: Load, source: str) -> None:
    """What is declared where the module is loaded is no problem."""
    module = load(source)
    assert [line for line in find_misplaced() if line.startswith(module.__name__)] == []
    assert len(found_in(module)) == 1
