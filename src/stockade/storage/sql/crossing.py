"""Let a super administrator work in a tenant for a while, on purpose and on record."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from stockade.core.identity import AuthenticationMethod
from stockade.errors import ForbiddenError, InvalidInputError
from stockade.storage.sql.watching import WATCH_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncSession

    from stockade.core.clock import Clock
    from stockade.core.identity import Principal, TenantId
    from stockade.events import EventLog
    from stockade.storage.sql.watching import Watch

LONGEST: Final = timedelta(hours=1)
_SHORTEST_REASON: Final = 8
_LONGEST_REASON: Final = 200


class CrossingError(InvalidInputError):
    """A crossing was asked for without a usable reason or time."""

    code = "crossing"


class TenantCrossing:
    """Opens sessions of any tenant for one super administrator, in one request.

    Args:
        principal: The caller.
        make_session: Makes a session of a tenant.
        watch: The watch of the request; the rules of objects hold here as well.
        report: Called when a session ends, to record what was left unchecked.
        clock: Source of time.
        events: Where each crossing is recorded.
        scope: The request, for the events.
    """

    def __init__(
        self,
        principal: Principal,
        make_session: Callable[[TenantId | None], AsyncSession],
        *,
        watch: Watch | None,
        report: Callable[[], None],
        clock: Clock,
        events: EventLog,
        scope: Mapping[str, Any],
    ) -> None:
        self._principal = principal
        self._make_session = make_session
        self._watch = watch
        self._report = report
        self._clock = clock
        self._events = events
        self._scope = scope

    @asynccontextmanager
    async def __call__(
        self, tenant_id: TenantId, *, reason: str, within: timedelta = timedelta(minutes=5)
    ) -> AsyncIterator[AsyncSession]:
        """Give a session of a tenant, which runs nothing any more once its time is over.

        Args:
            tenant_id: The tenant to work in.
            reason: Why, for the event log: one line of 8 to 200 characters.
            within: How long the session may be used, at most an hour.

        Raises:
            CrossingError: The reason or the time is not of that form.
            ForbiddenError: The caller is no super administrator in person.
            TenantRequiredError: The tenant does not fit the tenant columns.
        """
        require_super_admin(self._principal)
        _require_form(reason, within)
        until = self._clock.now() + within
        async with self._make_session(tenant_id) as session:
            details = {"tenant": tenant_id, "why": reason, "until": until.isoformat()}
            self._events.emit(
                "tenancy.crossed", scope=self._scope, reason="tenancy.crossed", details=details
            )
            box = TimeBox(until, self._clock, self._watch)
            session.sync_session.info[WATCH_KEY] = box
            try:
                yield session
            finally:
                self._report()


class TimeBox:
    """Ends the use of a session at a moment.

    Args:
        until: The moment.
        clock: Source of time.
        watch: Is asked as well, if there is one.
    """

    def __init__(self, until: datetime, clock: Clock, watch: Watch | None) -> None:
        self._until = until
        self._clock = clock
        self._watch = watch

    def touch(self, tables: Iterable[Table], written: Iterable[Table]) -> None:
        """Let a statement run.

        Raises:
            ForbiddenError: The time is over.
            UncheckedObjectError: It writes objects that nobody has checked.
        """
        if self._clock.now() >= self._until:
            raise ForbiddenError(reason="tenancy.crossing_over")
        if self._watch is not None:
            self._watch.touch(tables, written)

    def require_approved(self, instance: object) -> None:
        """Return if an object may be written.

        Raises:
            UncheckedObjectError: It is guarded, and was checked for nothing but to be read.
        """
        if self._watch is not None:
            self._watch.require_approved(instance)


def require_super_admin(principal: Principal) -> None:
    """Return if a caller is a super administrator in person.

    Raises:
        ForbiddenError: It is somebody else, or a program.
    """
    if not principal.is_super_admin:
        raise ForbiddenError(reason="tenancy.not_super_admin")
    if principal.method is AuthenticationMethod.API_KEY:
        # A key that leaked must not reach every tenant.
        raise ForbiddenError(reason="tenancy.api_key_not_enough")


def _require_form(reason: str, within: timedelta) -> None:
    given: object = reason
    if (
        not isinstance(given, str)
        or not given.isprintable()
        or not _SHORTEST_REASON <= len(given.strip()) <= len(given) <= _LONGEST_REASON
    ):
        raise CrossingError(reason="tenancy.crossing_reason")
    if not timedelta(0) < within <= LONGEST:
        raise CrossingError(reason="tenancy.crossing_time")
