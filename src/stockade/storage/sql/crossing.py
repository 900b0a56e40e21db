"""Let a super administrator work in a tenant for a while, on purpose and on record."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stockade.authorization.engines.registering import report_failure
from stockade.core.acting import ACTING
from stockade.core.identity import AuthenticationMethod
from stockade.errors import ForbiddenError, InvalidInputError, NotFoundError
from stockade.storage.sql.access import ObjectAccess
from stockade.storage.sql.watching import WATCH_KEY
from stockade.tenancy.raw import SCOPE_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

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


@dataclass(frozen=True, slots=True)
class ActingAs:
    """What a super administrator has while it acts as another account.

    Args:
        principal: The account as a caller; its `actor` is the super administrator, and its sign-in
            is never fresh.
        session: A session of its tenant.
        access: What it may do with objects, by the rules of their models.
    """

    principal: Principal
    session: AsyncSession
    access: ObjectAccess


class TenantCrossing:
    """Opens sessions of any tenant for one super administrator, in one request.

    Args:
        principal: The caller.
        make_session: Makes a session of a tenant.
        find: Finds an account as a caller, by its address and its active tenant.
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
        find: Callable[[str, TenantId], Awaitable[Principal | None]],
        watch: Watch | None,
        report: Callable[[], None],
        clock: Clock,
        events: EventLog,
        scope: Mapping[str, Any],
    ) -> None:
        self._principal = principal
        self._make_session = make_session
        self._find = find
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
        async with self._open("tenancy.crossed", tenant_id, reason, within) as session:
            yield session

    @asynccontextmanager
    async def as_account(
        self,
        email: str,
        tenant_id: TenantId,
        *,
        reason: str,
        within: timedelta = timedelta(minutes=5),
    ) -> AsyncIterator[ActingAs]:
        """Act as an account in one of its tenants: with its roles, its rules, its masks.

        Nobody acts as another super administrator. The request stays the super administrator's, and
        its answer is masked as for the account.

        Args:
            email: Address of the account.
            tenant_id: A tenant that it is a member of.
            reason: Why, for the event log: one line of 8 to 200 characters.
            within: How long the session may be used, at most an hour.

        Raises:
            CrossingError: The reason or the time is not of that form.
            ForbiddenError: The caller is no super administrator in person, or the account is one.
            NotFoundError: There is no such account, or it is no member.
            StoreError: The accounts are away.
        """
        require_super_admin(self._principal)
        found = await self._find(email, tenant_id)
        if found is None:
            raise NotFoundError(reason="authorization.account_unknown")
        if found.is_super_admin:
            raise ForbiddenError(reason="authorization.super_admin_untouchable")
        # Whoever acts as somebody has not proved to be them.
        never = datetime.fromtimestamp(0, tz=UTC)
        subject = replace(found, actor=self._principal.user_id, authenticated_at=never)
        opened = self._open(
            "authorization.impersonated", tenant_id, reason, within, subject=subject.user_id
        )
        async with opened as session:
            # For the rest of the request, and no shorter: the answer, which holds what the account
            # sees, is serialized after the handler has left this block. The gate takes it away.
            ACTING.set(subject)
            report = partial(report_failure, self._events, self._scope)
            yield ActingAs(subject, session, ObjectAccess(subject, self._watch, report=report))

    @asynccontextmanager
    async def _open(
        self, event: str, tenant_id: TenantId, reason: str, within: timedelta, **more: str
    ) -> AsyncIterator[AsyncSession]:
        require_super_admin(self._principal)
        _require_form(reason, within)
        until = self._clock.now() + within
        async with self._make_session(tenant_id) as session:
            details = {"tenant": tenant_id, "why": reason, "until": until.isoformat(), **more}
            self._events.emit(event, scope=self._scope, reason=event, details=details)
            box = TimeBox(until, self._clock, self._watch)
            session.sync_session.info |= {WATCH_KEY: box, SCOPE_KEY: self._scope}
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
        self._require_time()
        if self._watch is not None:
            self._watch.touch(tables, written)

    def touch_text(self, statement: str) -> None:
        """Let SQL text run.

        Raises:
            ForbiddenError: The time is over.
            UncheckedObjectError: It writes, and there are objects that nobody has checked.
        """
        self._require_time()
        if self._watch is not None:
            self._watch.touch_text(statement)

    def _require_time(self) -> None:
        if self._clock.now() >= self._until:
            raise ForbiddenError(reason="tenancy.crossing_over")

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
