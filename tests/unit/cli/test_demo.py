from pathlib import Path

import pytest

from stockade.cli.demo import find_demo, set_defaults
from stockade.errors import ConfigurationError
from tests.unit.cli.helpers import CommandLine


def test_embedded_defaults() -> None:
    """An empty environment becomes a local one with limits on and documentation to read."""
    variables: dict[str, str] = {}
    set_defaults(variables)
    assert variables["STOCKADE_ENVIRONMENT"] == "local"
    assert variables["STOCKADE_RATE_LIMITING__ENABLED"] == "true"
    assert {"DOCS_USERNAME", "DOCS_PASSWORD"} <= set(variables)


def test_environment_wins() -> None:
    """What the environment says stays."""
    given = {"STOCKADE_ENVIRONMENT": "test", "STOCKADE_RATE_LIMITING__ENABLED": "false"}
    variables = dict(given)
    set_defaults(variables)
    assert given.items() <= variables.items()


@pytest.mark.parametrize(
    "name",
    [
        "DOCS_USERNAME",
        "DOCS_PASSWORD",
        "STOCKADE_API_DOCS__USERNAME",
        "STOCKADE_API_DOCS__PASSWORD",
    ],
)
def test_documentation_keeps_its_own_credentials(name: str) -> None:
    """Whoever sets one part of the credentials gets no part of the demo's beside it."""
    variables = {name: "own"}
    set_defaults(variables)
    found = {key: value for key, value in variables.items() if "DOCS" in key}
    assert found == {name: "own"}


@pytest.mark.parametrize("environment", ["production", "staging", "", "Production", "nonsense"])
def test_deployed_environment_is_refused(environment: str) -> None:
    """Passwords that everybody knows are not put into a deployed environment."""
    with pytest.raises(ConfigurationError, match="known to everybody"):
        set_defaults({"STOCKADE_ENVIRONMENT": environment})


def test_demo_is_found_in_the_repository() -> None:
    """A checkout serves its own example."""
    assert find_demo().parts[-2:] == ("examples", "multi_tenant")


def test_demo_is_found_in_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed wheel carries the example with it."""
    folder = tmp_path / "site-packages" / "stockade" / "_demo"
    folder.mkdir(parents=True)
    (folder / "main.py").touch()
    monkeypatch.setattr("stockade.__file__", str(folder.parent / "__init__.py"))
    assert find_demo() == folder


def test_demo_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: CommandLine
) -> None:
    """An installation without the example says so in one line."""
    monkeypatch.setattr("stockade.__file__", str(tmp_path / "a" / "stockade" / "__init__.py"))
    ran = run("demo")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("stockade: the demo is not part of this installation")
    assert ran.err.count("\n") == 1


def test_demo_without_websockets(monkeypatch: pytest.MonkeyPatch, run: CommandLine) -> None:
    """A missing library is told in one line, with what to install."""
    monkeypatch.setattr("stockade.cli.demo._WEBSOCKETS", ("nosuch_library",))
    ran = run("demo", "--port", "0")
    assert (ran.status, ran.out) == (2, "")
    assert "pip install 'stockade[demo]'" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("from_environment", [False, True])
def test_bad_port(
    monkeypatch: pytest.MonkeyPatch, run: CommandLine, *, from_environment: bool
) -> None:
    """A port that is none is one line, wherever it came from."""
    if from_environment:
        monkeypatch.setenv("STOCKADE_DEMO_PORT", "x")
    ran = run("demo") if from_environment else run("demo", "--port", "x")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "stockade: a port is a number from 0 to 65535: --port or STOCKADE_DEMO_PORT\n"
    )
