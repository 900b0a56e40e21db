"""Expect the fullest buckets to be shown on the command line."""

import asyncio

import pytest

from stockade.core.limits import LimitRule
from stockade.rate_limiting import LimitRequest
from stockade.storage import limit_store
from tests.unit.cli.helpers import CommandLine


async def take(url: str) -> None:
    """Take half of one bucket and a tenth of another."""
    store = limit_store(url, timeout=5.0)
    for name, cost in (("7", 5), ("8", 1)):
        rule = LimitRule(amount=10, window=3600, cost=cost)
        await store.acquire([LimitRequest(f"{{user:{name}}}scope:all:10/3600", rule)])
    await store.close()


@pytest.mark.redis
def test_buckets_are_shown(
    run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line says how much is used up, for how long, and whose it is."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    assert run("limits").out == "All buckets are full.\n"
    asyncio.run(take(redis_url))
    lines = [line.split(None, 2) for line in run("limits").out.splitlines()]
    assert [(used, key) for used, _, key in lines] == [
        ("50%", "{user:7}scope:all:10/3600"),
        ("10%", "{user:8}scope:all:10/3600"),
    ]
    assert len(run("limits", "--top", "1").out.splitlines()) == 1


def test_limits_in_memory(run: CommandLine) -> None:
    """Buckets that another process has in memory can't be seen."""
    ran = run("limits")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("stockade: limits are counted in memory")
