"""Make, rotate and end the keys of programs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stockade.authentication.api_keys import generate_client_id
from stockade.authentication.models import APIClient, APISecret
from stockade.core.identity import AuthenticationMethod, TenantRole
from stockade.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from stockade.authentication.api_keys import APIKeys, NewKey
    from stockade.authentication.interfaces import APIClientStore
    from stockade.core.clock import Clock
    from stockade.core.identity import Principal

_ADMINS: Final = frozenset({str(TenantRole.ADMIN), str(TenantRole.OWNER)})
_ALWAYS_GRANTED: Final = frozenset({str(TenantRole.MEMBER)})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A program that somebody wants a key for.

    Args:
        name: What people call it.
        scopes: Permissions that it is to have.
        roles: Roles that it is to have.
        lifetime: How long it is to hold.
        of_tenant: Whether it is a service of the tenant, and goes on when its maker leaves.
        requests_per_minute: Limit of its own, which the operator alone gives.
    """

    name: str
    scopes: frozenset[str]
    roles: frozenset[str]
    lifetime: timedelta
    of_tenant: bool = False
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A client and the key that was just made for it.

    Args:
        client: The client.
        key: The key; a secret that is shown once.
    """

    client: APIClient
    key: str = field(repr=False)


class APIClients:
    """Make, rotate and end the keys of programs, within what the caller may do.

    Args:
        store: Where programs live.
        keys: Makes keys.
        clock: Source of time.
        overlap: How long the key before a rotated one goes on.
    """

    def __init__(
        self, store: APIClientStore, *, keys: APIKeys, clock: Clock, overlap: timedelta
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._overlap = overlap

    async def create(self, caller: Principal, wanted: NewClient) -> IssuedKey:
        """Make a program with its first key.

        Nobody gives a program more than the own permissions and roles.

        Raises:
            ForbiddenError: The caller may not, or not so much.
            StoreError: The store is away.
        """
        _require_person(caller)
        if wanted.of_tenant:
            _require_admin(caller)
        if not wanted.scopes <= caller.permissions:
            raise ForbiddenError(reason="authentication.scope_not_held")
        if not wanted.roles <= caller.roles | (_ALWAYS_GRANTED if caller.roles else frozenset()):
            raise ForbiddenError(reason="authentication.role_not_held")
        now = self._clock.now()
        client = APIClient(
            client_id=generate_client_id(),
            name=wanted.name,
            tenant_id=caller.tenant_id,
            user_id=None if wanted.of_tenant else caller.user_id,
            roles=wanted.roles,
            scopes=wanted.scopes,
            created_at=now,
            created_by=caller.user_id,
            expires_at=now + wanted.lifetime,
        )
        new = self._keys.generate()
        await self._store.add(client, secret_of(new, now))
        return IssuedKey(client=client, key=new.value)

    async def list_for(self, caller: Principal) -> list[APIClient]:
        """Return the programs of the caller, and those of the tenant for who administers it.

        Raises:
            StoreError: The store is away.
        """
        own = await self._store.list_of(tenant_id=caller.tenant_id, user_id=caller.user_id)
        if caller.tenant_id is None or not caller.roles & _ADMINS:
            return own
        return own + await self._store.list_of(tenant_id=caller.tenant_id, user_id=None)

    async def rotate(self, caller: Principal, client_id: str) -> IssuedKey:
        """Make a new key; the one before it goes on for the overlap, and older ones end.

        Raises:
            ForbiddenError: A program can't do this.
            NotFoundError: The caller has no such program, or it has ended.
            StoreError: The store is away.
        """
        client = await self._find(caller, client_id)
        now = self._clock.now()
        ended = client.expires_at is not None and now >= client.expires_at
        if client.revoked_at is not None or ended:
            raise NotFoundError(reason="authentication.api_key_ended")
        new = self._keys.generate()
        until = now + self._overlap
        if not await self._store.rotate(client_id, secret_of(new, now), old_until=until):
            raise NotFoundError(reason="authentication.api_key_unknown")
        return IssuedKey(client=client, key=new.value)

    async def revoke(self, caller: Principal, client_id: str) -> None:
        """End a program.

        Raises:
            ForbiddenError: A program can't do this.
            NotFoundError: The caller has no such program, or it has ended.
            StoreError: The store is away.
        """
        await self._find(caller, client_id)
        if not await self._store.revoke(client_id, now=self._clock.now()):
            raise NotFoundError(reason="authentication.api_key_ended")

    async def _find(self, caller: Principal, client_id: str) -> APIClient:
        _require_person(caller)
        stored = await self._store.find(client_id)
        if stored is not None and stored.client.tenant_id == caller.tenant_id:
            client = stored.client
            of_tenant = client.user_id is None and bool(caller.roles & _ADMINS)
            if client.user_id == caller.user_id or of_tenant:
                return client
        raise NotFoundError(reason="authentication.api_key_unknown")


def _require_person(caller: Principal) -> None:
    """Refuse programs: a key that leaked must not make another one that outlives it."""
    if caller.method is AuthenticationMethod.API_KEY:
        raise ForbiddenError(reason="authentication.api_key_not_enough")


def _require_admin(caller: Principal) -> None:
    if caller.tenant_id is None or not caller.roles & _ADMINS:
        raise ForbiddenError(reason="authentication.tenant_admin_needed")


def secret_of(new: NewKey, now: datetime) -> APISecret:
    """Return what a store keeps of a key that was just made."""
    return APISecret(secret_id=str(uuid.uuid4()), digest=new.digest, created_at=now)
