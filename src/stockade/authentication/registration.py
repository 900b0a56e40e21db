"""Let people make accounts by themselves.

An address comes first, and a password only with the link that was mailed there. So nobody chooses
the password of an account at somebody else's address, no address is taken by who does not own it,
and there is never an account whose address is unknown to be its owner's.

Source: ASVS 5.0 V6.3.8 (one answer for every address), V6.4.1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from stockade.authentication.errors import InvalidLinkError
from stockade.authentication.models import NewAccount
from stockade.authentication.one_time import LinkPurpose
from stockade.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.interfaces import WritableAccountStore
    from stockade.authentication.new_passwords import NewPasswords
    from stockade.authentication.one_time import OneTimeLinks
    from stockade.authentication.post import Post
    from stockade.authentication.settings import AuthenticationSettings

_REGISTER = LinkPurpose.REGISTER


class Registration:
    """Mail links for new accounts, and make the accounts.

    Args:
        accounts: Where accounts live.
        links: Makes links and uses them up.
        passwords: Checks and hashes passwords.
        post: Sends mails.
        settings: Who may register, and how long a link holds.
    """

    def __init__(
        self,
        accounts: WritableAccountStore,
        links: OneTimeLinks,
        *,
        passwords: NewPasswords,
        post: Post,
        settings: AuthenticationSettings,
    ) -> None:
        self._accounts = accounts
        self._links = links
        self._passwords = passwords
        self._post = post
        self._is_open = settings.registration == "open"
        self._lifetime = settings.registration_link_lifetime

    async def ask(self, email: str, *, address: str, scope: Mapping[str, Any] | None) -> None:
        """Mail a link for a new account, later; the same answer for every address.

        Args:
            email: One that `is_new_address` takes.
            address: Where the request comes from.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: Nobody may register.
            RateLimitedError: There are too many.
            UnavailableError: Too many errands are under way.
            StoreError: The counts are away.
        """
        if not self._is_open:
            raise ForbiddenError(reason="authentication.registration_closed")
        await self._post.ask(
            "register",
            partial(self._send, email.lower(), scope),
            email=email,
            address=address,
            scope=scope,
        )

    async def _send(self, email: str, scope: Mapping[str, Any] | None) -> None:
        account = await self._accounts.find_by_email(email)
        events, name = self._post.events, "authentication.registration_asked"
        if account is not None:
            # Its owner learns of it, in their own mailbox; whoever has asked does not.
            if account.active:
                await self._post.mailer.send(self._post.mails.already_registered(account.email))
            events.emit(
                name,
                scope=scope,
                reason="authentication.account_exists",
                details={"user_id": account.user_id},
            )
            return
        token = await self._links.issue(_REGISTER, email, None, lifetime=self._lifetime)
        message = self._post.mails.register(email, token, lifetime=self._lifetime)
        await self._post.mailer.send(message)
        events.emit(name, scope=scope)

    async def verify(self, token: str, password: str, *, scope: Mapping[str, Any] | None) -> None:
        """Make the account that a link stands for, with its first password.

        Args:
            token: Of a link; untrusted.
            password: As it was submitted; untrusted.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: Nobody may register any longer.
            InvalidLinkError: The link does not hold, or there is an account by now.
            PasswordRefusedError: The password breaks a rule.
            UnavailableError: Too many passwords wait already.
            StoreError: A store is away.
        """
        if not self._is_open:
            raise ForbiddenError(reason="authentication.registration_closed")
        presented = await self._links.look(_REGISTER, token)
        email = presented.stored.email
        hashed = await self._passwords.hash(password, email=email)
        await self._links.use(presented)
        account = NewAccount(email=email, password_hash=hashed)
        if not await self._accounts.create(account):
            raise InvalidLinkError(reason="authentication.link_outdated")
        self._post.events.emit(
            "authentication.account_changed",
            scope=scope,
            reason="authentication.account_registered",
            details={"user_id": account.user_id},
        )
