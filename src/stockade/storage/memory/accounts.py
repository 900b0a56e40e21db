"""Keep accounts in memory, for tests and trials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stockade.authentication.models import Account
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
