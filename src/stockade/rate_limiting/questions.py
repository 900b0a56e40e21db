"""Ask functions of the application about a request, and never let one that fails free anybody.

What they are asked for is decided by the caller of `Questions.ask`: another bucket, the whole
bucket, the tightest tier. One event in a minute says that a function fails; a client that can make
it fail must not fill the log.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from stockade.core.clock import Clock
from stockade.events import EventLog
from stockade.rate_limiting.dependencies import connection_of
from stockade.rate_limiting.keys import custom_key, takes_connection

Scope = MutableMapping[str, Any]
_QUIET: Final = 60.0
_MOST_REMEMBERED: Final = 1000


class Questions:
    """What the functions of the application are asked, and what becomes of their failures.

    Args:
        events: Where failures are recorded.
        clock: Source of time.
    """

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._silent: dict[tuple[str, str], float] = {}

    def read_key(self, function: Callable[..., object], scope: Scope) -> str | None:
        """Return the bucket that a key function names, or None where it fails."""
        connection = connection_of(scope) if _takes(function) else None
        try:
            answer = _call(function, connection)
            if inspect.iscoroutine(answer):
                answer.close()
            return custom_key(answer)
        except Exception as error:  # noqa: BLE001 - whatever a function of the application raises
            self.note("key", function, error, scope)
            return None

    def ask(
        self, what: str, function: Callable[..., object], connection: object, scope: Scope
    ) -> object:
        """Return what a function answers, or None where it fails.

        Args:
            what: What it decides, for the event.
            function: Takes the connection, or nothing.
            connection: The request.
            scope: Its ASGI scope.
        """
        try:
            answer = _call(function, connection if _takes(function) else None)
        except Exception as error:  # noqa: BLE001 - whatever a function of the application raises
            self.note(what, function, error, scope)
            return None
        if inspect.iscoroutine(answer):
            answer.close()
        return answer

    def note(
        self,
        what: str,
        function: Callable[..., object],
        error: Exception | None,
        scope: Scope,
    ) -> None:
        """Record that a function failed, or (without an error) that its answer can't be used."""
        name = getattr(function, "__qualname__", type(function).__name__)
        now = self._clock.monotonic()
        if self._silent.get((what, name), now) > now:
            return
        if len(self._silent) >= _MOST_REMEMBERED:
            self._silent.clear()
        self._silent[what, name] = now + _QUIET
        self._events.emit(
            "rate_limiting.rule_failed",
            scope=scope,
            reason="rate_limiting.rule_failed",
            details={
                "what": what,
                "function": name,
                "error": "unusable answer" if error is None else type(error).__name__,
            },
        )


# It reads the signature, which takes longer than most functions do.
_takes: Final = lru_cache(maxsize=1024)(takes_connection)


def _call(function: Callable[..., object], connection: object) -> object:
    return function() if connection is None else function(connection)
