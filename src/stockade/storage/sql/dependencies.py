"""Load objects that a caller may use, and let handlers check others."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypeVar

from fastapi import Depends, Path
from sqlalchemy import inspect as mapper_of
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.interfaces import ORMOption
from starlette.requests import HTTPConnection

from stockade.authorization.engines.registering import report_failure
from stockade.authorization.objects import find_rule
from stockade.core.dependencies import caller_of
from stockade.core.exchange import require_exchange
from stockade.core.identity import UserType
from stockade.core.policy import Policy, attach_to_dependency
from stockade.errors import NotFoundError
from stockade.storage.sql.access import ObjectAccess
from stockade.storage.sql.crossing import TenantCrossing, require_super_admin
from stockade.storage.sql.object_keys import key_type_of
from stockade.storage.sql.watching import REASON, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Table

    from stockade.core.clock import Clock
    from stockade.core.exchange import Exchange
    from stockade.core.identity import Principal, TenantId
    from stockade.events import EventLog

_Model = TypeVar("_Model")
LoadOption: TypeAlias = ORMOption


class AccessDependency:
    """Dependency that gives the `ObjectAccess` of a request's caller.

    Args:
        watches: Makes the watch of a request.
    """

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        attach_to_dependency(self, Policy(authenticated=True, origins=("stockade.access",)))

    async def __call__(self, connection: HTTPConnection) -> ObjectAccess:
        """Return what the caller may do with objects.

        Raises:
            UnauthenticatedError: Nobody is signed in.
            ConfigurationError: The request did not come through Stockade.
        """
        exchange = require_exchange(connection.scope)
        return self._watches.access(caller_of(exchange), connection)


class CrossingDependency:
    """Dependency that lets a super administrator work in any tenant.

    Args:
        make_session: Makes a session of a tenant.
        watches: Makes the watch of a request.
        find: Finds an account as a caller, by its address and its active tenant.
        clock: Source of time.
        events: Where each crossing is recorded.
    """

    def __init__(
        self,
        make_session: Callable[[TenantId | None], AsyncSession],
        watches: Watches,
        *,
        find: Callable[[str, TenantId], Awaitable[Principal | None]],
        clock: Clock,
        events: EventLog,
    ) -> None:
        self._make_session = make_session
        self._watches = watches
        self._find = find
        self._clock = clock
        self._events = events
        roles = (frozenset({str(UserType.SUPER_ADMIN)}),)
        attach_to_dependency(self, Policy(roles=roles, origins=("stockade.cross_tenant",)))

    async def __call__(self, connection: HTTPConnection) -> TenantCrossing:
        """Return what opens sessions of other tenants.

        Raises:
            UnauthenticatedError: Nobody is signed in.
            ForbiddenError: The caller is no super administrator in person.
            ConfigurationError: The request did not come through Stockade.
        """
        exchange = require_exchange(connection.scope)
        principal = caller_of(exchange)
        require_super_admin(principal)
        return TenantCrossing(
            principal,
            self._make_session,
            find=self._find,
            watch=self._watches.of(exchange),
            report=partial(self._watches.report, connection),
            clock=self._clock,
            events=self._events,
            scope=connection.scope,
        )


class Watches:
    """Make one watch for each request that has to be watched.

    Args:
        guards: Gives the guarded models of each table, once all models are known.
        mode: ``refuse``, ``warn`` or ``off``.
        events: Where what is left unchecked is recorded.
    """

    def __init__(
        self,
        guards: Callable[[], Mapping[Table, frozenset[type[Any]]]],
        *,
        mode: str,
        events: EventLog,
    ) -> None:
        self._guards = guards
        self._mode = mode
        self._events = events

    def of(self, exchange: Exchange) -> Watch | None:
        """Return the watch of a request; None where nothing in it has to be watched."""
        policy = exchange.policy
        if self._mode == "off" or (policy is not None and policy.unchecked):
            return None
        if exchange.watch is None and (guards := self._guards()):
            exchange.watch = Watch(guards, exchange, refuses=self._mode == "refuse")
        # Nothing else puts one there.
        return exchange.watch if isinstance(exchange.watch, Watch) else None

    def access(self, principal: Principal, connection: HTTPConnection) -> ObjectAccess:
        """Return what a caller may do with objects in a request."""
        return ObjectAccess(
            principal,
            self.of(require_exchange(connection.scope)),
            report=partial(report_failure, self._events, connection.scope),
        )

    @contextmanager
    def watched(self, session: AsyncSession, connection: HTTPConnection) -> Iterator[None]:
        """Watch a session of a request, and record in the end what it left unchecked."""
        watch = self.of(require_exchange(connection.scope))
        if watch is None:
            yield
            return
        watch.attach(session)
        try:
            yield
        finally:
            self.report(connection)

    def report(self, connection: HTTPConnection) -> None:
        """Record what a request left unchecked, where nothing is refused."""
        watch = self.of(require_exchange(connection.scope))
        left = [] if watch is None or self._mode != "warn" else watch.take_unchecked()
        if left:
            details = {"models": ",".join(left)}
            self._events.emit(REASON, scope=connection.scope, reason=REASON, details=details)


class ObjectLoader(Generic[_Model]):
    """Dependency that gives the object that a path names, if the caller may use it.

    Args:
        model: Class of the object.
        parameter: Name of the path parameter that holds its key.
        action: What the caller wants with it.
        lock: Whether the row stays as it was checked until the transaction ends.
        within: Path parameter and attribute that say which object it belongs to, if any.
        key: Type of the path parameter; that of the model's key unless given.
        options: Options of the query, such as ``selectinload``.
        session: The dependency that gives the session.
        watches: Makes the watch of a request.

    Raises:
        ConfigurationError: The key of the model can't be read from a path.
    """

    def __init__(
        self,
        model: type[_Model],
        parameter: str,
        *,
        action: str,
        lock: bool,
        within: str | None,
        key: Any,  # noqa: ANN401 - an annotation
        options: Sequence[LoadOption],
        session: Callable[..., Any],
        watches: Watches,
    ) -> None:
        self.model = model
        self.parameter = parameter
        self.action = action
        self.within = within
        self._lock = lock
        self._options = tuple(options)
        self._watches = watches
        own_key = key_type_of(model)
        kind: Any = Annotated[own_key if key is None else key, Path()]
        kinds: tuple[tuple[str, Any], ...] = (
            ("connection", HTTPConnection),
            ("session", Annotated[AsyncSession, Depends(session)]),
            (parameter, kind),
        )
        # FastAPI reads the parameters of a dependency from its signature.
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
                for name, annotation in kinds
            ]
        )
        origin = f"load({model.__name__}, {action})"
        attach_to_dependency(self, Policy(authenticated=True, origins=(origin,)))

    async def __call__(
        self,
        connection: HTTPConnection,
        session: AsyncSession,
        **named: Any,  # noqa: ANN401 - the key
    ) -> _Model:
        """Load the object and check that the caller may use it.

        Raises:
            NotFoundError: It is not there, another tenant's, or the caller may not know of it.
            ForbiddenError: The caller may read it, but not do this with it.
            ObjectPolicyError: The model has no rule for the action, or a rule that does not decide.
        """
        exchange = require_exchange(connection.scope)
        watch = self._watches.of(exchange)
        access = self._watches.access(caller_of(exchange), connection)
        touched = frozenset() if watch is None else watch.touched()
        found = await session.get(
            self.model,
            named[self.parameter],
            with_for_update=True if self._lock else None,
            options=self._options,
        )
        if found is None or not self._is_within(found, connection):
            if watch is not None:
                # Its query may have joined parents; nothing of them is shown either.
                watch.forget(since=touched)
                watch.answer_for(self.model)
            raise NotFoundError(reason="authorization.object_missing")
        access.require(self.action, found)
        return found

    def _is_within(self, found: _Model, connection: HTTPConnection) -> bool:
        """Tell whether the object belongs to the one that the path names before it."""
        if self.within is None:
            return True
        parent: object = getattr(found, self.within)
        # As texts: what a converter of the path has read is compared by its one spelling.
        return parent is not None and str(parent) == str(connection.path_params[self.within])

    def problems(self, template: str) -> list[str]:
        """Return what is wrong with the loader on a route, a line for each.

        Args:
            template: Path template of the route.
        """
        name = self.model.__name__
        named = [self.parameter, *([] if self.within is None else [self.within])]
        found = [
            f"load({name}) reads {parameter}, which the path does not have: name the parameter of"
            " the path"
            for parameter in named
            if not re.search(r"\{" + re.escape(parameter) + r"(?::\w+)?\}", template)
        ]
        if self.within is not None and self.within not in mapper_of(self.model).column_attrs:
            found.append(
                f"load({name}) compares {self.within}, which the model does not have: name the path"
                " parameter after the column that points to the parent"
            )
        if find_rule(self.model, self.action) is None:
            found.append(
                f"{name} has no rule for {self.action}: write one with"
                f' @policy({name}, "{self.action}")'
            )
        return found


def check_loaders(dependant: Any, template: str) -> list[str]:  # noqa: ANN401 - FastAPI's Dependant
    """Return what is wrong with the loaders of a route, a line for each."""
    return [problem for each in loaders_of(dependant) for problem in each.problems(template)]


def loaders_of(dependant: Any) -> list[ObjectLoader[Any]]:  # noqa: ANN401 - FastAPI's Dependant
    """Return what loads objects for a route, at any depth of its dependencies."""
    found = []
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, ObjectLoader):
            found.append(dependency.call)
        found += loaders_of(dependency)
    return found
