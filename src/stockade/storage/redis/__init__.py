"""Keep things in Redis or Valkey, shared by all processes."""

from stockade.storage.redis.cluster import RedisClusterLimitStore
from stockade.storage.redis.limits import RedisLimitStore

__all__ = ["RedisClusterLimitStore", "RedisLimitStore"]
