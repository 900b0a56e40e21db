"""Keep things in Redis or Valkey, shared by all processes."""

from stockade.storage.redis.limits import RedisLimitStore

__all__ = ["RedisLimitStore"]
