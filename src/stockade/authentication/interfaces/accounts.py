"""Say what a store of accounts does, and of the links that are mailed to their owners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from stockade.authentication.models import Account, Closing, NewAccount, StoredLink
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


@runtime_checkable
class WritableAccountStore(AccountStore, Protocol):
    """Where accounts live that people make and change by themselves."""

    async def create(self, account: NewAccount) -> bool:
        """Make an account; False where its address is taken, also by a call at the same time.

        Raises:
            StoreError: The store is away.
        """

    async def set_password(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new hash in place and raise the epoch, in one atomic step.

        Of any number of calls with the same epoch exactly one changes something.

        Args:
            user_id: Whose password it is.
            epoch: The epoch as it was read; another one is there by now where somebody else has
                changed the account.
            new: The new hash.

        Returns:
            Whether this call has changed it.

        Raises:
            StoreError: The store is away.
        """

    async def mark_verified(self, user_id: UserId, *, email: str) -> bool:
        """Remember that the address is the owner's; False where the account has another by now.

        Raises:
            StoreError: The store is away.
        """

    async def set_email(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new address in place, as its owner's, and raise the epoch, in one atomic step.

        Args:
            user_id: Whose address it is.
            epoch: The epoch as it was read.
            new: The new address, in lower case.

        Returns:
            Whether this call has changed it; False as well where another account has the address.

        Raises:
            StoreError: The store is away.
        """

    async def set_active(self, user_id: UserId, *, active: bool, force: bool = False) -> Closing:
        """Let an account act or not, and raise the epoch, in one atomic step.

        Of any number of calls at once, also of `delete`, none takes the last active owner of a
        tenant.

        Args:
            user_id: The account.
            active: Whether it may act.
            force: Switch it off although it is the last active owner of a tenant.

        Raises:
            StoreError: The store is away.
        """

    async def delete(self, user_id: UserId, *, tenants: Collection[TenantId] = ()) -> Closing:
        """Delete an account with all that belongs to it, in one atomic step.

        Args:
            user_id: The account.
            tenants: Exactly the tenants that it is the last active owner of; they are deleted with
                it. Any other ones change nothing at all, with `Closing.LAST_OWNER`.

        Raises:
            StoreError: The store is away, or keeps something else that needs the account.
        """

    async def join(self, user_id: UserId, tenant_id: TenantId, role: str) -> bool:
        """Make an account a member of a tenant; False where it is one, with whatever role.

        Raises:
            StoreError: The store is away, or there is no such account or tenant.
        """


class LinkStore(Protocol):
    """Where one-time links live: one for each purpose and address."""

    async def put(self, link: StoredLink, *, digest: str, now: datetime) -> None:
        """Keep a link in the place of the one before it, and forget those that are over.

        Raises:
            StoreError: The store is away.
        """

    async def find(self, digests: Sequence[str], *, now: datetime) -> StoredLink | None:
        """Return the link with one of these digests, unless it is over.

        Raises:
            StoreError: The store is away.
        """

    async def take(self, digests: Sequence[str], *, now: datetime) -> bool:
        """Forget the link with one of these digests, in one atomic step.

        Returns:
            Whether it was there and not over; of any number of calls one gets True.

        Raises:
            StoreError: The store is away.
        """
