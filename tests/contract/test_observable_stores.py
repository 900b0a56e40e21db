"""Expect every store that processes share to say how full its buckets are."""

import pytest

from stockade.core.limits import LimitRule
from stockade.rate_limiting import LimitRequest
from stockade.rate_limiting.observation import Bucket, ObservableStore
from stockade.storage import limit_store
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.sql import make_engine, upgrade_schema


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("redis_url", marks=pytest.mark.redis),
        pytest.param("redis_cluster", marks=pytest.mark.redis),
        pytest.param("postgres_url", marks=pytest.mark.postgres),
    ],
)
async def test_the_fullest_come_first(request: pytest.FixtureRequest, kind: str) -> None:
    """Buckets are listed by how much is used up, no more than asked for, and places are none."""
    url: str = request.getfixturevalue(kind)
    if kind == "postgres_url":
        engine = make_engine(url)
        await upgrade_schema(engine)
        await engine.dispose()
    store = limit_store(url, timeout=5.0)
    assert isinstance(store, ObservableStore)
    await store.reset("")
    rule = LimitRule(amount=10, window=3600)
    short = LimitRule(amount=10, window=600)
    for times, name, each in ((9, "busy", short), (2, "calm", rule), (5, "half", rule)):
        key = f"{{user:{name}}}route:GET /x:10/{each.window}"
        for _ in range(times):
            await store.acquire([LimitRequest(key, each)])
    await store.hold("{user:busy}route:GET /x:10/60", "t", limit=1, seconds=60)  # type: ignore[attr-defined]  # these stores have places
    found = await store.list_buckets(most=100)
    assert [bucket.key for bucket in found] == [
        "{user:busy}route:GET /x:10/600",
        "{user:half}route:GET /x:10/3600",
        "{user:calm}route:GET /x:10/3600",
    ]
    assert [bucket.used for bucket in found] == pytest.approx([0.9, 0.5, 0.2], abs=0.02)
    assert [bucket.key for bucket in await store.list_buckets(most=1)] == [found[0].key]
    await store.reset("")
    assert await store.list_buckets(most=100) == []
    await store.close()


def test_memory_can_not_be_seen() -> None:
    """Buckets in memory belong to their process."""
    assert not isinstance(MemoryLimitStore(), ObservableStore)


@pytest.mark.parametrize(
    ("key", "used"),
    [("{a}x:10/60", 0.5), ("{a}x:10/20", 1.0), ("{a}x", 0.0), ("{a}x:1/0", 0.0), ("{a}x:1/x", 0.0)],
)
def test_used(key: str, used: float) -> None:
    """The window in a bucket's name says how much thirty seconds are."""
    assert Bucket(key, 30.0).used == used
