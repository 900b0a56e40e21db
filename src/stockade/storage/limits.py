"""Choose the store of the limits by its address."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from stockade.core.clock import Clock, SystemClock
from stockade.core.limits import LimitRule
from stockade.errors import ConfigurationError
from stockade.events import EventLog
from stockade.rate_limiting.bans import BanStore
from stockade.rate_limiting.interfaces import LimitStore
from stockade.rate_limiting.models import LimitRequest
from stockade.rate_limiting.refusals import RefusalKeeper, RefusalStore
from stockade.rate_limiting.resilience import ResilientStore
from stockade.rate_limiting.settings import RateLimitingSettings, StoreKind
from stockade.storage.memory.bans import MemoryBanStore
from stockade.storage.memory.limits import MemoryLimitStore
from stockade.storage.memory.refusals import MemoryRefusalStore

_REDIS: Final = frozenset({"redis", "rediss", "unix", "valkey", "valkeys"})
_POSTGRESQL: Final = frozenset({"postgresql", "postgres"})


def limit_store(
    url: str, *, clock: Clock | None = None, timeout: float = 0.05, max_keys: int = 100_000
) -> LimitStore:
    """Build the store that an address names.

    Args:
        url: ``memory://``, ``redis://`` and its kin, or ``postgresql://``; may hold a password.
        clock: Source of time, for a store in memory.
        timeout: Seconds within which a server must answer.
        max_keys: Buckets that a store in memory keeps at most.

    Raises:
        ConfigurationError: The address is unknown or malformed, or a driver is not installed.
    """
    scheme, separator, _ = url.partition("://")
    if scheme == "memory" and separator:
        return MemoryLimitStore(clock=clock, max_keys=max_keys)
    if scheme.partition("+")[0] in _REDIS and separator:
        from stockade.storage.redis import RedisClusterLimitStore, RedisLimitStore

        kind = RedisClusterLimitStore if scheme.endswith("+cluster") else RedisLimitStore
        return kind.from_url(url, timeout=timeout)
    if scheme.partition("+")[0] in _POSTGRESQL and separator:
        from stockade.storage.sql.limits import SQLLimitStore

        return SQLLimitStore.from_url(url, timeout=timeout)
    # Only the scheme is quoted, and only where there is one: the rest may hold a password.
    named = f"{scheme!r} names no store" if separator else "the address of the store has no scheme"
    raise ConfigurationError(f"{named}: use memory://, redis:// or postgresql://")


def limit_store_url(kind: StoreKind, *, redis: str | None, database: str | None) -> str:
    """Return the address of the store that the settings name.

    Args:
        kind: Kind of the store.
        redis: Address of Redis, if there is one.
        database: Address of the database, if there is one.

    Raises:
        ConfigurationError: There is no address for that kind.
    """
    if kind == "memory" or (kind == "auto" and redis is None):
        return "memory://"
    name, url = ("DATABASE", database) if kind == "database" else ("REDIS", redis)
    if url is None:
        raise ConfigurationError(
            f"limits are to be counted in {name.lower()} without an address: set"
            f" STOCKADE_{name}_URL, or STOCKADE_RATE_LIMITING__STORE=memory"
        )
    return url


def guarded_limit_store(
    url: str, *, settings: RateLimitingSettings, events: EventLog, clock: Clock | None = None
) -> LimitStore:
    """Build the store that an address names, behind the failure policy if it can fail.

    Raises:
        ConfigurationError: As `limit_store`.
    """
    clock = clock or SystemClock()
    store = limit_store(url, clock=clock, timeout=settings.timeout, max_keys=settings.max_keys)
    if isinstance(store, MemoryLimitStore):
        return store
    local = MemoryLimitStore(clock=clock, max_keys=settings.max_keys)
    return ResilientStore(store, local=local, settings=settings, clock=clock, events=events)


def ban_store(store: LimitStore, *, clock: Clock) -> BanStore:
    """Return where bans are kept: beside the limits, or in this process as they are."""
    inner = store.inner if isinstance(store, ResilientStore) else store
    return inner if isinstance(inner, BanStore) else MemoryBanStore(clock=clock)


def refusal_store(store: LimitStore, *, clock: Clock) -> RefusalStore:
    """Return where it is kept who was refused: beside the limits, or in this process."""
    inner = store.inner if isinstance(store, ResilientStore) else store
    return inner.refusals if isinstance(inner, RefusalKeeper) else MemoryRefusalStore(clock=clock)


class LimitedAttempts:
    """Count attempts to sign in where limits are counted.

    Args:
        store: Where limits are counted.
    """

    def __init__(self, store: LimitStore) -> None:
        self._store = store

    async def take(self, buckets: Sequence[tuple[str, LimitRule]]) -> timedelta | None:
        """Take one attempt from all buckets, or from none; return the wait where it is none.

        Raises:
            StoreError: The store is away.
        """
        states = await self._store.acquire([LimitRequest(key, rule) for key, rule in buckets])
        if all(state.allowed for state in states):
            return None
        return timedelta(seconds=max(state.retry_after for state in states))
