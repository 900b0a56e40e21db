"""Hold the script that decides about limits inside Redis, and the form in which it is asked.

The same arithmetic as `stockade.rate_limiting.gcra`, on the server's clock, so that machines whose
clocks differ agree. Microseconds since 1970 stay below 2^53, so Lua's numbers hold them exactly.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Final

from stockade.errors import StoreError
from stockade.rate_limiting.errors import UnreadableBucketError
from stockade.rate_limiting.gcra import MICROSECONDS, stand, take
from stockade.rate_limiting.models import LimitRequest
from stockade.storage.batching import Outcome

# One argument, all of it doubles: how many requests there are, how many keys each has, then charge
# and capacity of each key in microseconds. The reply is one double for each key, the debt that the
# request has found, from which it follows who passes and how the bucket stands; -1 where the key
# holds something else, by which nobody else of the batch is troubled. Packed numbers take both ends
# a third of the time of text. A debt is never more than a full bucket: that is written down even
# where nothing is taken, or a server whose clock went back would refuse until it has caught up.
TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local numbers = {struct.unpack('<' .. string.rep('d', #ARGV[1] / 8), ARGV[1])}
local requests = numbers[1]
local rule_at, last = requests, 0
local reply = {}
for request = 1, requests do
  local first = last + 1
  last = last + numbers[1 + request]
  local passed, debts = true, {}
  for i = first, last do
    local key, charge, capacity = KEYS[i], numbers[rule_at + 2 * i], numbers[rule_at + 2 * i + 1]
    local debt = debts[key]
    if not debt then
      local found = redis.pcall('GET', key)
      debt = found and tonumber(found) or found
      if not debt then
        debt = 0
      elseif type(debt) == 'number' and debt == debt then
        debt = math.max(0, debt - now)
        if debt > capacity then
          debt = capacity
          local full_at = string.format('%.0f', now + debt)
          redis.call('SET', key, full_at, 'PX', math.ceil(debt / 1000) + 1)
        end
      else
        debt = -1
      end
    end
    reply[i] = debt
    if debt < 0 or debt + charge > capacity then
      passed = false
    else
      debt = debt + charge
    end
    debts[key] = debt
  end
  if passed then
    for key, debt in pairs(debts) do
      if debt > 0 then
        redis.call('SET', key, string.format('%.0f', now + debt), 'PX', math.ceil(debt / 1000) + 1)
      end
    end
  end
end
return struct.pack('<' .. string.rep('d', last), unpack(reply))
"""

TAKE_SHA: Final = hashlib.sha1(TAKE.encode(), usedforsecurity=False).hexdigest()
"""How Redis names the script; not a security measure."""


def pack(batch: Sequence[Sequence[LimitRequest]], *, prefix: str) -> tuple[list[bytes], bytes]:
    """Write requests as keys and argument of the script."""
    keys: list[bytes] = []
    rules: list[int] = []
    for requests in batch:
        for key, rule in requests:
            interval = -(-rule.window * MICROSECONDS // rule.amount)
            keys.append(f"{prefix}{key}".encode("utf-8", "surrogatepass"))
            rules += (interval * rule.cost, interval * rule.amount)
    numbers = [len(batch), *map(len, batch), *rules]
    return keys, struct.pack(f"<{len(numbers)}d", *numbers)


def read_debts(reply: object, batch: Sequence[Sequence[LimitRequest]]) -> list[Outcome]:
    """Read the outcome of each request of a batch from what the script answers.

    Raises:
        StoreError: It answers something else.
    """
    count = sum(map(len, batch))
    if not isinstance(reply, bytes) or len(reply) != 8 * count:
        raise StoreError("the store of the limits has answered with something else")
    try:
        debts = list(map(int, struct.unpack(f"<{count}d", reply)))
    except (ValueError, OverflowError) as error:
        raise StoreError("the store of the limits has answered with something else") from error
    outcomes: list[Outcome] = []
    first = 0
    for requests in batch:
        if len(requests) == 1:
            debt = debts[first]
            outcomes.append(
                [take(debt, requests[0].rule)[1]] if debt >= 0 else UnreadableBucketError()
            )
        else:
            outcomes.append(_decide(requests, debts[first : first + len(requests)]))
        first += len(requests)
    return outcomes


def _decide(requests: Sequence[LimitRequest], debts: Sequence[int]) -> Outcome:
    if min(debts, default=0) < 0:
        return UnreadableBucketError()
    states = [take(debt, each.rule)[1] for each, debt in zip(requests, debts, strict=True)]
    if all(state.allowed for state in states):
        return states
    return [
        stand(debt, each.rule) if state.allowed else state
        for each, state, debt in zip(requests, states, debts, strict=True)
    ]
