"""Hold the script that decides about limits inside Redis, and the form in which it is asked.

The same arithmetic as `stockade.rate_limiting.gcra`, on the server's clock, so that machines whose
clocks differ agree. Microseconds since 1970 stay below 2^53, so Lua's numbers hold them exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from stockade.rate_limiting.gcra import interval_of
from stockade.rate_limiting.models import LimitRequest

# Arguments: how many requests there are, how many keys each has, then interval, amount and cost of
# each key. The reply is one text of numbers, four for each key, since the driver reads one text far
# faster than a list of numbers. A debt is never more than a full bucket: that is written down even
# where nothing is taken, or a server whose clock went back would refuse until it has caught up.
TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local requests = tonumber(ARGV[1])
local reply = {}
local key_at, rule_at = 0, requests + 1

local function rule(i)
  local at = rule_at + 3 * (i - 1)
  return tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
end

local function answer(i, passed, remaining, wait, debt)
  reply[i] = string.format('%d %.0f %.0f %.0f', passed, remaining, wait, debt)
end

for request = 1, requests do
  local first, last = key_at + 1, key_at + tonumber(ARGV[1 + request])
  local debts, standing, allowed = {}, {}, {}
  local passed = true
  for i = first, last do
    local key = KEYS[i]
    local interval, amount, cost = rule(i)
    local capacity = interval * amount
    local debt = debts[key]
    if not debt then
      debt = tonumber(redis.call('GET', key) or '0') - now
      if debt > capacity then
        debt = capacity
        local full_at = string.format('%.0f', now + debt)
        redis.call('SET', key, full_at, 'PX', math.ceil(debt / 1000) + 1)
      end
      debt = math.max(0, debt)
    end
    standing[i] = debt
    local after = debt + interval * cost
    if after > capacity then
      passed = false
      debts[key] = debt
      answer(i, 0, math.floor((capacity - debt) / interval), after - capacity, debt)
    else
      debts[key] = after
      allowed[i] = true
      answer(i, 1, math.floor((capacity - after) / interval), 0, after)
    end
  end
  if passed then
    for key, debt in pairs(debts) do
      local full_at = string.format('%.0f', now + debt)
      redis.call('SET', key, full_at, 'PX', math.ceil(debt / 1000) + 1)
    end
  else
    for i = first, last do
      if allowed[i] then
        local interval, amount = rule(i)
        local left = math.floor((interval * amount - standing[i]) / interval)
        answer(i, 1, left, 0, standing[i])
      end
    end
  end
  key_at = last
end
return table.concat(reply, ' ')
"""

TAKE_SHA: Final = hashlib.sha1(TAKE.encode(), usedforsecurity=False).hexdigest()
"""How Redis names the script; not a security measure."""


def pack(batch: Sequence[Sequence[LimitRequest]], *, prefix: str) -> tuple[list[str], list[int]]:
    """Write requests as keys and arguments of the script."""
    keys: list[str] = []
    rules: list[int] = []
    for requests in batch:
        for request in requests:
            rule = request.rule
            keys.append(f"{prefix}{request.key}")
            rules += (interval_of(rule), rule.amount, rule.cost)
    return keys, [len(batch), *map(len, batch), *rules]
