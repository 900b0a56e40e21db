"""Say what a store of programs and their keys does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stockade.authentication.models import APIClient, APISecret, StoredAPIClient
    from stockade.core.identity import TenantId, UserId


class APIClientStore(Protocol):
    """Where programs and the digests of their keys live."""

    async def add(self, client: APIClient, secret: APISecret) -> None:
        """Keep a new client with its first key.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, client_id: str) -> StoredAPIClient | None:
        """Return a client with its keys, the newest first, or None.

        Raises:
            StoreError: The store is away.
        """

    async def list_of(
        self, *, tenant_id: TenantId | None, user_id: UserId | None
    ) -> list[APIClient]:
        """Return the clients of an account in a tenant, or with no account the tenant's own.

        Raises:
            StoreError: The store is away.
        """

    async def rotate(self, client_id: str, secret: APISecret, *, old_until: datetime) -> bool:
        """Add a key, end the newest one at a moment and all others now; False without the client.

        Raises:
            StoreError: The store is away.
        """

    async def revoke(self, client_id: str, *, now: datetime) -> bool:
        """End a client; False where it had ended already or never was.

        Raises:
            StoreError: The store is away.
        """

    async def renew(self, client_id: str, secret_id: str, *, digest: str) -> None:
        """Put another digest in the place of a key's: the same key, by a newer key of the ring.

        Raises:
            StoreError: The store is away.
        """

    async def touch(self, client_id: str, *, now: datetime) -> None:
        """Remember that a client called.

        Raises:
            StoreError: The store is away.
        """


@runtime_checkable
class LeakedKeyStore(Protocol):
    """A store of programs that finds a key by itself, without its program."""

    async def find_by_digests(
        self, digests: Sequence[str]
    ) -> dict[str, tuple[APIClient, APISecret]]:
        """Return the keys that have one of these digests, each with its client.

        Args:
            digests: Any number of them, each once.

        Raises:
            StoreError: The store is away.
        """

    async def end_secret(self, client_id: str, secret_id: str, *, now: datetime) -> bool:
        """End one key of a client; False where it had ended already or never was.

        Of any number of calls at once exactly one gets True.

        Raises:
            StoreError: The store is away.
        """
