"""Expect processes that share a store to give exactly what a limit says, again and again."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stockade.core.limits import Strategy
from stockade.storage.sql import make_engine, upgrade_schema

PROCESSES, CLIENTS, ASKS, ROUNDS = 4, 16, 4, 5
PROGRAM = Path(__file__).with_name("limit_client.py")


@pytest.fixture(
    params=[
        pytest.param("redis_url", marks=pytest.mark.redis),
        pytest.param("redis_cluster", marks=pytest.mark.redis),
        pytest.param("postgres_url", marks=pytest.mark.postgres),
    ]
)
def url(request: pytest.FixtureRequest) -> str:
    """Address of a store of each kind."""
    found: str = request.getfixturevalue(request.param)
    if request.param == "postgres_url":
        asyncio.run(make_tables(found))
    return found


async def make_tables(url: str) -> None:
    """Make Stockade's tables in an empty database."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()


@pytest.fixture
def processes(url: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Four processes with 16 clients each, 64 together."""
    command = [sys.executable, str(PROGRAM), url, str(CLIENTS), str(ASKS)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    yield started
    for process in started:
        process.communicate(timeout=60)


def say(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to a process."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    """Read a line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def run_round(processes: list[subprocess.Popen[str]], line: str) -> int:
    """Let all clients ask at once, and return how many requests have passed."""
    for process in processes:
        say(process, line)
    return sum(int(hear(process)) for process in processes)


def test_exactly_the_amount_passes(processes: list[subprocess.Popen[str]]) -> None:
    """Of 256 requests of 64 clients in four processes exactly the 100 of the limit pass."""
    assert [hear(process) for process in processes] == ["ready"] * PROCESSES
    for strategy in Strategy:
        for number in range(ROUNDS):
            assert run_round(processes, f"{strategy} {strategy}{number}") == 100


def test_no_more_fail_than_the_limit_says(processes: list[subprocess.Popen[str]]) -> None:
    """Of 64 clients half of whose answers don't count, 100 fail at most, and once all are done 100.

    What is under way counts, so that a round may end before all of them have failed: the rest is
    there for whoever comes then.
    """
    assert [hear(process) for process in processes] == ["ready"] * PROCESSES
    for strategy in Strategy:
        if strategy is Strategy.GCRA:
            continue  # What goes back there is a matter of time: see the model test.
        failed = 0
        for _ in range(ROUNDS):
            failed += run_round(processes, f"{strategy} failures-{strategy} failures")
            assert failed <= 100
        assert failed + run_round(processes, f"{strategy} failures-{strategy}") == 100
