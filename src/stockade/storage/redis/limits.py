"""Keep buckets in Redis or Valkey: one script decides, one round trip asks for all that waits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

from stockade.core.limits import Strategy
from stockade.errors import ConfigurationError, StoreError
from stockade.rate_limiting.bans import Ban, BanTerms
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund
from stockade.rate_limiting.observation import Bucket, fullest
from stockade.storage.batching import Batcher, read_states
from stockade.storage.redis.addresses import open_client
from stockade.storage.redis.bans import ADD_BAN, ENDS, LIFT_BAN, LIST_BANS, TIMES
from stockade.storage.redis.leases import GIVE_BACK, HOLD, RENEW
from stockade.storage.redis.refusals import RedisRefusalStore
from stockade.storage.redis.scripts import TAKE, TAKE_SHA, pack
from stockade.storage.redis.windows import (
    TAKE_WINDOWS,
    TAKE_WINDOWS_SHA,
    names_windows,
    pack_windows,
)

try:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster
    from redis.exceptions import NoScriptError, RedisClusterException, RedisError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

# What redis-py raises for an answer that is no RESP, or not the answer to what was asked.
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError)
# Keys that are read at a time where all of them are looked at.
_PAGE = 1000
# Connections for what is not counted: places and what goes back.
_OTHER_TRIPS = 4
_GLOB = re.compile(r"([*?\[\]\\^-])")


class Call(NamedTuple):
    """One call of a script."""

    script: str
    name: str
    keys: list[str]
    arguments: list[int]


class RedisLimitStore:
    """Buckets in Redis 5 or Valkey, on one server, shared by all processes.

    Args:
        client: Client of redis-py, with timeouts; it is closed with the store.
        prefix: What every key starts with.
        trips: Round trips under way at most; the client needs some connections more.
        others: Clients that are closed with it, such as those of Sentinels.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "stockade:limits:",
        trips: int = 4,
        others: Sequence[Redis] = (),
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._others = tuple(others)
        self._batcher = Batcher(self._run, away=_away, trips=trips)
        # They wait in line, or many at once would ask for more connections than there are.
        self._turn = asyncio.Semaphore(_OTHER_TRIPS)
        self._refusals = RedisRefusalStore(self._evaluate)

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.05, trips: int = 4) -> Self:
        """Build a store from the address of a server or of Sentinels.

        Args:
            url: Address as `stockade.storage.redis.addresses.open_client` takes it; may hold a
                password.
            timeout: Seconds for connecting and for an answer.
            trips: Round trips under way at most.

        Raises:
            ConfigurationError: The address is malformed.
        """
        opened = open_client(url, timeout=timeout, trips=trips)
        return cls(opened.client, trips=trips, others=opened.others)

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        Raises:
            StoreError: The server could not answer.
        """
        return await self._batcher.acquire(requests)

    @property
    def strategies(self) -> frozenset[Strategy]:
        """Strategies by which it can count: all."""
        return frozenset(Strategy)

    async def give_back(self, refunds: Sequence[Refund]) -> None:
        """Take debts back that should not have been.

        Raises:
            StoreError: The server could not answer.
        """
        async with self._turn, store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for refund in refunds:
                pipeline.eval(GIVE_BACK, 1, f"{self._prefix}{refund.key}", str(refund.amount))
            await pipeline.execute()

    @property
    def leases_end(self) -> bool:
        """Whether a place that nobody renews becomes free: yes, since a process may die."""
        return True

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, unless all of them are held; False means that none was free.

        Raises:
            StoreError: The server could not answer.
        """
        name, lifetime = f"{self._prefix}{key}", str(int(seconds * 1000))
        async with self._turn, store_errors():
            return bool(await self._client.eval(HOLD, 1, name, token, str(limit), lifetime))

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Hold on to places, given as key and token; those that were lost stay so.

        Raises:
            StoreError: The server could not answer.
        """
        lifetime = str(int(seconds * 1000))
        async with self._turn, store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for key, token in leases:
                pipeline.eval(RENEW, 1, f"{self._prefix}{key}", token, lifetime)
            await pipeline.execute()

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held.

        Raises:
            StoreError: The server could not answer.
        """
        async with self._turn, store_errors():
            await self._client.zrem(f"{self._prefix}{key}", token)

    @property
    def refusals(self) -> RedisRefusalStore:
        """Where it is kept who was refused: beside the buckets."""
        return self._refusals

    async def add_ban(self, subject: str, terms: BanTerms) -> Ban:
        """Ban somebody, longer than the last time; one who is banned stays so for as long as he is.

        Raises:
            StoreError: The server could not answer.
        """
        first, longest = (str(int(each * 1000)) for each in (terms.first, terms.longest))
        async with store_errors():
            reply = await self._client.eval(ADD_BAN, 2, ENDS, TIMES, subject, first, longest)
            left, times = (int(part) for part in reply.split())
        return Ban(subject, left / 1000, times)

    async def list_bans(self) -> list[Ban]:
        """Return the bans that have not ended.

        Raises:
            StoreError: The server could not answer.
        """
        async with store_errors():
            found = await self._client.eval(LIST_BANS, 2, ENDS, TIMES)
            lines = [each.decode() if isinstance(each, bytes) else each for each in found]
            parts = [line.split(" ", 2) for line in lines]
            return [Ban(subject, int(left) / 1000, int(times)) for left, times, subject in parts]

    async def lift_ban(self, subject: str) -> bool:
        """End a ban and forget the earlier ones; False where there was none.

        Raises:
            StoreError: The server could not answer.
        """
        async with store_errors():
            return bool(await self._client.eval(LIFT_BAN, 2, ENDS, TIMES, subject))

    async def list_buckets(self, *, most: int) -> list[Bucket]:
        """Return the buckets that are used up most, those first.

        Raises:
            StoreError: The server could not answer.
        """
        pattern = escape(self._prefix) + "*"
        found: list[Bucket] = []
        page: list[str] = []
        async with store_errors():
            async for key in self._client.scan_iter(match=pattern, count=_PAGE, _type="STRING"):
                page.append(key.decode() if isinstance(key, bytes) else key)
                if len(page) == _PAGE:
                    found = fullest([*found, *await self._read_buckets(page)], most)
                    page = []
            return fullest([*found, *await self._read_buckets(page)], most)

    async def _evaluate(self, script: str, keys: int, *arguments: str) -> object:
        async with self._turn, store_errors():
            return await self._client.eval(script, keys, *arguments)

    async def _read_buckets(self, keys: Sequence[str]) -> list[Bucket]:
        if not keys:
            return []
        async with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.pttl(key)
            left = await pipeline.execute()
        # A bucket lives until it is full; one that has gone meanwhile has a number below zero.
        return [
            Bucket(key.removeprefix(self._prefix), milliseconds / 1000)
            for key, milliseconds in zip(keys, left, strict=True)
            if milliseconds > 0
        ]

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: The server could not answer.
        """
        pattern = escape(f"{self._prefix}{prefix}") + "*"
        async with store_errors():
            async for key in self._client.scan_iter(match=pattern, count=1000):
                await self._client.unlink(key)

    async def ping(self) -> None:
        """Return if the server answers.

        Raises:
            StoreError: It does not.
        """
        async with store_errors():
            await self._client.ping()

    async def close(self) -> None:
        """Give up what is under way and close all connections; a later request opens new ones."""
        await self._batcher.close()
        await self._disconnect()
        for client in self._others:
            await client.aclose()
        self._batcher.reopen()

    async def _disconnect(self) -> None:
        await self._client.aclose()
        if isinstance(self._client, Redis):
            await self._client.connection_pool.disconnect()

    async def _run(self, batch: Sequence[Sequence[LimitRequest]]) -> list[list[LimitState]]:
        call = make_call(batch, prefix=self._prefix)
        async with store_errors():
            try:
                reply = await self._client.evalsha(
                    call.name, len(call.keys), *call.keys, *call.arguments
                )
            except NoScriptError:
                # The server has been restarted; this call brings the script along.
                reply = await self._client.eval(
                    call.script, len(call.keys), *call.keys, *call.arguments
                )
        return read_states(reply, batch)


def make_call(batch: Sequence[Sequence[LimitRequest]], *, prefix: str) -> Call:
    """Write a batch as a call of the script that decides about it."""
    if names_windows(batch):
        return Call(TAKE_WINDOWS, TAKE_WINDOWS_SHA, *pack_windows(batch, prefix=prefix))
    return Call(TAKE, TAKE_SHA, *pack(batch, prefix=prefix))


def escape(text: str) -> str:
    """Write a text as a pattern that fits nothing else."""
    return _GLOB.sub(r"\\\1", text)


@asynccontextmanager
async def store_errors() -> AsyncIterator[None]:
    """Turn the driver's errors into `StoreError`.

    Raises:
        StoreError: The server could not answer.
    """
    try:
        yield
    except (RedisError, RedisClusterException, OSError, TimeoutError, *_NONSENSE) as error:
        raise _away(error) from error


def _away(cause: BaseException | None) -> StoreError:
    error = StoreError("the Redis store of the limits did not answer")
    error.__cause__ = cause
    return error
