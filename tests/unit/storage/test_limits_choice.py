"""Expect a store for each known address, and an error without secrets for any other."""

import subprocess
import sys

import pytest

from stockade.core import SystemClock
from stockade.errors import ConfigurationError
from stockade.events import EventLog
from stockade.rate_limiting import RateLimitingSettings, ResilientStore
from stockade.rate_limiting.settings import StoreKind
from stockade.storage import guarded_limit_store, limit_store
from stockade.storage.limits import limit_store_url
from stockade.storage.memory import MemoryLimitStore
from stockade.storage.redis import RedisLimitStore
from stockade.storage.sql.limits import SQLLimitStore


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryLimitStore),
        ("redis://127.0.0.1:1/0", RedisLimitStore),
        ("rediss://127.0.0.1:1/0", RedisLimitStore),
        ("unix:///nowhere.sock", RedisLimitStore),
        ("postgresql://u:p@127.0.0.1:1/x", SQLLimitStore),
        ("postgres://u:p@127.0.0.1:1/x", SQLLimitStore),
        ("postgresql+psycopg://u:p@127.0.0.1:1/x", SQLLimitStore),
    ],
)
def test_known_addresses(url: str, kind: type[object]) -> None:
    """The scheme chooses the store; nothing is connected yet."""
    assert isinstance(limit_store(url), kind)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "memory:",
        "redis",
        "memcached://:s3cret@host",
        "s3cret",
        "redis:s3cret",
        "redis://:s3cret@host:port",
        "redis://:s3cret@host:99999999",
        "redis://host/?socket_timeout=s3cret",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """An address that names no store is refused, and its password is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        limit_store(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "redis", "expected"),
    [
        ("auto", None, "memory://"),
        ("auto", "redis://r", "redis://r"),
        ("memory", "redis://r", "memory://"),
        ("redis", "redis://r", "redis://r"),
        ("database", "redis://r", "postgresql://d"),
    ],
)
def test_settings_choose_the_store(kind: StoreKind, redis: str | None, expected: str) -> None:
    """The kind says which of the addresses is taken."""
    assert limit_store_url(kind, redis=redis, database="postgresql://d") == expected


@pytest.mark.parametrize("kind", ["redis", "database"])
def test_a_store_without_an_address_stops_the_start(kind: StoreKind) -> None:
    """A store that was asked for is never replaced by memory."""
    with pytest.raises(ConfigurationError) as caught:
        limit_store_url(kind, redis=None, database=None)
    assert f"STOCKADE_{kind.upper()}_URL" in str(caught.value)


def test_a_store_that_can_fail_is_guarded() -> None:
    """A server gets the failure policy; memory, which can't fail, does not."""
    log = EventLog([], clock=SystemClock())
    settings = RateLimitingSettings()
    guarded = guarded_limit_store("redis://127.0.0.1:1", settings=settings, events=log)
    assert isinstance(guarded, ResilientStore)
    plain = guarded_limit_store("memory://", settings=settings, events=log)
    assert isinstance(plain, MemoryLimitStore)


def test_a_missing_driver_is_named() -> None:
    """Without redis-py, the error says which extra to install."""
    program = (
        "import sys; sys.modules['redis'] = None; sys.modules['redis.asyncio'] = None\n"
        "from stockade.storage.limits import limit_store\n"
        "try:\n    limit_store('redis://localhost')\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", path + program], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("ConfigurationError"), done.stderr
    assert "stockade[redis]" in done.stdout
