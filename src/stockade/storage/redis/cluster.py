"""Keep buckets in a Redis Cluster.

The part of a key in braces decides which node has it, and a script sees the buckets of one such
part alone. All limits of one caller are therefore one call. Limits by address and by caller in one
request are two: the second is asked where the first has agreed, and what the first gave goes back
where the second refuses. No bucket ever gives more than it holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from stockade.core.limits import Strategy
from stockade.errors import ConfigurationError
from stockade.rate_limiting.gcra import MICROSECONDS, charge_of
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund, UnitRefund
from stockade.storage.redis.addresses import open_client
from stockade.storage.redis.limits import (
    Call,
    RedisLimitStore,
    escape,
    make_call,
    read_reply,
    store_errors,
)

try:
    from redis.asyncio.cluster import RedisCluster
    from redis.crc import key_slot
    from redis.exceptions import ConnectionError as LostError
    from redis.exceptions import NoScriptError
    from redis.exceptions import TimeoutError as LateError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error


class RedisClusterLimitStore(RedisLimitStore):
    """Buckets in a cluster of Redis 5 or Valkey, shared by all processes.

    Args:
        client: Client of redis-py, with timeouts; it is closed with the store.
        prefix: What every key starts with; it has no braces.
        trips: Round trips under way at most.
    """

    def __init__(
        self, client: RedisCluster, *, prefix: str = "stockade:limits:", trips: int = 4
    ) -> None:
        super().__init__(client, prefix=prefix, trips=trips)
        self._cluster = client

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.05, trips: int = 4) -> Self:
        """Build a store from the address of a cluster.

        Args:
            url: ``redis+cluster://user:password@host:port,host:port``; some of the hosts are
                enough.
            timeout: Seconds for connecting and for an answer.
            trips: Round trips under way at most.

        Raises:
            ConfigurationError: The address is malformed, or is not one of a cluster.
        """
        client = open_client(url, timeout=timeout, trips=trips).client
        if not isinstance(client, RedisCluster):
            raise ConfigurationError("the address of a cluster starts with redis+cluster://")
        return cls(client, trips=trips)

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        Raises:
            StoreError: A node could not answer.
        """
        groups = _by_slot(requests)
        if len(groups) == 1:
            return await super().acquire(requests)
        states: dict[int, LimitState] = {}
        taken: list[int] = []
        started = time.monotonic()
        refused = False
        for group in groups:
            asked = [requests[number] for number in group]
            if refused:
                # Only to tell how they stand.
                asked = [replace(item, rule=replace(item.rule, cost=0)) for item in asked]
            answers = await super().acquire(asked)
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
                states[number] = replace(state, remaining=left)
                continue
            charge = charge_of(request.rule).amount
            amount = min(charge, round(state.reset_after * MICROSECONDS) - elapsed)
            if amount > 0:
                refunds.append(Refund(request.key, amount))
            states[number] = replace(
                state,
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

    async def _disconnect(self) -> None:
        await self._cluster.aclose()

    async def _run(self, batch: Sequence[Sequence[LimitRequest]]) -> list[list[LimitState]]:
        """Ask each slot once, all of them at the same time."""
        slots: dict[int, list[int]] = {}
        for number, requests in enumerate(batch):
            slots.setdefault(_slot_of(requests[0].key), []).append(number)
        parts = [[batch[number] for number in numbers] for numbers in slots.values()]
        calls = [make_call(part, prefix=self._prefix) for part in parts]
        states: list[list[LimitState]] = [[] for _ in batch]
        async with store_errors():
            # One trip reads the map of the slots, and the others wait for it.
            await self._cluster.initialize()
            replies = await self._ask(calls)
        for numbers, part, reply in zip(slots.values(), parts, replies, strict=True):
            for number, found in zip(numbers, read_reply(reply, part), strict=True):
                states[number] = found
        return states

    async def _ask(self, calls: Sequence[Call]) -> list[bytes | str]:
        if len(calls) == 1:
            return [await self._ask_one(calls[0])]
        pipeline = self._cluster.pipeline()
        for call in calls:
            # redis-py's own method for it refuses, although each call has the keys of one slot.
            pipeline.execute_command(
                "EVALSHA", call.name, len(call.keys), *call.keys, *call.arguments
            )
        found = await pipeline.execute(raise_on_error=False)
        failed = [
            each
            for each in found
            if isinstance(each, Exception) and not isinstance(each, NoScriptError)
        ]
        if any(isinstance(each, LostError | LateError) for each in failed):
            # A node is away, or another has taken its place: the map of the slots is read anew.
            await self._cluster.aclose()
        if failed:
            raise failed[0]
        return [
            await self._bring_along(call) if isinstance(reply, NoScriptError) else reply
            for call, reply in zip(calls, found, strict=True)
        ]

    async def _ask_one(self, call: Call) -> bytes | str:
        reply: bytes | str
        try:
            reply = await self._cluster.evalsha(
                call.name, len(call.keys), *call.keys, *call.arguments
            )
        except NoScriptError:
            return await self._bring_along(call)
        return reply

    async def _bring_along(self, call: Call) -> bytes | str:
        reply: bytes | str = await self._cluster.eval(
            call.script, len(call.keys), *call.keys, *call.arguments
        )
        return reply


def _slot_of(key: str) -> int:
    """Return the slot of a key; the prefix of the store has no braces and changes nothing."""
    return key_slot(key.encode("utf-8", "surrogatepass"))


def _by_slot(requests: Sequence[LimitRequest]) -> list[list[int]]:
    """Group the numbers of requests by slot."""
    groups: dict[int, list[int]] = {}
    for number, request in enumerate(requests):
        groups.setdefault(_slot_of(request.key), []).append(number)
    return list(groups.values())
