"""Change the address of an account: first its current mailbox allows it, then the new one confirms.

Whoever has the session and even the password, but not the mailbox, does not get the account; and
nobody moves an account to an address that is not theirs.

Source: ASVS 5.0 V6.3.7 (a notice), V6.3.8.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from stockade.authentication.errors import InvalidLinkError
from stockade.authentication.one_time import LinkPurpose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.interfaces import WritableAccountStore
    from stockade.authentication.models import Account
    from stockade.authentication.one_time import OneTimeLinks, Presented
    from stockade.authentication.password_change import OwnPassword
    from stockade.authentication.post import Post
    from stockade.authentication.sessions import Sessions
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.identity import Principal

_ALLOW, _CONFIRM = LinkPurpose.ALLOW_EMAIL, LinkPurpose.CONFIRM_EMAIL


class EmailChange:
    """Mail the two links of a change, and make the change.

    Args:
        accounts: Where accounts live.
        links: Makes links and uses them up.
        own: Asks for the own password.
        sessions: Ends sessions.
        post: Sends mails.
        settings: How long a link holds.
    """

    def __init__(
        self,
        accounts: WritableAccountStore,
        links: OneTimeLinks,
        *,
        own: OwnPassword,
        sessions: Sessions,
        post: Post,
        settings: AuthenticationSettings,
    ) -> None:
        self._accounts = accounts
        self._links = links
        self._own = own
        self._sessions = sessions
        self._post = post
        self._lifetime = settings.reset_link_lifetime

    async def ask(
        self,
        caller: Principal,
        email: str,
        password: str,
        *,
        address: str,
        scope: Mapping[str, Any] | None,
    ) -> None:
        """Ask the current mailbox of an account, later; the same answer for every new address.

        Args:
            caller: Who is signed in.
            email: The new address, one that `is_new_address` takes.
            password: The current password; untrusted.
            address: Where the request comes from.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: A key of a program calls.
            InvalidTokenError: The account is gone.
            WrongPasswordError: It is another password.
            RateLimitedError: Attempts come too fast, or there are too many links.
            UnavailableError: Too many passwords or errands wait already.
            StoreError: A store is away.
        """
        account = await self._own.require(caller, password, address=address)
        await self._post.ask(
            "allow-email",
            partial(self._send_first, account, email.lower(), scope),
            email=account.email,
            address=address,
            scope=scope,
        )

    async def _send_first(
        self, account: Account, new: str, scope: Mapping[str, Any] | None
    ) -> None:
        token = await self._links.issue(_ALLOW, new, account, lifetime=self._lifetime)
        mails = self._post.mails
        await self._post.mailer.send(
            mails.allow_email(account.email, new, token, lifetime=self._lifetime)
        )
        self._record("authentication.email_change_asked", account, scope)

    async def allow(self, token: str, *, address: str, scope: Mapping[str, Any] | None) -> None:
        """Take the link of the current mailbox, and ask the new one, later.

        Args:
            token: Of a link; untrusted.
            address: Where the request comes from.
            scope: ASGI scope of the request.

        Raises:
            InvalidLinkError: The link does not hold.
            RateLimitedError: There are too many links for the new address.
            UnavailableError: Too many errands are under way.
            StoreError: A store is away.
        """
        presented, account = await self._look(_ALLOW, token)
        new = presented.stored.email
        await self._post.ask(
            "confirm-email",
            partial(self._send_second, presented, account, scope),
            email=new,
            address=address,
            scope=scope,
        )

    async def _send_second(
        self, presented: Presented, account: Account, scope: Mapping[str, Any] | None
    ) -> None:
        # Here and not before the answer, so that a refused request uses no link up. Of two that
        # come at once, one sends a mail.
        await self._links.use(presented)
        new, mails = presented.stored.email, self._post.mails
        if await self._accounts.find_by_email(new) is not None:
            # Its owner learns that somebody wants the address; whoever asks does not learn of it.
            await self._post.mailer.send(mails.already_registered(new))
            return
        token = await self._links.issue(_CONFIRM, new, account, lifetime=self._lifetime)
        await self._post.mailer.send(mails.confirm_email(new, token, lifetime=self._lifetime))
        self._record("authentication.email_change_allowed", account, scope)

    async def confirm(self, token: str, *, scope: Mapping[str, Any] | None) -> None:
        """Take the link of the new mailbox: change the address, and end every session.

        Args:
            token: Of a link; untrusted.
            scope: ASGI scope of the request.

        Raises:
            InvalidLinkError: The link does not hold, or another account has the address by now.
            StoreError: A store is away.
        """
        presented, account = await self._look(_CONFIRM, token)
        await self._links.use(presented)
        user_id, new = account.user_id, presented.stored.email
        if not await self._accounts.set_email(user_id, epoch=account.token_epoch, new=new):
            raise InvalidLinkError(reason="authentication.link_outdated")
        # First what must not be lost if a store fails after this.
        self._post.notify(self._post.mails.email_changed(account.email), scope=scope)
        self._record("authentication.email_changed", account, scope)
        await self._sessions.end_all(user_id)

    async def _look(self, purpose: LinkPurpose, token: str) -> tuple[Presented, Account]:
        presented = await self._links.look(purpose, token)
        user_id = presented.stored.user_id
        account = None if user_id is None else await self._accounts.find_by_id(user_id, None)
        return presented, self._links.require_state(presented, account)

    def _record(self, reason: str, account: Account, scope: Mapping[str, Any] | None) -> None:
        self._post.events.emit(
            "authentication.account_changed",
            scope=scope,
            reason=reason,
            details={"user_id": account.user_id},
        )
