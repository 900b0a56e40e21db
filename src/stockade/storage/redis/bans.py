"""Hold the scripts that keep bans inside Redis.

One sorted set has the ends of the bans, one hash how often there was one. Their names share the
part in braces, so that they lie on one node of a cluster, and do not start like those of buckets,
which may be forgotten all at once. Both are bounded.
"""

from __future__ import annotations

from typing import Final

from stockade.rate_limiting.bans import MOST_BANS

ENDS: Final = "stockade:{bans}ends"
TIMES: Final = "stockade:{bans}times"
_KEPT: Final = MOST_BANS

# Subject, milliseconds of the first ban and of the longest. The times of somebody are remembered
# for as long as the longest ban after his last one: the score stays until then, and what has ended
# is told from what has not by it.
ADD_BAN: Final = f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local first, longest = tonumber(ARGV[2]), tonumber(ARGV[3])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - longest, 'LIMIT', 0, 100)
for _, subject in ipairs(gone) do
  redis.call('ZREM', KEYS[1], subject)
  redis.call('HDEL', KEYS[2], subject)
end
local ends = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
local times = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if ends <= now then
  if ends + longest <= now then
    times = 0
  end
  times = times + 1
  ends = now + math.min(longest, first * 2 ^ math.min(times - 1, 40))
  if redis.call('ZCARD', KEYS[1]) >= {_KEPT} then
    local least = redis.call('ZPOPMIN', KEYS[1])
    redis.call('HDEL', KEYS[2], least[1])
  end
  redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], times)
end
return string.format('%.0f %d', ends - now, times)
"""

# What is left of each ban in milliseconds, its times and its subject.
LIST_BANS: Final = f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found = redis.call(
  'ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES',
  'LIMIT', 0, {_KEPT}
)
local reply = {{}}
for i = 1, #found, 2 do
  local times = tonumber(redis.call('HGET', KEYS[2], found[i]) or '1')
  reply[#reply + 1] = string.format('%.0f %d %s', tonumber(found[i + 1]) - now, times, found[i])
end
return reply
"""

LIFT_BAN: Final = """
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
