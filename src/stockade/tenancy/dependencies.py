"""Give an endpoint a session that belongs to the tenant of its caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from stockade.core.exchange import require_exchange
from stockade.core.identity import TenantId
from stockade.errors import ForbiddenError
from stockade.tenancy.raw import SCOPE_KEY


class TenantSessionDependency:
    """A FastAPI dependency that yields a session of the caller's active tenant.

    It works for requests and websockets. The handler commits; whatever it has not committed is
    rolled back when the session closes, after an error as after success.

    Args:
        factory: Makes the sessions, such as a `TenantSessionFactory`.
        watch: Called with each session before it is used, and with the request that it is for.
    """

    def __init__(
        self,
        factory: Callable[[TenantId | None], AsyncSession],
        *,
        watch: Callable[[AsyncSession, HTTPConnection], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._factory = factory
        self._watch = watch

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
        """Yield the session and close it afterwards.

        Raises:
            ForbiddenError: Nobody is signed in, or no tenant is active.
            TenantRequiredError: The active tenant does not fit the tenant columns.
            ConfigurationError: The request did not come through Stockade.
        """
        principal = require_exchange(connection.scope).principal
        if principal is None or not principal.tenant_id:
            raise ForbiddenError(reason="tenancy.no_tenant")
        async with self._factory(principal.tenant_id) as session:
            session.sync_session.info[SCOPE_KEY] = connection.scope
            watched = nullcontext() if self._watch is None else self._watch(session, connection)
            with watched:
                yield session
