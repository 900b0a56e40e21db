"""Keep programs and the digests of their keys in memory, for tests and for a single process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stockade.authentication.models import StoredAPIClient

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.authentication.models import APIClient, APISecret
    from stockade.core.identity import TenantId, UserId


class MemoryAPIClientStore:
    """Programs in a dictionary."""

    def __init__(self) -> None:
        self._clients: dict[str, StoredAPIClient] = {}

    async def add(self, client: APIClient, secret: APISecret) -> None:
        """Keep a new client with its first key."""
        self._clients[client.client_id] = StoredAPIClient(client=client, secrets=(secret,))

    async def find(self, client_id: str) -> StoredAPIClient | None:
        """Return a client with its keys, the newest first, or None."""
        return self._clients.get(client_id)

    async def list_of(
        self, *, tenant_id: TenantId | None, user_id: UserId | None
    ) -> list[APIClient]:
        """Return the clients of an account in a tenant, or with no account the tenant's own."""
        return [
            each.client
            for each in self._clients.values()
            if (each.client.tenant_id, each.client.user_id) == (tenant_id, user_id)
        ]

    async def find_by_digests(
        self, digests: Sequence[str]
    ) -> dict[str, tuple[APIClient, APISecret]]:
        """Return the keys that have one of these digests, each with its client."""
        wanted = frozenset(digests)
        return {
            secret.digest: (stored.client, secret)
            for stored in self._clients.values()
            for secret in stored.secrets
            if secret.digest in wanted
        }

    async def end_secret(self, client_id: str, secret_id: str, *, now: datetime) -> bool:
        """End one key of a client; False where it had ended already or never was."""
        stored = self._clients.get(client_id)
        for secret in () if stored is None else stored.secrets:
            holds = secret.expires_at is None or secret.expires_at > now
            if stored is not None and secret.secret_id == secret_id and holds:
                kept = tuple(
                    replace(each, expires_at=now) if each is secret else each
                    for each in stored.secrets
                )
                self._clients[client_id] = replace(stored, secrets=kept)
                return True
        return False

    async def rotate(self, client_id: str, secret: APISecret, *, old_until: datetime) -> bool:
        """Add a key, and let the newest one of before end at a moment."""
        stored = self._clients.get(client_id)
        if stored is None:
            return False
        newest = stored.secrets[0]
        ends = old_until if newest.expires_at is None else min(old_until, newest.expires_at)
        kept = (secret, replace(newest, expires_at=ends))
        self._clients[client_id] = replace(stored, secrets=kept)
        return True

    async def revoke(self, client_id: str, *, now: datetime) -> bool:
        """End a client; False where it had ended already or never was."""
        stored = self._clients.get(client_id)
        if stored is None or stored.client.revoked_at is not None:
            return False
        self._clients[client_id] = replace(stored, client=replace(stored.client, revoked_at=now))
        return True

    async def renew(self, client_id: str, secret_id: str, *, digest: str) -> None:
        """Put another digest in the place of a key's."""
        stored = self._clients.get(client_id)
        if stored is not None:
            secrets = tuple(
                replace(each, digest=digest) if each.secret_id == secret_id else each
                for each in stored.secrets
            )
            self._clients[client_id] = replace(stored, secrets=secrets)

    async def touch(self, client_id: str, *, now: datetime) -> None:
        """Remember that a client called."""
        stored = self._clients.get(client_id)
        if stored is not None:
            client = replace(stored.client, last_used_at=now)
            self._clients[client_id] = replace(stored, client=client)
