"""Keep in Redis or Valkey who was refused.

Each slice of time is a sorted set of weights, by which keys stay, and a hash of their times; both
are bounded, and gone once nobody looks back on them. Their names share the part in braces, so that
they lie on one node of a cluster, and do not start like those of buckets, which may be forgotten
all at once. The arithmetic is that of `stockade.rate_limiting.frequent`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Final

from stockade.errors import StoreError
from stockade.rate_limiting.refusals import KEPT, SPANS, Outcome, Refused, Span, most_refused

_PLACE: Final = "stockade:{refusals}"
# Redis lets nobody else in while a script runs: so many keys take it a fifth of a millisecond.
_KEYS_A_CALL: Final = 50
# Keys of each slice that are read at least, since one that leads none may lead them all together.
_LEAST_READ: Final = 128

_NOW: Final = "return redis.call('TIME')[1]"

# Milliseconds until the slice is gone, keys that a clearing leaves, all requests; then keys and
# their times. A key that starts with no brace is none of a bucket. What a clearing took is where
# newcomers start.
_ADD: Final = """
local weights, times = KEYS[1], KEYS[2]
local kept = tonumber(ARGV[2])
local floor = tonumber(redis.call('HGET', times, 'floor') or '0')
redis.call('HINCRBY', times, 'requests', ARGV[3])
for i = 4, #ARGV, 2 do
  local key, count = ARGV[i], ARGV[i + 1]
  if redis.call('HINCRBY', times, key, count) == tonumber(count) then
    redis.call('ZADD', weights, string.format('%.0f', floor + count), key)
  else
    redis.call('ZINCRBY', weights, count, key)
  end
end
if redis.call('ZCARD', weights) > 2 * kept then
  local cut = redis.call('ZREVRANGE', weights, kept, kept, 'WITHSCORES')[2]
  local gone = redis.call('ZRANGEBYSCORE', weights, '-inf', cut)
  for i = 1, #gone, 500 do
    redis.call('HDEL', times, unpack(gone, i, math.min(i + 499, #gone)))
  end
  redis.call('ZREMRANGEBYSCORE', weights, '-inf', cut)
  redis.call('HSET', times, 'floor', cut)
end
redis.call('PEXPIRE', weights, ARGV[1])
redis.call('PEXPIRE', times, ARGV[1])
return 1
"""

# All requests of a slice, then keys and their times, those that weigh most.
_READ: Final = """
local keys = redis.call('ZREVRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1)
local reply = {'requests', redis.call('HGET', KEYS[2], 'requests') or '0'}
for _, key in ipairs(keys) do
  reply[#reply + 1] = key
  reply[#reply + 1] = redis.call('HGET', KEYS[2], key) or '0'
end
return reply
"""

Evaluate = Callable[..., Awaitable[object]]


class RedisRefusalStore:
    """Refusals in Redis 5 or Valkey, on one server or in a cluster, shared by all processes.

    Args:
        evaluate: Runs a script: its text, the number of keys, keys and arguments.
    """

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate

    async def add_refusals(self, outcome: Outcome, times: Mapping[str, int], requests: int) -> None:
        """Add refusals to the slices of now.

        Raises:
            StoreError: The server could not answer.
        """
        now = await self._now()
        for span in SPANS:
            lifetime = str(span.slice * (span.slices + 1) * 1000)
            names = _names(outcome, span, now // span.slice)
            rest, items = requests, iter(times.items())
            while True:
                part = list(islice(items, _KEYS_A_CALL))
                pairs = [text for key, each in part for text in (key, str(each))]
                await self._evaluate(_ADD, 2, *names, lifetime, str(KEPT), str(rest), *pairs)
                rest = 0
                if len(part) < _KEYS_A_CALL:
                    break

    async def read_refusals(self, outcome: Outcome, span: Span, *, most: int) -> Refused:
        """Return who was refused most.

        Raises:
            StoreError: The server could not answer.
        """
        number = await self._now() // span.slice
        requests = 0
        found: list[tuple[str, int]] = []
        for each in range(number - span.slices, number + 1):
            names = _names(outcome, span, each)
            reply = await self._evaluate(_READ, 2, *names, str(max(most, _LEAST_READ)))
            (_, count), *items = _read_pairs(reply)
            requests += count
            found += items
        return most_refused(found, most, requests=requests)

    async def _now(self) -> int:
        reply = await self._evaluate(_NOW, 1, _PLACE)
        try:
            return int(reply)  # type: ignore[call-overload,no-any-return]  # anything may come
        except (TypeError, ValueError) as error:
            raise StoreError("the Redis store of the limits did not answer") from error


def _names(outcome: Outcome, span: Span, number: int) -> tuple[str, str]:
    place = f"{outcome}:{span.name}:{number}"
    return f"{_PLACE}weights:{place}", f"{_PLACE}times:{place}"


def _read_pairs(reply: object) -> list[tuple[str, int]]:
    try:
        texts = [_text(each) for each in reply]  # type: ignore[attr-defined]  # anything may come
        return [(key, int(times)) for key, times in zip(texts[::2], texts[1::2], strict=True)]
    except (TypeError, ValueError) as error:
        raise StoreError("the Redis store of the limits did not answer") from error


def _text(value: object) -> str:
    # Whoever can write to the server may have put anything there.
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
