"""Expect bans to be shown and lifted on the command line."""

import asyncio

import pytest

from stockade.rate_limiting.bans import BanStore, BanTerms
from stockade.storage import limit_store
from tests.unit.cli.helpers import CommandLine


async def ban(url: str, subject: str) -> None:
    """Ban somebody."""
    store = limit_store(url, timeout=5.0)
    assert isinstance(store, BanStore)
    await store.add_ban(subject, BanTerms(first=60, longest=600))
    await store.close()


@pytest.mark.redis
def test_bans_are_listed_and_lifted(
    run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ban is shown until it is lifted, and then no more."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    assert run("bans", "list").out == "Nobody is banned.\n"
    asyncio.run(ban(redis_url, "ip:192.0.2.7"))
    shown = run("bans", "list")
    assert (shown.status, shown.err) == (0, "")
    subject, seconds, times = shown.out.split()
    assert (subject, times) == ("ip:192.0.2.7", "1")
    assert 0 < int(seconds) <= 60
    assert run("bans", "lift", "ip:192.0.2.7").out == "The ban is lifted.\n"
    assert run("bans", "list").out == "Nobody is banned.\n"


@pytest.mark.redis
def test_nobody_to_lift(run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not banned is an error, and is not repeated."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    ran = run("bans", "lift", "user:hunter2")
    assert (ran.status, ran.out) == (2, "")
    assert "hunter2" not in ran.err


@pytest.mark.parametrize("command", [("list",), ("lift", "ip:192.0.2.7")])
def test_bans_in_memory(run: CommandLine, command: tuple[str, ...]) -> None:
    """Bans that another process has in memory can't be seen."""
    ran = run("bans", *command)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("stockade: limits are counted in memory")


def test_a_store_that_is_away(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is one line, without its password."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    ran = run("bans", "list")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "hunter2" not in ran.err
