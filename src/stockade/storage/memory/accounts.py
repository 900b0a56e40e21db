"""Keep accounts in memory, for tests and trials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stockade.authentication.models import Account

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stockade.authentication.models import NewAccount
    from stockade.core.identity import TenantId, UserId


class MemoryAccountStore:
    """Accounts in a list; an account in two tenants is in it twice, its default tenant first.

    Args:
        accounts: The accounts to begin with.
    """

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._accounts = list(accounts)

    def put(self, account: Account) -> None:
        """Add an account, or put it in the place of the one with the same identifier and tenant."""
        place = (account.user_id, account.tenant_id)
        for position, known in enumerate(self._accounts):
            if (known.user_id, known.tenant_id) == place:
                self._accounts[position] = account
                return
        self._accounts.append(account)

    async def find_by_email(self, email: str) -> Account | None:
        """Return the account with this address and its default tenant, or None."""
        return next((account for account in self._accounts if account.email == email), None)

    async def find_by_id(self, user_id: UserId, tenant_id: TenantId | None) -> Account | None:
        """Return the account and its roles in this tenant, or None."""
        known = [account for account in self._accounts if account.user_id == user_id]
        inside = next((account for account in known if account.tenant_id == tenant_id), None)
        if inside is not None or not known:
            return inside
        return replace(known[0], tenant_id=None, roles=frozenset())

    async def replace_password_hash(self, user_id: UserId, *, old: str, new: str) -> bool:
        """Put a new hash in place of the old one; False where it is another already."""
        changed = [
            replace(account, password_hash=new)
            for account in self._accounts
            if account.user_id == user_id and account.password_hash == old
        ]
        for account in changed:
            self.put(account)
        return bool(changed)

    async def create(self, account: NewAccount) -> bool:
        """Make an account; False where its address is taken."""
        email = account.email.lower()
        if any(known.email == email for known in self._accounts):
            return False
        made = Account(
            user_id=account.user_id,
            email=email,
            user_type=account.user_type,
            password_hash=account.password_hash,
            active=True,
            token_epoch=0,
            tenant_id=None,
            roles=frozenset(),
            email_verified=account.email_verified,
        )
        self._accounts.append(made)
        return True

    async def set_password(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new hash in place and raise the epoch; once for each epoch."""
        changed = [
            replace(account, password_hash=new, token_epoch=epoch + 1)
            for account in self._accounts
            if account.user_id == user_id and account.token_epoch == epoch
        ]
        for account in changed:
            self.put(account)
        return bool(changed)

    async def mark_verified(self, user_id: UserId, *, email: str) -> bool:
        """Remember that the address is the owner's; False where the account has another by now."""
        changed = [
            replace(account, email_verified=True)
            for account in self._accounts
            if account.user_id == user_id and account.email == email
        ]
        for account in changed:
            self.put(account)
        return bool(changed)
