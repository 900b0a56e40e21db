"""What the authentication layer needs from a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stockade.authentication.models import Account
    from stockade.core.identity import TenantId, UserId


class AccountStore(Protocol):
    """Where accounts live."""

    async def find_by_email(self, email: str) -> Account | None:
        """Return the account with this address and its default tenant, or None.

        Raises:
            StoreError: The store is away.
        """

    async def find_by_id(self, user_id: UserId, tenant_id: TenantId | None) -> Account | None:
        """Return the account and its roles in this tenant, or None.

        An account that is not a member of the tenant comes back without roles and with
        ``tenant_id`` None.

        Raises:
            StoreError: The store is away.
        """

    async def replace_password_hash(self, user_id: UserId, *, old: str, new: str) -> bool:
        """Put a new hash in place of the old one; False where somebody else changed it meanwhile.

        Raises:
            StoreError: The store is away.
        """
