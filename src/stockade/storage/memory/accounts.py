"""Keep accounts in memory, for tests and trials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stockade.authentication.models import Account, Closing
from stockade.core.identity import TenantRole
from stockade.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

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
            tenant_id=None if account.membership is None else account.membership[0],
            roles=frozenset() if account.membership is None else frozenset({account.membership[1]}),
            email_verified=account.email_verified,
        )
        self._accounts.append(made)
        return True

    async def set_password(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new hash in place and raise the epoch; once for each epoch."""
        return self._change(
            lambda known: (known.user_id, known.token_epoch) == (user_id, epoch),
            lambda known: replace(known, password_hash=new, token_epoch=epoch + 1),
        )

    async def mark_verified(self, user_id: UserId, *, email: str) -> bool:
        """Remember that the address is the owner's; False where the account has another by now."""
        return self._change(
            lambda known: (known.user_id, known.email) == (user_id, email),
            lambda known: replace(known, email_verified=True),
        )

    async def set_email(self, user_id: UserId, *, epoch: int, new: str) -> bool:
        """Put a new address in place and raise the epoch; False where it is taken."""
        if any(known.email == new and known.user_id != user_id for known in self._accounts):
            return False
        return self._change(
            lambda known: (known.user_id, known.token_epoch) == (user_id, epoch),
            lambda known: replace(known, email=new, email_verified=True, token_epoch=epoch + 1),
        )

    async def set_active(self, user_id: UserId, *, active: bool, force: bool = False) -> Closing:
        """Let an account act or not, and raise the epoch, unless it is the last owner."""
        if not active and not force and self._owned_alone(user_id):
            return Closing.LAST_OWNER
        changed = self._change(
            lambda known: known.user_id == user_id,
            lambda known: replace(known, active=active, token_epoch=known.token_epoch + 1),
        )
        return Closing.DONE if changed else Closing.UNKNOWN

    async def delete(self, user_id: UserId, *, tenants: Collection[TenantId] = ()) -> Closing:
        """Delete an account, and the memberships of tenants that nobody else owns."""
        if not any(known.user_id == user_id for known in self._accounts):
            return Closing.UNKNOWN
        gone = self._owned_alone(user_id)
        if gone != frozenset(tenants):
            return Closing.LAST_OWNER
        self._accounts = [known for known in self._accounts if known.user_id != user_id]
        left = {known.user_id for known in self._accounts if known.tenant_id not in gone}
        for known in [known for known in self._accounts if known.tenant_id in gone]:
            self._accounts.remove(known)
            if known.user_id not in left:
                left.add(known.user_id)
                self._accounts.append(replace(known, tenant_id=None, roles=frozenset()))
        return Closing.DONE

    def _owned_alone(self, user_id: UserId) -> frozenset[TenantId]:
        """Return the tenants that have no active owner but this account."""
        owners = [
            (known.tenant_id, known)
            for known in self._accounts
            if known.tenant_id is not None and TenantRole.OWNER in known.roles
        ]
        others = {place for place, known in owners if known.user_id != user_id and known.active}
        return frozenset(place for place, known in owners if known.user_id == user_id) - others

    def has_password(self, user_id: UserId) -> bool:
        """Tell whether somebody can sign in to an account with a password."""
        return any(known.user_id == user_id and known.has_password for known in self._accounts)

    async def join(self, user_id: UserId, tenant_id: TenantId, role: str) -> bool:
        """Make an account a member of a tenant; False where it is one, with whatever role.

        Raises:
            StoreError: There is no such account.
        """
        own = [known for known in self._accounts if known.user_id == user_id]
        if not own:
            raise StoreError("there is no such account")
        if any(known.tenant_id == tenant_id for known in own):
            return False
        if own[0].tenant_id is None:
            self._accounts.remove(own[0])
        self._accounts.append(replace(own[0], tenant_id=tenant_id, roles=frozenset({role})))
        return True

    def _change(
        self, is_meant: Callable[[Account], bool], change: Callable[[Account], Account]
    ) -> bool:
        """Change every row of an account; False where there is none."""
        meant = [known for known in self._accounts if is_meant(known)]
        for known in meant:
            self.put(change(known))
        return bool(meant)
