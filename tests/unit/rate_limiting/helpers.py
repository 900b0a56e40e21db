"""Hold what the tests of limits share: a clock that is set by hand, exchanges, principals."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from stockade.core import Clock, Exchange, Principal, UserId
from stockade.core.exchange import SCOPE_KEY
from stockade.core.identity import AuthenticationMethod
from stockade.core.limits import LimitRule
from stockade.events import EventLog, MemorySink
from stockade.rate_limiting.interfaces import LimitStore
from stockade.rate_limiting.limiter import RateLimiter
from stockade.rate_limiting.settings import RateLimitingSettings

ADDRESS = "192.0.2.7"


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = 1000.0

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._now)

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class Recorder:
    """An event log and what it has recorded."""

    def __init__(self, clock: Clock) -> None:
        self.sink = MemorySink()
        self.clock = clock
        self.log = EventLog([self.sink], clock=clock)

    def names(self) -> list[str]:
        """Return the names of the recorded events, oldest first."""
        return [event.name for event in self.sink]


def make_exchange(
    *,
    client: str = ADDRESS,
    user: str | None = None,
    program: str | None = None,
    limits: tuple[LimitRule, ...] = (),
) -> Exchange:
    """Build the exchange of one request, of nobody, a person, or a program with its own limits."""
    exchange = Exchange(
        guard=None, request_id="r", client=client, scheme="http", body_limit=1_000_000
    )
    if user is not None:
        exchange.principal = Principal(user_id=UserId(user), email="a@example.org")
    if program is not None:
        exchange.principal = Principal(
            user_id=UserId(program),
            email="",
            method=AuthenticationMethod.API_KEY,
            limits=limits,
        )
    return exchange


def make_scope(
    exchange: Exchange | None = None, *, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Build the ASGI scope of one request."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("198.51.100.9", 4711),
    }
    if exchange is not None:
        scope[SCOPE_KEY] = exchange
    return scope


def make_limiter(store: LimitStore, recorder: Recorder, **settings: object) -> RateLimiter:
    """Build a limiter over a store."""
    return RateLimiter(
        store,
        settings=RateLimitingSettings.model_validate(settings),
        events=recorder.log,
        clock=recorder.clock,
    )
