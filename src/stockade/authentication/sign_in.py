"""Sign in with e-mail address and password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authentication.errors import InvalidCredentialsError, PasswordTooLongError
from stockade.core.fields import MAXIMUM_EMAIL, MAXIMUM_PASSWORD
from stockade.errors import UnavailableError

if TYPE_CHECKING:
    from stockade.authentication.interfaces import AccountStore
    from stockade.authentication.models import Account
    from stockade.authentication.passwords import HashingPool, PasswordHasher


class PasswordSignIn:
    """Check an address and a password.

    Args:
        accounts: Where accounts live.
        hasher: Checks passwords.
        pool: Runs the check off the event loop.
        verified_email: Whether the address has to be known to be the owner's.
    """

    def __init__(
        self,
        accounts: AccountStore,
        hasher: PasswordHasher,
        pool: HashingPool,
        *,
        verified_email: bool = False,
    ) -> None:
        self._accounts = accounts
        self._hasher = hasher
        self._pool = pool
        self._verified_email = verified_email

    async def sign_in(self, email: str, password: str) -> Account:
        """Return the account.

        Unknown and known accounts cost the same work and get the same answer (ASVS 5.0 V6.3.8).

        Raises:
            InvalidCredentialsError: The two do not belong together, or the account may not sign in.
            UnavailableError: Too many sign-ins wait already.
            StoreError: The accounts are away.
        """
        address = email.lower()
        fits = is_storable(address) and 0 < len(password) <= MAXIMUM_PASSWORD
        account = await self._accounts.find_by_email(address) if fits else None
        stored = account.password_hash if account else None
        matches = await self._pool.run(self._hasher.verify, password if fits else "", stored)
        if account is None:
            raise InvalidCredentialsError(reason="authentication.unknown_account")
        if not matches:
            raise InvalidCredentialsError(reason=self._reason_of(account.password_hash))
        if not account.active:
            raise InvalidCredentialsError(reason="authentication.account_inactive")
        if self._verified_email and not account.email_verified:
            raise InvalidCredentialsError(reason="authentication.email_unverified")
        await self._upgrade(account, password)
        return account

    def _reason_of(self, stored: str) -> str:
        """Tell a hash that can't be read from a wrong password, for whoever runs the application.

        Django marks an account without a password by an exclamation mark.
        """
        if not stored or stored.startswith("!") or self._hasher.reads(stored):
            return "authentication.wrong_password"
        return "authentication.unreadable_hash"

    async def _upgrade(self, account: Account, password: str) -> None:
        if not self._hasher.needs_rehash(account.password_hash):
            return
        try:
            new = await self._pool.run(self._hasher.hash, password)
        except (UnavailableError, PasswordTooLongError):
            # The password was right. The next sign-in can upgrade its hash, unless the way that is
            # chosen now would not read all of it: then the hash that it has goes on.
            return
        await self._accounts.replace_password_hash(
            account.user_id, old=account.password_hash, new=new
        )


def is_storable(address: str) -> bool:
    """Tell whether an address could be one that a store knows.

    PostgreSQL refuses a NUL, and no driver takes a lone surrogate: asking a store for either would
    look as if the store were away.
    """
    return 0 < len(address) <= MAXIMUM_EMAIL and address.isprintable()
