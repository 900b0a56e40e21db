"""Change the password of somebody who is signed in.

Source: ASVS 5.0 V6.2.3 (the current one is needed), V6.3.7 (a notice), V7.4.3 (other sessions end).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stockade.authentication.errors import InvalidTokenError, WrongPasswordError
from stockade.core.identity import AuthenticationMethod
from stockade.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.hashers import PasswordHasher
    from stockade.authentication.interfaces import WritableAccountStore
    from stockade.authentication.models import Account
    from stockade.authentication.new_passwords import NewPasswords
    from stockade.authentication.other_ways import OtherWaysIn
    from stockade.authentication.passwords import HashingPool
    from stockade.authentication.post import Post
    from stockade.authentication.sessions import Sessions
    from stockade.authentication.throttle import SignInThrottle
    from stockade.core.identity import Principal


class OwnPassword:
    """Ask a caller for the own password.

    Args:
        accounts: Where accounts live.
        hasher: Checks passwords.
        pool: Runs the check off the event loop.
        throttle: Counts attempts together with those to sign in; None where limits are off.
    """

    def __init__(
        self,
        accounts: WritableAccountStore,
        hasher: PasswordHasher,
        pool: HashingPool,
        *,
        throttle: SignInThrottle | None,
    ) -> None:
        self._accounts = accounts
        self._hasher = hasher
        self._pool = pool
        self._throttle = throttle

    async def require(self, caller: Principal, password: str, *, address: str) -> Account:
        """Return the account of a caller who knows its password.

        Args:
            caller: Who is signed in; a stolen session guesses no faster than a stranger.
            password: As it was submitted; untrusted.
            address: Where the request comes from.

        Raises:
            ForbiddenError: A key of a program calls, which is no sign-in.
            InvalidTokenError: The account is gone.
            WrongPasswordError: It is another password.
            RateLimitedError: Attempts come too fast.
            UnavailableError: Too many passwords wait already.
            StoreError: A store is away.
        """
        account = await self.load(caller)
        if self._throttle is not None:
            await self._throttle.check(account.email, address)
        if not await self._pool.run(self._hasher.verify, password, account.password_hash):
            raise WrongPasswordError(reason="authentication.wrong_password")
        return account

    async def load(self, caller: Principal) -> Account:
        """Return the account of a caller who is a person.

        Raises:
            ForbiddenError: A key of a program calls, which is no sign-in.
            InvalidTokenError: The account is gone.
            StoreError: The accounts are away.
        """
        if caller.method not in {AuthenticationMethod.BEARER, AuthenticationMethod.COOKIE}:
            raise ForbiddenError(reason="authentication.api_key_not_enough")
        account = await self._accounts.find_by_id(caller.user_id, caller.tenant_id)
        if account is None or not account.active:
            raise InvalidTokenError(reason="authentication.account_gone")
        return account


class PasswordChange:
    """Put a new password in the place of the current one, or a first one where there is none.

    Args:
        accounts: Where accounts live.
        own: Asks for the current one.
        passwords: Checks and hashes new ones.
        sessions: Ends sessions.
        others: What else lets somebody in.
        post: Sends mails.
    """

    def __init__(
        self,
        accounts: WritableAccountStore,
        own: OwnPassword,
        *,
        passwords: NewPasswords,
        sessions: Sessions,
        others: OtherWaysIn,
        post: Post,
    ) -> None:
        self._accounts = accounts
        self._own = own
        self._passwords = passwords
        self._sessions = sessions
        self._others = others
        self._post = post

    async def change(
        self,
        caller: Principal,
        current: str,
        new: str,
        *,
        address: str,
        scope: Mapping[str, Any] | None,
    ) -> Account:
        """Change the password, and end every session of the account.

        Returns:
            The account as it is now: the caller begins a new session with it, so that a copy of the
            one of before is worth nothing.

        Raises:
            ForbiddenError: A key of a program calls.
            InvalidTokenError: The account is gone, or somebody else has changed it just now.
            WrongPasswordError: The current password is another one.
            PasswordRefusedError: The new one breaks a rule.
            RateLimitedError: Attempts come too fast.
            UnavailableError: Too many passwords wait already.
            StoreError: A store is away.
        """
        account = await self._own.require(caller, current, address=address)
        return await self._put(account, new, reason="authentication.password_replaced", scope=scope)

    async def set_first(
        self, caller: Principal, new: str, *, scope: Mapping[str, Any] | None
    ) -> Account:
        """Give an account without a password its first one, and end every session of the account.

        Args:
            caller: Somebody who has signed in just now, at a provider or with a passkey.
            new: As it was submitted; untrusted.
            scope: ASGI scope of the request.

        Returns:
            The account as it is now, for a new session.

        Raises:
            ForbiddenError: A key of a program calls, the account must have no password, or it has
                one: whoever does not know that one must not replace it.
            InvalidTokenError: The account is gone, or somebody else has changed it just now.
            PasswordRefusedError: The password breaks a rule.
            UnavailableError: Too many passwords wait already.
            StoreError: A store is away.
        """
        account = await self._own.load(caller)
        if account.must_have_no_password:
            raise ForbiddenError(reason="authentication.account_without_password")
        if account.has_password:
            raise ForbiddenError(reason="authentication.password_there")
        return await self._put(account, new, reason="authentication.password_set", scope=scope)

    async def _put(
        self, account: Account, new: str, *, reason: str, scope: Mapping[str, Any] | None
    ) -> Account:
        hashed = await self._passwords.hash(new, email=account.email, pointer="/body/new_password")
        user_id, epoch = account.user_id, account.token_epoch
        if not await self._accounts.set_password(user_id, epoch=epoch, new=hashed):
            raise InvalidTokenError(reason="authentication.token_revoked")
        others = await self._others.describe(user_id)
        # First what must not be lost if a store fails after this.
        self._post.notify(self._post.mails.password_changed(account.email, others), scope=scope)
        self._post.events.emit(
            "authentication.password_changed",
            scope=scope,
            reason=reason,
            details={"user_id": user_id},
        )
        await self._sessions.end_all(user_id)
        return replace(account, password_hash=hashed, token_epoch=epoch + 1)
