"""Hold the scripts that give debts back and that know what is in flight.

A lease is a member of a sorted set whose score is the moment at which it ends, on the server's
clock. A process that dies gives nothing back, and its places are free once their time is over.
"""

from __future__ import annotations

from typing import Final

# Each script has one key, so that it runs in a cluster too.

# Microseconds; a bucket never gets fuller than full.
GIVE_BACK: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1])
if full_at > now then
  local left = math.ceil((full_at - now) / 1000) + 1
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', left)
else
  redis.call('DEL', KEYS[1])
end
"""

# Token, places, milliseconds.
HOLD: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

# Token, milliseconds. A lease that is over is not taken up again, since its place may have gone to
# somebody else.
RENEW: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local ends = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
if ends > now then
  redis.call('ZADD', KEYS[1], 'XX', now + tonumber(ARGV[2]), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
"""
