"""Make, rotate and end keys of programs as the operator, who stands above tenants and accounts.

What the operator may do is not decided here: whoever has the database and the secret keys can do
anything. What is refused are mistakes: a role that does not exist, an owner who is no member.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stockade.authentication.api_clients import IssuedKey, secret_of
from stockade.authentication.api_keys import generate_client_id
from stockade.authentication.models import APIClient
from stockade.core.identity import UserId
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from stockade.authentication.api_clients import NewClient
    from stockade.authentication.api_keys import APIKeys
    from stockade.authentication.interfaces import AccountStore, APIClientStore
    from stockade.authentication.models import StoredAPIClient
    from stockade.core.clock import Clock
    from stockade.core.identity import TenantId

# In the place of the account that has made a program; no account is called so.
OPERATOR: Final = UserId("operator")


class Operator:
    """Make, rotate and end keys of programs without being asked who asks.

    Args:
        store: Where programs live.
        accounts: Finds the owners of programs.
        keys: Makes keys.
        clock: Source of time.
        roles: Every role that exists, with its permissions.
    """

    def __init__(
        self,
        store: APIClientStore,
        accounts: AccountStore,
        *,
        keys: APIKeys,
        clock: Clock,
        roles: Mapping[str, frozenset[str]],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._keys = keys
        self._clock = clock
        self._roles = roles

    async def create(
        self, wanted: NewClient, *, tenant_id: TenantId | None, owner: str | None
    ) -> IssuedKey:
        """Make a program with its first key.

        Args:
            wanted: What it is to be.
            tenant_id: The tenant that it works in; it has to exist.
            owner: Address of the account that it acts for; None for a service of the tenant.

        Raises:
            ConfigurationError: There is no such role, scope or account, the account is no member of
                the tenant, or the program would belong to nobody.
            StoreError: A store is away.
        """
        _require_known("role", wanted.roles, self._roles)
        _require_known("scope", wanted.scopes, frozenset().union(*self._roles.values()))
        if tenant_id is None and owner is None:
            raise ConfigurationError("a program belongs to a tenant, an account, or both")
        if tenant_id is None and wanted.roles:
            raise ConfigurationError("roles are held in a tenant: name one")
        user_id = None if owner is None else await self._find_owner(owner, tenant_id)
        now = self._clock.now()
        client = APIClient(
            client_id=generate_client_id(),
            name=wanted.name,
            tenant_id=tenant_id,
            user_id=user_id,
            roles=wanted.roles,
            scopes=wanted.scopes,
            created_at=now,
            created_by=OPERATOR,
            expires_at=now + wanted.lifetime,
            requests_per_minute=wanted.requests_per_minute,
        )
        new = self._keys.generate()
        await self._store.add(client, secret_of(new, now))
        return IssuedKey(client=client, key=new.value)

    async def rotate(self, client_id: str, *, overlap: timedelta) -> IssuedKey:
        """Make a new key; the one before it goes on for the overlap, and older ones end.

        Raises:
            ConfigurationError: There is no such program, or it has ended.
            StoreError: The store is away.
        """
        client = (await self._find(client_id)).client
        now = self._clock.now()
        over = client.expires_at is not None and now >= client.expires_at
        if client.revoked_at is not None or over:
            raise ConfigurationError("the program has ended: make another one")
        new = self._keys.generate()
        until = now + overlap
        if not await self._store.rotate(client_id, secret_of(new, now), old_until=until):
            raise ConfigurationError(_UNKNOWN)
        return IssuedKey(client=client, key=new.value)

    async def revoke(self, client_id: str) -> bool:
        """End a program; False where it had ended already.

        Raises:
            ConfigurationError: There is no such program.
            StoreError: The store is away.
        """
        await self._find(client_id)
        return await self._store.revoke(client_id, now=self._clock.now())

    async def _find(self, client_id: str) -> StoredAPIClient:
        stored = await self._store.find(client_id)
        if stored is None:
            raise ConfigurationError(_UNKNOWN)
        return stored

    async def _find_owner(self, email: str, tenant_id: TenantId | None) -> UserId:
        account = await self._accounts.find_by_email(email.lower())
        if account is None:
            raise ConfigurationError("no account has this address")
        inside = await self._accounts.find_by_id(account.user_id, tenant_id)
        if inside is None or inside.tenant_id != tenant_id:
            raise ConfigurationError("the account is no member of the tenant")
        return account.user_id


_UNKNOWN: Final = "there is no such program"


def _require_known(kind: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that no route can ever ask for."""
    unknown = frozenset(wanted) - frozenset(known)
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        message = f"no {kind} of this name: there are {there} (more: STOCKADE_AUTHORIZATION__ROLES)"
        raise ConfigurationError(message)
