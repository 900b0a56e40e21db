"""Hold the script that decides about buckets that count by windows, beside those of GCRA.

The same arithmetic as `stockade.rate_limiting.windows`, on the server's clock. Requests that name
no window go to the shorter script of `stockade.storage.redis.scripts`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from stockade.rate_limiting.models import LimitRequest, UnitRefund
from stockade.rate_limiting.windows import CODES, length_of

# Arguments: how many requests there are, how many keys each has, then strategy, length (an interval
# for GCRA, else a window), amount and cost of each key. A bucket is a hash, but for GCRA, which is
# the text of the other script, and for a moving window, which is a list of moments, newest first.
# `states` holds what a request has seen and would leave behind; nothing is taken before all of its
# buckets have agreed. What lies ahead, since the clock of the server went back, becomes what was
# taken now; that is written down even where nothing is taken, or the server would refuse until its
# clock has caught up. The last number of the reply is the moment at which it was decided.
TAKE_WINDOWS: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local requests = tonumber(ARGV[1])
local reply = {}
local key_at, rule_at = 0, requests + 1
local look, take, write = {}, {}, {}

local function number(text)
  return tonumber(text or '0') or error('this is no bucket')
end

-- GCRA: the debt.
look[0] = function(key, length, amount)
  local debt = number(redis.call('GET', key)) - now
  if debt > length * amount then
    debt = length * amount
    write[0](key, {debt = debt})
  end
  return {debt = math.max(0, debt)}
end
take[0] = function(seen, length, amount, cost)
  local capacity = length * amount
  local after = seen.debt + length * cost
  if after > capacity then
    return seen, 0, math.floor((capacity - seen.debt) / length), after - capacity, seen.debt
  end
  return {debt = after}, 1, math.floor((capacity - after) / length), 0, after
end
write[0] = function(key, left)
  if left.debt > 0 then
    local full_at = string.format('%.0f', now + left.debt)
    redis.call('SET', key, full_at, 'PX', math.ceil(left.debt / 1000) + 1)
  end
end

-- A fixed window: its end and its count.
look[1] = function(key, length)
  local found = redis.call('HMGET', key, 'e', 'c')
  local finish, count = number(found[1]), number(found[2])
  if finish <= now then
    return {finish = now + length, count = 0}
  end
  if finish > now + length then
    finish = now + length
    write[1](key, {finish = finish, count = count})
  end
  return {finish = finish, count = count}
end
take[1] = function(seen, length, amount, cost)
  local after = seen.count + cost
  local wait = seen.finish - now
  if after > amount then
    return seen, 0, amount - seen.count, wait, seen.count > 0 and wait or 0
  end
  return {finish = seen.finish, count = after}, 1, amount - after, 0, after > 0 and wait or 0
end
write[1] = function(key, left)
  if left.count == 0 then
    return
  end
  redis.call('HSET', key, 'e', string.format('%.0f', left.finish), 'c', left.count)
  redis.call('PEXPIRE', key, math.ceil((left.finish - now) / 1000) + 1)
end

-- A sliding window: number, count of the last one, count of this one.
look[2] = function(key, length, amount)
  local found = redis.call('HMGET', key, 'n', 'l', 'c')
  local window, last, count = number(found[1]), number(found[2]), number(found[3])
  local current = math.floor(now / length)
  local elapsed = now - current * length
  if current == window + 1 then
    last, count = count, 0
  elseif current > window then
    last, count = 0, 0
  elseif current < window then
    last, count = 0, math.min(amount, last + count)
    write[2](key, {window = current, last = last, count = count, elapsed = elapsed}, length)
  end
  return {window = current, last = last, count = count, elapsed = elapsed}
end
local function reset(seen, length, count)
  if count > 0 then
    return 2 * length - seen.elapsed
  end
  return seen.last > 0 and length - seen.elapsed or 0
end
take[2] = function(seen, length, amount, cost)
  local weighed = seen.last * (length - seen.elapsed)
  local after = seen.count + cost
  if weighed > (amount - after) * length then
    local left = math.max(0, amount - seen.count - math.ceil(weighed / length))
    local room, wait = amount - after, 0
    if room >= 0 then
      wait = length - math.floor(room * length / seen.last) - seen.elapsed
    else
      room = math.max(0, amount - cost)
      if seen.count > 0 then
        wait = math.max(0, length - math.floor(room * length / seen.count))
      end
      wait = length - seen.elapsed + wait
    end
    return seen, 0, left, wait, reset(seen, length, seen.count)
  end
  local left = {window = seen.window, last = seen.last, count = after, elapsed = seen.elapsed}
  return left, 1, amount - after - math.ceil(weighed / length), 0, reset(seen, length, after)
end
write[2] = function(key, left, length)
  local window = string.format('%.0f', left.window)
  redis.call('HSET', key, 'n', window, 'l', left.last, 'c', left.count)
  redis.call('PEXPIRE', key, math.ceil((2 * length - left.elapsed) / 1000) + 1)
end

-- A moving window: how many of its moments are young enough, found by halving.
look[3] = function(key, length)
  local low, high = 0, redis.call('LLEN', key)
  local ahead = 0
  while ahead < high and number(redis.call('LINDEX', key, ahead)) > now do
    redis.call('LSET', key, ahead, string.format('%.0f', now))
    ahead = ahead + 1
  end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if number(redis.call('LINDEX', key, middle)) > now - length then
      low = middle + 1
    else
      high = middle
    end
  end
  return {key = key, young = low, added = 0}
end
take[3] = function(seen, length, amount, cost)
  local count = seen.young + seen.added
  local after = count + cost
  local function moment(index)
    if index < seen.added then
      return now
    end
    return number(redis.call('LINDEX', seen.key, index - seen.added))
  end
  if after > amount then
    local many = math.min(after - amount, count)
    local wait = many > 0 and moment(count - many) + length - now or length
    return seen, 0, amount - count, wait, count > 0 and moment(0) + length - now or 0
  end
  local left = {key = seen.key, young = seen.young, added = seen.added + cost}
  local again = 0
  if cost > 0 then
    again = length
  elseif count > 0 then
    again = moment(0) + length - now
  end
  return left, 1, amount - after, 0, again
end
write[3] = function(key, left, length)
  if left.added > 0 then
    local text = string.format('%.0f', now)
    if left.young > 0 then
      redis.call('LTRIM', key, 0, left.young - 1)
    else
      redis.call('DEL', key)
    end
    for _ = 1, left.added do
      redis.call('LPUSH', key, text)
    end
    redis.call('PEXPIRE', key, math.ceil(length / 1000) + 1)
  end
end

local function rule(i)
  local at = rule_at + 4 * (i - 1)
  return tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4])
end

-- It raises an error where the key holds something else, by which nobody else is troubled.
local function judge(seen, how, key, length, amount, cost)
  seen = seen or look[how](key, length, amount)
  return seen, take[how](seen, length, amount, cost)
end

local function answer(i, passed, remaining, wait, debt)
  reply[i] = string.format('%d %.0f %.0f %.0f', passed, remaining, wait, debt)
end

for request = 1, requests do
  local first, last = key_at + 1, key_at + tonumber(ARGV[1 + request])
  local states, before, passes = {}, {}, {}
  local passed = true
  for i = first, last do
    local key = KEYS[i]
    local how, length, amount, cost = rule(i)
    local readable, seen, left, fits, remaining, wait, debt =
      pcall(judge, states[key], how, key, length, amount, cost)
    if readable then
      before[i] = seen
      states[key] = left
      passes[i] = fits == 1
      passed = passed and passes[i]
      answer(i, fits, remaining, wait, debt)
    else
      passed = false
      answer(i, 0, 0, -1, 0)
    end
  end
  for i = first, last do
    local key = KEYS[i]
    local how, length, amount = rule(i)
    if passed then
      if states[key] then
        write[how](key, states[key], length)
        states[key] = nil
      end
    elseif passes[i] then
      local _, _, remaining, _, debt = take[how](before[i], length, amount, 0)
      answer(i, 1, remaining, 0, debt)
    end
  end
  key_at = last
end
reply[#reply + 1] = string.format('%.0f', now)
return table.concat(reply, ' ')
"""

TAKE_WINDOWS_SHA: Final = hashlib.sha1(TAKE_WINDOWS.encode(), usedforsecurity=False).hexdigest()
"""How Redis names the script; not a security measure."""


# Strategy, length of the window, units, moment at which they were taken. A window that has ended
# gets nothing back, and one without units has not begun.
GIVE_BACK_UNITS: Final = """
local key, how = KEYS[1], tonumber(ARGV[1])
local length, units, at = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function number(text)
  return tonumber(text or '0') or 0
end

if how == 1 then
  local found = redis.call('HMGET', key, 'e', 'c')
  local finish, count = number(found[1]), number(found[2])
  if finish - length <= at and at < finish then
    if count > units then
      redis.call('HSET', key, 'c', count - units)
    else
      redis.call('DEL', key)
    end
  end
elseif how == 2 then
  local found = redis.call('HMGET', key, 'n', 'l', 'c')
  local age = number(found[1]) - math.floor(at / length)
  if age == 0 and found[3] then
    redis.call('HSET', key, 'c', math.max(0, number(found[3]) - units))
  elseif age == 1 and found[2] then
    redis.call('HSET', key, 'l', math.max(0, number(found[2]) - units))
  end
else
  redis.call('LREM', key, units, ARGV[4])
end
"""


def pack_windows(
    batch: Sequence[Sequence[LimitRequest]], *, prefix: str
) -> tuple[list[bytes], list[int]]:
    """Write requests as keys and arguments of the script."""
    keys: list[bytes] = []
    rules: list[int] = []
    for requests in batch:
        for request in requests:
            rule = request.rule
            keys.append(f"{prefix}{request.key}".encode("utf-8", "surrogatepass"))
            rules += (CODES[rule.strategy], length_of(rule), rule.amount, rule.cost)
    return keys, [len(batch), *map(len, batch), *rules]


def refund_arguments(refund: UnitRefund) -> list[str]:
    """Write what goes back as arguments of its script."""
    rule = refund.rule
    return list(map(str, (CODES[rule.strategy], length_of(rule), rule.cost, refund.at)))
