"""Give people who have lost their password a new one, by a link in a mail.

Source: ASVS 5.0 V6.4.3 (a reset signs nobody in, so that it skips no factor), V6.3.7 (a notice),
V6.3.8 (one answer for every address), V7.4.3 (it ends every session).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from stockade.authentication.errors import InvalidLinkError
from stockade.authentication.one_time import LinkPurpose
from stockade.authentication.sign_in import is_storable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.interfaces import WritableAccountStore
    from stockade.authentication.new_passwords import NewPasswords
    from stockade.authentication.one_time import OneTimeLinks
    from stockade.authentication.other_ways import OtherWaysIn
    from stockade.authentication.post import Post
    from stockade.authentication.sessions import Sessions
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.identity import UserId

_RESET = LinkPurpose.RESET_PASSWORD


class PasswordRecovery:
    """Mail links for new passwords, and take the passwords.

    Args:
        accounts: Where accounts live.
        links: Makes links and uses them up.
        sessions: Ends sessions.
        passwords: Checks and hashes new passwords.
        others: What else lets somebody in.
        post: Sends mails.
        settings: How long a link holds.
    """

    def __init__(
        self,
        accounts: WritableAccountStore,
        links: OneTimeLinks,
        *,
        sessions: Sessions,
        passwords: NewPasswords,
        others: OtherWaysIn,
        post: Post,
        settings: AuthenticationSettings,
    ) -> None:
        self._accounts = accounts
        self._links = links
        self._sessions = sessions
        self._passwords = passwords
        self._others = others
        self._post = post
        self._lifetime = settings.reset_link_lifetime

    async def ask(self, email: str, *, address: str, scope: Mapping[str, Any] | None) -> None:
        """Mail a link to the owner of an account, later; the same answer for every address.

        Args:
            email: Untrusted.
            address: Where the request comes from.
            scope: ASGI scope of the request.

        Raises:
            RateLimitedError: There are too many.
            UnavailableError: Too many errands are under way.
            StoreError: The counts are away.
        """
        await self._post.ask(
            "reset-password",
            partial(self._send, email.lower(), scope),
            email=email,
            address=address,
            scope=scope,
        )

    async def _send(self, email: str, scope: Mapping[str, Any] | None) -> None:
        account = await self._accounts.find_by_email(email) if is_storable(email) else None
        refusal = None
        if account is None:
            refusal = "authentication.unknown_account"
        elif not account.active:
            refusal = "authentication.account_inactive"
        elif account.must_have_no_password:
            refusal = "authentication.account_without_password"
        events, name = self._post.events, "authentication.reset_asked"
        if account is None or refusal is not None:
            events.emit(name, scope=scope, reason=refusal)
            return
        token = await self._links.issue(_RESET, account.email, account, lifetime=self._lifetime)
        # To the address of the account, never to what was submitted: the two may only look alike.
        message = self._post.mails.reset_password(account.email, token, lifetime=self._lifetime)
        await self._post.mailer.send(message)
        events.emit(name, scope=scope, details={"user_id": account.user_id})

    async def reset(
        self,
        token: str,
        password: str,
        *,
        keep_identities: bool = True,
        scope: Mapping[str, Any] | None,
    ) -> None:
        """Put a new password in place, and end every session of the account.

        The link is used up only once the password is one that may be chosen.

        Args:
            token: Of a link; untrusted.
            password: As it was submitted; untrusted.
            keep_identities: Whether identities at providers stay linked. Whoever has taken the
                account over may have linked one of their own.
            scope: ASGI scope of the request.

        Raises:
            InvalidLinkError: The link does not hold.
            PasswordRefusedError: The password breaks a rule.
            UnavailableError: Too many passwords wait already.
            StoreError: A store is away.
        """
        presented = await self._links.look(_RESET, token)
        user_id = presented.stored.user_id
        account = None if user_id is None else await self._accounts.find_by_id(user_id, None)
        account = self._links.require_state(presented, account)
        hashed = await self._passwords.hash(password, email=account.email)
        await self._links.use(presented)
        user_id, epoch = account.user_id, account.token_epoch
        # The epoch ends access tokens, cookies and refresh tokens of before, and sign-ins with the
        # old password that are half-way through.
        if not await self._accounts.set_password(user_id, epoch=epoch, new=hashed):
            raise InvalidLinkError(reason="authentication.link_outdated")
        # First what must not be lost if a store fails after this.
        self._post.events.emit(
            "authentication.password_changed",
            scope=scope,
            reason="authentication.password_reset",
            details={"user_id": user_id},
        )
        if not keep_identities:
            await self._end_identities(user_id, scope)
        others = await self._others.describe(user_id)
        self._post.notify(self._post.mails.password_changed(account.email, others), scope=scope)
        await self._accounts.mark_verified(user_id, email=account.email)
        await self._sessions.end_all(user_id)

    async def _end_identities(self, user_id: UserId, scope: Mapping[str, Any] | None) -> None:
        ended = await self._others.end_identities(user_id)
        if ended:
            self._post.events.emit(
                "authentication.identity_changed",
                scope=scope,
                reason="authentication.identities_ended",
                details={"user_id": user_id, "identities": str(ended)},
            )
