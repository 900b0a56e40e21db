"""Keep buckets in a Redis Cluster.

The part of a key in braces decides which node has it, and a script sees the buckets of one such
part alone. All limits of one caller are therefore one call. Limits by address and by caller in one
request are two: the second is asked where the first has agreed, and what the first gave goes back
where the second refuses. No bucket ever gives more than it holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Self

from stockade.core.limits import Strategy
from stockade.errors import ConfigurationError, StoreError
from stockade.rate_limiting.gcra import MICROSECONDS, charge_of
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund, UnitRefund
from stockade.storage.batching import Outcome
from stockade.storage.redis.addresses import Opened, make_connection
from stockade.storage.redis.errors import store_errors
from stockade.storage.redis.limits import (
    Call,
    Here,
    RedisLimitStore,
    escape,
    make_calls,
    read_replies,
)
from stockade.storage.redis.pipeline import Pipeline

try:
    from redis.asyncio.cluster import RedisCluster
    from redis.crc import key_slot
    from redis.exceptions import (
        AskError,
        MovedError,
        NoScriptError,
        ResponseError,
        TryAgainError,
    )
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

_NO_CLUSTER: Final = "the address of a cluster starts with redis+cluster://"


class RedisClusterLimitStore(RedisLimitStore):
    """Buckets in a cluster of Redis 5 or Valkey, shared by all processes.

    Args:
        opener: Makes a client of redis-py, with timeouts; it is closed with the store.
        prefix: What every key starts with; it has no braces.
        trips: Round trips under way to each node at most.
        timeout: Seconds within which requests are answered.
    """

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.05, trips: int = 4) -> Self:
        """Build a store from the address of a cluster.

        Args:
            url: ``redis+cluster://user:password@host:port,host:port``; some of the hosts are
                enough.
            timeout: Seconds for connecting and for an answer.
            trips: Round trips under way to each node at most.

        Raises:
            ConfigurationError: The address is malformed, or is not one of a cluster.
        """
        return super().from_url(url, timeout=timeout, trips=trips)

    @classmethod
    def _require_kind(cls, opened: Opened) -> None:
        if not isinstance(opened.client, RedisCluster):
            raise ConfigurationError(_NO_CLUSTER)

    @property
    def _cluster(self) -> RedisCluster:
        client = self._client
        if not isinstance(client, RedisCluster):
            raise ConfigurationError(_NO_CLUSTER)
        return client

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        Raises:
            StoreError: A node could not answer.
        """
        groups = _by_slot(requests)
        if len(groups) == 1:
            return await self._ask(requests)
        states: dict[int, LimitState] = {}
        taken: list[int] = []
        started = time.monotonic()
        refused = False
        for group in groups:
            asked = [requests[number] for number in group]
            if refused:
                # Only to tell how they stand.
                asked = [item._replace(rule=replace(item.rule, cost=0)) for item in asked]
            answers = await self._ask(asked)
            states.update(zip(group, answers, strict=True))
            if refused:
                continue
            if all(state.allowed for state in answers):
                taken += group
            else:
                refused = True
        if refused:
            elapsed = int((time.monotonic() - started) * MICROSECONDS)
            await self._take_back(requests, taken, states, elapsed)
        return [states[number] for number in range(len(requests))]

    async def _take_back(
        self,
        requests: Sequence[LimitRequest],
        taken: Sequence[int],
        states: dict[int, LimitState],
        elapsed: int,
    ) -> None:
        """Give back what was taken before another bucket refused.

        What time may have given back meanwhile does not go back twice, so a bucket can lack a few
        milliseconds afterwards, and never has too much. Windows are exact.
        """
        refunds: list[Refund | UnitRefund] = []
        for number in taken:
            request, state = requests[number], states[number]
            if request.rule.strategy is not Strategy.GCRA:
                if state.at is not None and request.rule.cost:
                    refunds.append(UnitRefund(request.key, request.rule, state.at))
                left = min(request.rule.amount, state.remaining + request.rule.cost)
                states[number] = state._replace(remaining=left)
                continue
            charge = charge_of(request.rule).amount
            amount = min(charge, round(state.reset_after * MICROSECONDS) - elapsed)
            if amount > 0:
                refunds.append(Refund(request.key, amount))
            states[number] = state._replace(
                remaining=min(request.rule.amount, state.remaining + request.rule.cost),
                reset_after=max(0.0, state.reset_after - charge / MICROSECONDS),
            )
        if refunds:
            await self.give_back(refunds)

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: A node could not answer.
        """
        pattern = escape(f"{self._prefix}{prefix}") + "*"
        async with store_errors():
            async for key in self._cluster.scan_iter(
                match=pattern, count=1000, target_nodes=RedisCluster.PRIMARIES
            ):
                await self._cluster.unlink(key)

    async def ping(self) -> None:
        """Return if every primary answers.

        Raises:
            StoreError: One does not.
        """
        async with store_errors():
            await self._cluster.ping(target_nodes=RedisCluster.PRIMARIES)

    async def _ask(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Ask the node that has the slot of all of these."""
        here = self._loops.get()
        async with store_errors():
            if not here.mapped:
                async with asyncio.timeout(self._timeout):
                    await self._read_map(here)
            node = self._cluster.get_node_from_key(f"{self._prefix}{requests[0].key}")
        if node is None:
            raise StoreError("no node of the cluster has this slot")
        lane = here.lanes.get(node.name)
        if lane is None:
            lane = here.lanes[node.name] = self._make_lane(partial(make_connection, node))
        return await lane.batcher.acquire(requests)

    async def _read_map(self, here: Here) -> None:
        async with here.mapping:
            if not here.mapped:
                await self._cluster.aclose()
                await self._cluster.initialize()
                here.mapped = True

    async def _run(
        self, pipeline: Pipeline, batch: Sequence[Sequence[LimitRequest]]
    ) -> list[Outcome]:
        """Ask a node for each slot once, all of them in one trip."""
        here = self._loops.get()
        slots: dict[int, list[int]] = {}
        for number, requests in enumerate(batch):
            slots.setdefault(_slot_of(requests[0].key), []).append(number)
        calls = [
            call
            for members in slots.values()
            for call in make_calls(batch, members, prefix=self._prefix)
        ]
        async with store_errors():
            try:
                replies = await pipeline.ask(b"".join(call.encode() for call in calls), len(calls))
            except BaseException:
                # A node is away, or another has taken its place.
                here.mapped = False
                raise
            for number, call in enumerate(calls):
                if isinstance(replies[number], NoScriptError):
                    (replies[number],) = await pipeline.ask(call.encode(whole=True), 1)
                if isinstance(replies[number], MovedError | AskError | TryAgainError):
                    # Nothing has run. redis-py knows the way to where the slot is now.
                    replies[number] = await self._follow(call)
        return read_replies(batch, calls, replies)

    async def _follow(self, call: Call) -> object:
        try:
            return await self._cluster.eval(
                call.script,
                len(call.keys),
                *call.keys,
                *call.arguments,
            )
        except ResponseError as error:
            return error


def _slot_of(key: str) -> int:
    """Return the slot of a key; the prefix of the store has no braces and changes nothing."""
    return key_slot(key.encode("utf-8", "surrogatepass"))


def _by_slot(requests: Sequence[LimitRequest]) -> list[list[int]]:
    """Group the numbers of requests by slot."""
    groups: dict[int, list[int]] = {}
    for number, request in enumerate(requests):
        groups.setdefault(_slot_of(request.key), []).append(number)
    return list(groups.values())
