"""Expect a real cluster of three nodes to count exactly."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from stockade.core.limits import LimitRule, Strategy
from stockade.errors import StoreError
from stockade.rate_limiting import LimitRequest
from stockade.storage.redis import RedisClusterLimitStore

pytestmark = pytest.mark.redis

RULE = LimitRule(amount=5, window=3600)


@pytest.fixture(params=["2", "3"], ids=["RESP2", "RESP3"])
async def store(
    request: pytest.FixtureRequest, redis_cluster: str
) -> AsyncIterator[RedisClusterLimitStore]:
    """A store over an empty cluster."""
    url = f"{redis_cluster}?protocol={request.param}"
    opened = RedisClusterLimitStore.from_url(url, timeout=5.0)
    await opened.reset("")
    yield opened
    await opened.close()


def ask(key: str, rule: LimitRule = RULE) -> LimitRequest:
    """Ask for one unit."""
    return LimitRequest(key, rule)


async def passes(store: RedisClusterLimitStore, *requests: LimitRequest) -> bool:
    """Tell whether a request passes."""
    return all(state.allowed for state in await store.acquire(requests))


async def calls(store: RedisClusterLimitStore) -> int:
    """Return how many scripts all nodes have run."""
    found = await store._cluster.info("commandstats", target_nodes=RedisCluster.PRIMARIES)
    return sum(
        stats["calls"]
        for node in found.values()
        for name, stats in node.items()
        if name in {"cmdstat_evalsha", "cmdstat_eval"}
    )


async def test_limits_of_one_caller_are_one_call(store: RedisClusterLimitStore) -> None:
    """All buckets of a caller lie in one slot, so that one script decides about them."""
    requests = [ask("{ip:192.0.2.7}route:GET /x:5/3600"), ask("{ip:192.0.2.7}scope:all:5/3600")]
    await store.acquire(requests)
    before = await calls(store)
    await store.acquire(requests)
    assert await calls(store) - before == 1


async def test_callers_are_spread_over_the_nodes(store: RedisClusterLimitStore) -> None:
    """No node has all of the work."""
    await asyncio.gather(*(store.acquire([ask(f"{{{number}}}x")]) for number in range(60)))
    names = [f"stockade:limits:{{{number}}}x" for number in range(60)]
    assert sum([await store._cluster.exists(name) for name in names]) == 60
    busy = await store._cluster.info("keyspace", target_nodes=RedisCluster.PRIMARIES)
    assert all(node["db0"]["keys"] > 0 for node in busy.values())
    assert len({key_slot(name.encode()) for name in names}) > 50


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
async def test_all_or_nothing_over_several_slots(store: RedisClusterLimitStore, order: int) -> None:
    """A limit that refuses leaves those in other slots as they were, wherever it stands."""
    used_up = ask("{used}x", LimitRule(amount=1, window=3600))
    others = [ask("{one}x"), ask("{two}x")]
    await store.acquire([used_up])
    request = [used_up, *others][::order]
    for _ in range(20):
        states = (await store.acquire(request))[::order]
        assert [state.allowed for state in states] == [False, True, True]
        # The milliseconds of the request itself may be missing, which rounds down.
        assert [4 <= state.remaining <= 5 for state in states[1:]] == [True, True]
    for other in others:
        (state,) = await store.acquire([other])
        assert state.remaining in {3, 4}


async def test_what_passes_over_several_slots_takes_from_all(store: RedisClusterLimitStore) -> None:
    """A request that passes is counted in each of its buckets."""
    request = [ask("{one}x"), ask("{two}x"), ask("{two}y")]
    assert [await passes(store, *request) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize("other", list(Strategy))
@pytest.mark.parametrize("strategy", [each for each in Strategy if each is not Strategy.GCRA])
async def test_windows_over_several_slots(
    store: RedisClusterLimitStore, strategy: Strategy, other: Strategy
) -> None:
    """What a window gave before a bucket in another slot refused goes back, whichever is asked."""
    window = LimitRule(amount=5, window=3600, strategy=strategy)
    used_up = ask("{used}x", LimitRule(amount=1, window=3600, strategy=other))
    await store.acquire([used_up])
    for _ in range(10):
        states = await store.acquire([ask("{one}w", window), used_up])
        assert [(state.allowed, state.remaining) for state in states] == [(True, 5), (False, 0)]
    assert [await passes(store, ask("{one}w", window)) for _ in range(6)] == [True] * 5 + [False]


async def test_concurrent_requests_over_several_slots(store: RedisClusterLimitStore) -> None:
    """Of overlapping requests at the same moment no bucket gives more than it has."""
    shared = ask("{shared}x", LimitRule(amount=40, window=3600))
    owners = [ask(f"{{{number}}}x", LimitRule(amount=7, window=3600)) for number in range(10)]
    numbers = [number for number in range(10) for _ in range(20)]
    answers = await asyncio.gather(*(passes(store, owners[n], shared) for n in numbers))
    passed = [0] * 10
    for number, answer in zip(numbers, answers, strict=True):
        passed[number] += answer
    assert sum(passed) == 40
    assert max(passed) <= 7


async def test_scripts_are_brought_along_after_a_flush(store: RedisClusterLimitStore) -> None:
    """Nodes that have forgotten the script get it again, and count no request twice."""
    for _ in range(5):
        await store._cluster.script_flush()
        assert all(await asyncio.gather(*(passes(store, ask(f"{{{n}}}x")) for n in range(40))))
    assert not any(await asyncio.gather(*(passes(store, ask(f"{{{n}}}x")) for n in range(40))))


async def test_a_foreign_value_refuses(store: RedisClusterLimitStore) -> None:
    """A key that holds something else is an error of the store, not a free pass."""
    await store._cluster.lpush("stockade:limits:{b}x", "1")
    with pytest.raises(StoreError):
        await store.acquire([ask("{b}x")])


async def test_places_are_held(store: RedisClusterLimitStore) -> None:
    """What is in flight is known in a cluster too."""
    for key in ("{a}p", "{b}p"):
        assert await store.hold(key, "one", limit=1, seconds=60)
        assert not await store.hold(key, "two", limit=1, seconds=60)
    await store.renew([("{a}p", "one"), ("{b}p", "one")], seconds=60)
    await store.release("{a}p", "one")
    assert await store.hold("{a}p", "two", limit=1, seconds=60)


@pytest.mark.parametrize("state", ["moved", "moving"])
async def test_a_slot_that_moves(store: RedisClusterLimitStore, state: str) -> None:
    """A slot that goes to another node is followed, and nothing is counted twice."""
    request, others = [ask("{wanders}x")], [[ask(f"{{stays {n}}}x")] for n in range(30)]
    await store.acquire(others[0])
    cluster = store._cluster
    slot = key_slot(b"wanders")
    source = cluster.get_node_from_key("{wanders}x")
    assert source is not None
    target = next(node for node in cluster.get_primaries() if node.name != source.name)
    ids = {
        node.name: (await cluster.execute_command("CLUSTER MYID", target_nodes=node)).decode()
        for node in (source, target)
    }

    async def tell(node: ClusterNode, *words: str) -> None:
        await cluster.execute_command("CLUSTER SETSLOT", slot, *words, target_nodes=node)

    try:
        if state == "moved":
            for node in (target, source):
                await tell(node, "NODE", ids[target.name])
        else:
            await tell(target, "IMPORTING", ids[source.name])
            await tell(source, "MIGRATING", ids[target.name])
        asked = [request] * 7 + others
        answers = await asyncio.gather(*(passes(store, *each) for each in asked))
        assert answers == [True] * 5 + [False] * 2 + [True] * 30
        assert [await passes(store, *request) for _ in range(2)] == [False] * 2
    finally:
        await cluster.execute_command("DEL", "stockade:limits:{wanders}x", target_nodes=target)
        for node in (source, target):
            await tell(node, "NODE", ids[source.name])
