"""Keep buckets in Redis or Valkey: one script decides, one round trip asks for all that waits."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from stockade.errors import ConfigurationError, StoreError
from stockade.core.limits import Strategy
from stockade.rate_limiting.models import LimitRequest, LimitState, Refund
from stockade.storage.batching import Batcher, read_states
from stockade.storage.redis.leases import GIVE_BACK, HOLD, RENEW
from stockade.storage.redis.scripts import TAKE, TAKE_SHA, pack
from stockade.storage.redis.windows import (
    TAKE_WINDOWS,
    TAKE_WINDOWS_SHA,
    names_windows,
    pack_windows,
)

try:
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError, RedisError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

_GLOB = re.compile(r"([*?\[\]\\^-])")


class RedisLimitStore:
    """Buckets in Redis 5 or Valkey, on one server, shared by all processes.

    Args:
        client: Client of redis-py, with timeouts; it is closed with the store.
        prefix: What every key starts with.
        trips: Round trips under way at most; the client needs some connections more.
    """

    def __init__(self, client: Redis, *, prefix: str = "stockade:limits:", trips: int = 4) -> None:
        self._client = client
        self._prefix = prefix
        self._batcher = Batcher(self._run, away=_away, trips=trips)

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.05, trips: int = 4) -> Self:
        """Build a store from ``redis://``, ``rediss://`` or ``unix://``.

        Args:
            url: Address of the server; may hold a password.
            timeout: Seconds for connecting and for an answer.
            trips: Round trips under way at most.

        Raises:
            ConfigurationError: The address is malformed.
        """
        try:
            pool: ConnectionPool = ConnectionPool.from_url(
                url,
                # Trips are bounded here; the rest is room for checks of health and resets.
                max_connections=trips + 8,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                # A script that has been sent may have run: to send it again would charge twice and
                # wait twice.
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError, RedisError):
            # The driver's message may quote the address, and with it the password.
            raise ConfigurationError("the address of the Redis server is malformed") from None
        return cls(Redis.from_pool(pool), trips=trips)

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
        async with _errors(), self._client.pipeline(transaction=False) as pipeline:
            for refund in refunds:
                pipeline.eval(GIVE_BACK, 1, f"{self._prefix}{refund.key}", str(refund.amount))
            await pipeline.execute()

    async def hold(self, key: str, token: str, *, limit: int, seconds: float) -> bool:
        """Hold a place, unless all of them are held; False means that none was free.

        Raises:
            StoreError: The server could not answer.
        """
        name, lifetime = f"{self._prefix}{key}", str(int(seconds * 1000))
        async with _errors():
            return bool(await self._client.eval(HOLD, 1, name, token, str(limit), lifetime))

    async def renew(self, leases: Sequence[tuple[str, str]], *, seconds: float) -> None:
        """Hold on to places, given as key and token; those that were lost stay so.

        Raises:
            StoreError: The server could not answer.
        """
        lifetime = str(int(seconds * 1000))
        async with _errors(), self._client.pipeline(transaction=False) as pipeline:
            for key, token in leases:
                pipeline.eval(RENEW, 1, f"{self._prefix}{key}", token, lifetime)
            await pipeline.execute()

    async def release(self, key: str, token: str) -> None:
        """Give a place back, if it is held.

        Raises:
            StoreError: The server could not answer.
        """
        async with _errors():
            await self._client.zrem(f"{self._prefix}{key}", token)

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: The server could not answer.
        """
        pattern = _GLOB.sub(r"\\\1", f"{self._prefix}{prefix}") + "*"
        async with _errors():
            async for key in self._client.scan_iter(match=pattern, count=1000):
                await self._client.unlink(key)

    async def ping(self) -> None:
        """Return if the server answers.

        Raises:
            StoreError: It does not.
        """
        async with _errors():
            await self._client.ping()

    async def close(self) -> None:
        """Give up what is under way and close all connections; a later request opens new ones."""
        await self._batcher.close()
        await self._client.aclose()
        await self._client.connection_pool.disconnect()
        self._batcher.reopen()

    async def _run(self, batch: Sequence[Sequence[LimitRequest]]) -> list[list[LimitState]]:
        script, name = TAKE, TAKE_SHA
        if names_windows(batch):
            script, name = TAKE_WINDOWS, TAKE_WINDOWS_SHA
            keys, arguments = pack_windows(batch, prefix=self._prefix)
        else:
            keys, arguments = pack(batch, prefix=self._prefix)
        async with _errors():
            try:
                reply = await self._client.evalsha(name, len(keys), *keys, *arguments)
            except NoScriptError:
                # The server has been restarted; this call brings the script along.
                reply = await self._client.eval(script, len(keys), *keys, *arguments)
        return read_states(reply, batch)


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise _away(error) from error


def _away(cause: BaseException | None) -> StoreError:
    error = StoreError("the Redis store of the limits did not answer")
    error.__cause__ = cause
    return error
