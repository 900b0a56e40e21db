"""Keep things in this process, bounded; nothing outlives it."""

from stockade.storage.memory.limits import MemoryLimitStore

__all__ = ["MemoryLimitStore"]
