import pytest

import stockade
from tests.unit.cli.helpers import CommandLine


def test_version(run: CommandLine) -> None:
    """`--version` prints the version and nothing else."""
    ran = run("--version")
    assert (ran.status, ran.out, ran.err) == (0, f"stockade {stockade.__version__}\n", "")


def test_help_names_every_command(run: CommandLine) -> None:
    """`--help` lists the commands."""
    ran = run("--help")
    assert ran.status == 0
    assert all(name in ran.out for name in ("check", "db", "demo", "--version"))


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("demo", "--nonsense"), ("check",), ("db", "nonsense")],
    ids=" ".join,
)
def test_wrong_usage(run: CommandLine, arguments: tuple[str, ...]) -> None:
    """What is no command line is told on standard error, with status 2 and no traceback."""
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert "Traceback" not in ran.err


def test_each_problem_is_one_line(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the settings is one line on standard error, with status 2."""
    monkeypatch.setenv("STOCKADE_ENVIROMENT", "local")
    ran = run("db", "upgrade")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("stockade: the environment variable STOCKADE_ENVIROMENT")
    assert ran.err.count("\n") == 1
