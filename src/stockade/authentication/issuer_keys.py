"""Remember the keys of an outside issuer, and notice when they change."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from stockade.authentication.errors import IssuerError
from stockade.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from stockade.authentication.algorithms import Algorithm, VerificationKey
    from stockade.core.clock import Clock
    from stockade.events import EventLog

    _Name = tuple[str, Algorithm]


class KeySettings(Protocol):
    """How long keys of another party are believed."""

    @property
    def keys_lifetime(self) -> timedelta:
        """How long before they are asked for again."""

    @property
    def keys_outage(self) -> timedelta:
        """How long they go on where the other party is away."""

    @property
    def pause(self) -> timedelta:
        """Time between two questions for them."""


class IssuerKeys:
    """The keys of one issuer.

    They are asked for when the first token comes in, when they are old, and when a token names one
    that is not known. However many tokens name whatever they like: one question is under way at a
    time, and two are `KeySettings.pause` apart. While the issuer is away its last keys go on for
    `KeySettings.keys_outage`.

    Args:
        name: Name of the issuer in the settings.
        settings: How long keys are believed.
        fetch: Asks the issuer; raises `IssuerError`.
        events: Where it is recorded that an issuer is away.
        clock: Source of time.
    """

    def __init__(
        self,
        name: str,
        settings: KeySettings,
        fetch: Callable[[], Awaitable[Mapping[_Name, VerificationKey]]],
        *,
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._name = name
        self._settings = settings
        self._fetch = fetch
        self._events = events
        self._clock = clock
        self._keys: Mapping[_Name, VerificationKey] = {}
        self._fetched_at = -math.inf
        self._asked_at = -math.inf
        self._is_away = False
        self._asking = asyncio.Lock()

    async def find(self, kid: str, algorithm: Algorithm) -> VerificationKey | None:
        """Return a key by its name, or None where the issuer has no such key.

        Args:
            kid: Name of the key; untrusted.
            algorithm: Algorithm that the token names; one of the settings.

        Raises:
            UnavailableError: The issuer is away, and what is known of it is too old or not enough.
        """
        name = (kid, algorithm)
        if not self._is_settled(name):
            await self._ask(name)
        age = self._clock.monotonic() - self._fetched_at
        key = self._keys.get(name)
        if age >= self._settings.keys_outage.total_seconds() or (key is None and self._is_away):
            raise UnavailableError(
                reason="authentication.issuer_away",
                retry_after=timedelta(seconds=math.ceil(max(1.0, self._remaining_pause()))),
            )
        return key

    def _is_settled(self, name: _Name) -> bool:
        """Tell whether what is known answers the question without asking the issuer."""
        age = self._clock.monotonic() - self._fetched_at
        return name in self._keys and age < self._settings.keys_lifetime.total_seconds()

    def _remaining_pause(self) -> float:
        return self._asked_at + self._settings.pause.total_seconds() - self._clock.monotonic()

    async def _ask(self, name: _Name) -> None:
        if self._asking.locked() and name in self._keys:
            # Somebody asks already; until the answer is there the old key will do.
            return
        async with self._asking:
            # Whoever had to wait finds the answer there, or that there was none.
            if self._is_settled(name) or self._remaining_pause() > 0:
                return
            before, self._asked_at = self._asked_at, self._clock.monotonic()
            try:
                keys = await self._fetch()
            except IssuerError as error:
                self._note_absence(error)
            except asyncio.CancelledError:
                # The caller went away; that says nothing about the issuer.
                self._asked_at = before
                raise
            else:
                self._take(keys)

    def _take(self, keys: Mapping[_Name, VerificationKey]) -> None:
        # Keys that are no longer there are withdrawn with it.
        self._keys = keys
        # Counted from the question: what was answered may be that old already.
        self._fetched_at = self._asked_at
        if self._is_away:
            self._is_away = False
            self._events.emit("authentication.issuer_recovered", details={"issuer": self._name})

    def _note_absence(self, error: IssuerError) -> None:
        if self._is_away:
            return
        self._is_away = True
        self._events.emit(
            "authentication.issuer_failed",
            reason="authentication.issuer_away",
            details={"issuer": self._name, "problem": str(error)},
        )
