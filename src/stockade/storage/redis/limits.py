"""Keep buckets in Redis or Valkey: one script decides in one round trip."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self, cast

from stockade.errors import ConfigurationError, StoreError
from stockade.rate_limiting.gcra import MICROSECONDS, interval_of
from stockade.rate_limiting.models import LimitRequest, LimitState

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError, RedisError
except ImportError as error:
    raise ConfigurationError(
        "the Redis driver is not installed: pip install 'stockade[redis]'"
    ) from error

if TYPE_CHECKING:
    from redis.asyncio import Redis as _Redis

# The same arithmetic as `stockade.rate_limiting.gcra`, on the server's clock, so that machines
# whose clocks differ agree. Microseconds since 1970 stay below 2^53, so Lua's numbers hold them
# exactly. A debt is never more than a full bucket, or a server whose clock went back would refuse
# for longer than a window.
_SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local debts, standing, reply = {}, {}, {}
local passed = true
for i, key in ipairs(KEYS) do
  local interval, amount = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local cost = tonumber(ARGV[3 * i])
  local capacity = interval * amount
  local debt = debts[key]
  if not debt then
    debt = (tonumber(redis.call('GET', key) or '0') or 0) - now
    debt = math.max(0, math.min(debt, capacity))
  end
  standing[i] = debt
  local after = debt + interval * cost
  if after > capacity then
    passed = false
    debts[key] = debt
    reply[4 * i - 3] = 0
    reply[4 * i - 2] = math.floor((capacity - debt) / interval)
    reply[4 * i - 1] = after - capacity
    reply[4 * i] = debt
  else
    debts[key] = after
    reply[4 * i - 3] = 1
    reply[4 * i - 2] = math.floor((capacity - after) / interval)
    reply[4 * i - 1] = 0
    reply[4 * i] = after
  end
end
if passed then
  for key, debt in pairs(debts) do
    redis.call('SET', key, string.format('%.0f', now + debt), 'PX', math.ceil(debt / 1000) + 1)
  end
else
  for i = 1, #KEYS do
    if reply[4 * i - 3] == 1 then
      local interval, amount = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
      reply[4 * i - 2] = math.floor((interval * amount - standing[i]) / interval)
      reply[4 * i] = standing[i]
    end
  end
end
return reply
"""
_SHA: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_GLOB = re.compile(r"([*?\[\]\\^-])")


class RedisLimitStore:
    """Buckets in Redis 5 or Valkey, shared by all processes.

    Keys of one caller share a hash tag (the part in braces), so that they live on one node of a
    cluster.

    Args:
        client: Client of redis-py, with timeouts; it is closed with the store.
        prefix: What every key starts with.
    """

    def __init__(self, client: _Redis, *, prefix: str = "stockade:limits:") -> None:
        self._client = client
        self._prefix = prefix

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.05, max_connections: int = 32) -> Self:
        """Build a store from ``redis://``, ``rediss://`` or ``unix://``.

        Args:
            url: Address of the server; may hold a password.
            timeout: Seconds for connecting, for an answer, and for a free connection.
            max_connections: Connections kept at most.

        Raises:
            ConfigurationError: The address is malformed.
        """
        try:
            pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
                url,
                max_connections=max_connections,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                # A script that has been sent may have run: to send it again would charge twice and
                # wait twice.
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError, RedisError):
            # The driver's message may quote the address, and with it the password.
            raise ConfigurationError("the address of the Redis server is malformed") from None
        return cls(Redis.from_pool(pool))

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Take from all buckets, or from none where one of them has too little.

        Raises:
            StoreError: The server could not answer.
        """
        arguments: list[str | int] = [f"{self._prefix}{request.key}" for request in requests]
        for request in requests:
            rule = request.rule
            arguments += (interval_of(rule), rule.amount, rule.cost)
        with _errors():
            reply = await self._run(len(requests), arguments)
        return [
            LimitState(
                allowed=reply[i] == 1,
                remaining=reply[i + 1],
                retry_after=reply[i + 2] / MICROSECONDS,
                reset_after=reply[i + 3] / MICROSECONDS,
            )
            for i in range(0, 4 * len(requests), 4)
        ]

    async def reset(self, prefix: str) -> None:
        """Forget the buckets whose key starts with this; the empty prefix forgets them all.

        Raises:
            StoreError: The server could not answer.
        """
        pattern = _GLOB.sub(r"\\\1", f"{self._prefix}{prefix}") + "*"
        with _errors():
            async for key in self._client.scan_iter(match=pattern, count=1000):
                await self._client.unlink(key)

    async def ping(self) -> None:
        """Return if the server answers.

        Raises:
            StoreError: It does not.
        """
        with _errors():
            await self._client.ping()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def _run(self, keys: int, arguments: list[str | int]) -> list[int]:
        try:
            reply = await self._client.evalsha(_SHA, keys, *arguments)
        except NoScriptError:
            # The server has restarted or its script cache was flushed; this call brings the script
            # along.
            reply = await self._client.eval(_SCRIPT, keys, *arguments)
        return cast("list[int]", reply)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreError("the Redis store of the limits did not answer") from error
