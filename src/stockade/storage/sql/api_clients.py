"""Read and write programs and the digests of their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, insert, or_, select, update

from stockade.authentication.models import APIClient, APISecret, StoredAPIClient
from stockade.core.identity import TenantId, UserId
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import APIClientRow, APISecretRow, Tenant
from stockade.storage.sql.moments import aware

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_CLIENT = tuple(APIClientRow.__table__.columns)
_SECRET = tuple(APISecretRow.__table__.columns)
# Databases take a limited number of parameters in one statement.
_AT_ONCE = 500


class SQLAPIClientStore:
    """Programs in a SQL database.

    Args:
        engine: Engine without tenant isolation: a key is looked up before its tenant is known.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, client: APIClient, secret: APISecret) -> None:
        """Keep a new client with its first key.

        Raises:
            StoreError: The database is away.
        """
        values = {
            "id": client.client_id,
            "name": client.name,
            "tenant_id": client.tenant_id,
            "user_id": client.user_id,
            "roles": " ".join(sorted(client.roles)),
            "scopes": " ".join(sorted(client.scopes)),
            "created_at": client.created_at,
            "created_by": client.created_by,
            "expires_at": client.expires_at,
            "requests_per_minute": client.requests_per_minute,
        }
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(insert(APIClientRow).values(**values))
            await _add_secret(connection, client.client_id, secret)

    async def find(self, client_id: str) -> StoredAPIClient | None:
        """Return a client with its keys, the newest first, or None.

        Raises:
            StoreError: The database is away.
        """
        client = select(*_CLIENT).where(APIClientRow.id == client_id)
        secrets = (
            select(*_SECRET)
            .where(APISecretRow.client_id == client_id)
            .order_by(APISecretRow.created_at.desc(), APISecretRow.id)
        )
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(client)).first()
            rows = [] if row is None else list(await connection.execute(secrets))
        if row is None:
            return None
        return StoredAPIClient(
            client=_to_client(row), secrets=tuple(_to_secret(each) for each in rows)
        )

    async def list_of(
        self, *, tenant_id: TenantId | None, user_id: UserId | None
    ) -> list[APIClient]:
        """Return the clients of an account in a tenant, or with no account the tenant's own.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(*_CLIENT)
            .where(APIClientRow.tenant_id.is_not_distinct_from(tenant_id))
            .where(APIClientRow.user_id.is_not_distinct_from(user_id))
            .order_by(APIClientRow.created_at, APIClientRow.id)
        )
        async with store_errors(), self._engine.connect() as connection:
            return [_to_client(row) for row in await connection.execute(statement)]

    async def list_all(self, tenant_id: TenantId | None = None) -> list[APIClient]:
        """Return all clients of a tenant, or of all tenants and of accounts without one.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_CLIENT).order_by(APIClientRow.created_at, APIClientRow.id)
        if tenant_id is not None:
            statement = statement.where(APIClientRow.tenant_id == tenant_id)
        async with store_errors(), self._engine.connect() as connection:
            return [_to_client(row) for row in await connection.execute(statement)]

    async def has_tenant(self, tenant_id: TenantId) -> bool:
        """Tell whether there is a tenant that a client can belong to.

        Raises:
            StoreError: The database is away.
        """
        statement = select(Tenant.id).where(Tenant.id == tenant_id)
        async with store_errors(), self._engine.connect() as connection:
            return (await connection.execute(statement)).first() is not None

    async def find_by_digests(
        self, digests: Sequence[str]
    ) -> dict[str, tuple[APIClient, APISecret]]:
        """Return the keys that have one of these digests, each with its client.

        Raises:
            StoreError: The database is away.
        """
        found: dict[str, tuple[APIClient, APISecret]] = {}
        async with store_errors(), self._engine.connect() as connection:
            for start in range(0, len(digests), _AT_ONCE):
                some = digests[start : start + _AT_ONCE]
                secrets = select(*_SECRET).where(APISecretRow.digest.in_(some))
                for row in list(await connection.execute(secrets)):
                    client = select(*_CLIENT).where(APIClientRow.id == row.client_id)
                    owner = (await connection.execute(client)).first()
                    if owner is not None:
                        found[row.digest] = (_to_client(owner), _to_secret(row))
        return found

    async def end_secret(self, client_id: str, secret_id: str, *, now: datetime) -> bool:
        """End one key of a client; False where it had ended already or never was.

        Raises:
            StoreError: The database is away.
        """
        holds = or_(APISecretRow.expires_at.is_(None), APISecretRow.expires_at > now)
        statement = (
            update(APISecretRow)
            .where(APISecretRow.client_id == client_id, APISecretRow.id == secret_id, holds)
            .values(expires_at=now)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def rotate(self, client_id: str, secret: APISecret, *, old_until: datetime) -> bool:
        """Add a key, end the newest one at a moment and all others now; False without the client.

        Raises:
            StoreError: The database is away.
        """
        # The client's row is locked by its change, so that two rotations come one after the other.
        locked = (
            update(APIClientRow).where(APIClientRow.id == client_id).values(name=APIClientRow.name)
        )
        newest = (
            select(APISecretRow.id)
            .where(APISecretRow.client_id == client_id)
            .order_by(APISecretRow.created_at.desc(), APISecretRow.id)
            .limit(1)
        )
        own = APISecretRow.client_id == client_id
        sooner = or_(APISecretRow.expires_at.is_(None), APISecretRow.expires_at > old_until)
        ends = case((sooner, old_until), else_=APISecretRow.expires_at)
        async with store_errors(), self._engine.begin() as connection:
            if (await connection.execute(locked)).rowcount != 1:
                return False
            kept = (await connection.execute(newest)).scalar_one()
            await connection.execute(delete(APISecretRow).where(own, APISecretRow.id != kept))
            await connection.execute(
                update(APISecretRow).where(APISecretRow.id == kept).values(expires_at=ends)
            )
            await _add_secret(connection, client_id, secret)
        return True

    async def revoke(self, client_id: str, *, now: datetime) -> bool:
        """End a client; False where it had ended already or never was.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(APIClientRow)
            .where(APIClientRow.id == client_id, APIClientRow.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def renew(self, client_id: str, secret_id: str, *, digest: str) -> None:
        """Put another digest in the place of a key's.

        Raises:
            StoreError: The database is away.
        """
        statement = update(APISecretRow).where(
            APISecretRow.client_id == client_id, APISecretRow.id == secret_id
        )
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(statement.values(digest=digest))

    async def touch(self, client_id: str, *, now: datetime) -> None:
        """Remember that a client called.

        Raises:
            StoreError: The database is away.
        """
        statement = update(APIClientRow).where(APIClientRow.id == client_id)
        async with store_errors(), self._engine.begin() as connection:
            await connection.execute(statement.values(last_used_at=now))


async def _add_secret(connection: AsyncConnection, client_id: str, secret: APISecret) -> None:
    values = {
        "id": secret.secret_id,
        "client_id": client_id,
        "digest": secret.digest,
        "created_at": secret.created_at,
        "expires_at": secret.expires_at,
    }
    await connection.execute(insert(APISecretRow).values(**values))


def _to_client(row: Row[*tuple[Any, ...]]) -> APIClient:
    return APIClient(
        client_id=row.id,
        name=row.name,
        tenant_id=None if row.tenant_id is None else TenantId(row.tenant_id),
        user_id=None if row.user_id is None else UserId(row.user_id),
        roles=frozenset(row.roles.split()),
        scopes=frozenset(row.scopes.split()),
        created_at=aware(row.created_at),
        created_by=UserId(row.created_by),
        expires_at=aware(row.expires_at),
        revoked_at=aware(row.revoked_at),
        last_used_at=aware(row.last_used_at),
        requests_per_minute=row.requests_per_minute,
    )


def _to_secret(row: Row[*tuple[Any, ...]]) -> APISecret:
    return APISecret(
        secret_id=row.id,
        digest=row.digest,
        created_at=aware(row.created_at),
        expires_at=aware(row.expires_at),
    )
