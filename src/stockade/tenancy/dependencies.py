"""Give an endpoint a session that belongs to the tenant of its caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from stockade.core.exchange import require_exchange
from stockade.core.identity import TenantId
from stockade.errors import ForbiddenError


class TenantSessionDependency:
    """A FastAPI dependency that yields a session of the caller's active tenant.

    It works for requests and websockets. The handler commits; whatever it has not committed is
    rolled back when the session closes, after an error as after success.

    Args:
        factory: Makes the sessions, such as a `TenantSessionFactory`.
    """

    def __init__(self, factory: Callable[[TenantId | None], AsyncSession]) -> None:
        self._factory = factory

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
            yield session
