"""Keep what the layers have to remember: in memory, in Redis, in a database."""

from stockade.storage.limits import guarded_limit_store, limit_store

__all__ = ["guarded_limit_store", "limit_store"]
