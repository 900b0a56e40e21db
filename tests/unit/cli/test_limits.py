"""Expect the fullest buckets to be shown on the command line."""

import asyncio
import json

import pytest
import redis

from stockade.core.limits import LimitRule
from stockade.rate_limiting import LimitRequest
from stockade.rate_limiting.refusals import Outcome, RefusalKeeper
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


async def refuse(url: str, outcome: Outcome, times: dict[str, int]) -> None:
    """Note refusals, as another process does."""
    store = limit_store(url, timeout=5.0)
    assert isinstance(store, RefusalKeeper)
    await store.refusals.add_refusals(outcome, times, sum(times.values()))
    await store.close()


@pytest.mark.redis
def test_refused_keys_are_shown(
    run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the buckets stands who was refused most, and apart who would have been."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    asyncio.run(refuse(redis_url, Outcome.REFUSED, {"{user:7}x": 3, "{ip:192.0.2.7}x": 900}))
    asyncio.run(refuse(redis_url, Outcome.WOULD_REFUSE, {"{user:8}x": 2}))
    assert run("limits").out.splitlines() == [
        "All buckets are full.",
        "",
        "Requests refused in the last hour: 903",
        "900     {ip:192.0.2.7}x",
        "3       {user:7}x",
        "",
        "Requests refused in the last day: 903",
        "900     {ip:192.0.2.7}x",
        "3       {user:7}x",
        "",
        "Requests that would have been refused in the last hour: 2",
        "2       {user:8}x",
        "",
        "Requests that would have been refused in the last day: 2",
        "2       {user:8}x",
    ]
    shown = json.loads(run("limits", "--top", "1", "--format", "json").out)
    assert shown == {
        "buckets": [],
        "refused_last_hour": {"requests": 903, "keys": [{"key": "{ip:192.0.2.7}x", "times": 900}]},
        "refused_last_day": {"requests": 903, "keys": [{"key": "{ip:192.0.2.7}x", "times": 900}]},
        "would_refuse_last_hour": {"requests": 2, "keys": [{"key": "{user:8}x", "times": 2}]},
        "would_refuse_last_day": {"requests": 2, "keys": [{"key": "{user:8}x", "times": 2}]},
    }


@pytest.mark.redis
def test_nothing_commands_the_terminal(
    run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody put into the store moves no cursor, colours nothing and makes no line."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    key = "{key:\x1b[2J\x1b]0;owned\x07\u202e\u2028\r\nAll buckets are full.\x9b31m}[red]:bomb:"
    asyncio.run(refuse(redis_url, Outcome.REFUSED, {key: 1}))
    ran = run("limits")
    escaped = (
        "{key:\\x1b[2J\\x1b]0;owned\\x07\\u202e\\u2028\\r\\nAll buckets are full."
        "\\x9b31m}[red]:bomb:"
    )
    assert [line for line in ran.out.splitlines() if "owned" in line] == [f"1       {escaped}"] * 2
    assert all(each.isprintable() or each == "\n" for each in ran.out)
    assert "\x1b" not in run("limits", "--format", "json").out


@pytest.mark.redis
def test_what_is_no_text_is_shown(
    run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is no UTF-8, or none of ours, ends no command."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    asyncio.run(refuse(redis_url, Outcome.REFUSED, {"{a}": 1}))
    with redis.Redis.from_url(redis_url) as client:
        for name in client.scan_iter(match="stockade:{refusals}weights:*"):
            client.zadd(name, {b"\xff\xfe": 9})
    ran = run("limits")
    assert (ran.status, ran.err) == (0, "")
    assert "0       \\xff\\xfe" in ran.out


@pytest.mark.redis
def test_a_flush_forgets(run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that lost everything shows nothing, and goes on from there."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    asyncio.run(refuse(redis_url, Outcome.REFUSED, {"{a}": 5}))
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert run("limits").out == "All buckets are full.\n"
    asyncio.run(refuse(redis_url, Outcome.REFUSED, {"{a}": 1}))
    assert "Requests refused in the last hour: 1" in run("limits").out


@pytest.mark.redis
def test_another_kind_of_key_is_one_line(
    run: CommandLine, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where something else has our names, the command can't run and says so."""
    monkeypatch.setenv("STOCKADE_REDIS_URL", redis_url)
    asyncio.run(refuse(redis_url, Outcome.REFUSED, {"{a}": 5}))
    with redis.Redis.from_url(redis_url) as client:
        for name in list(client.scan_iter(match="stockade:{refusals}*")):
            client.delete(name)
            client.set(name, "x")
    ran = run("limits")
    assert (ran.status, len(ran.err.splitlines())) == (2, 1)


def test_limits_in_memory(run: CommandLine) -> None:
    """Buckets that another process has in memory can't be seen."""
    ran = run("limits")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("stockade: limits are counted in memory")
