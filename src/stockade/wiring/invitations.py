"""Send invitations into tenants beside the requests that make them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.errands import Errands
    from stockade.authentication.mail_throttle import MailThrottle
    from stockade.authentication.mails import AccountMails
    from stockade.authorization.interfaces import InvitationHook
    from stockade.authorization.models import IssuedInvitation
    from stockade.core.mail import Mailer


class MailedInvitations:
    """Sends invitations by mail.

    Args:
        mails: Writes them.
        mailer: Sends them.
    """

    def __init__(self, mails: AccountMails, mailer: Mailer) -> None:
        self._mails = mails
        self._mailer = mailer

    async def __call__(self, issued: IssuedInvitation) -> None:
        """Send an invitation to its address, and to no other.

        Raises:
            MailError: It could not be sent.
        """
        invitation = issued.invitation
        message = self._mails.invite(
            invitation.email,
            issued.token,
            tenant=issued.tenant_name,
            lifetime=invitation.expires_at - issued.sent_at,
        )
        await self._mailer.send(message)


class CountedInvitations:
    """Counts invitations with the other mails, and has them sent after the answer.

    Args:
        hook: Sends one.
        errands: Runs it; a failure is the event ``authentication.errand_failed``.
        throttle: Counts; None where limits are off.
    """

    def __init__(
        self, hook: InvitationHook, errands: Errands, *, throttle: MailThrottle | None
    ) -> None:
        self._hook = hook
        self._errands = errands
        self._throttle = throttle

    async def admit(self, email: str, *, address: str) -> None:
        """Count an invitation that is to be sent.

        Raises:
            RateLimitedError: There are too many.
            StoreError: The counts are away.
        """
        if self._throttle is not None:
            await self._throttle.check(email, address)

    def send(self, issued: IssuedInvitation, *, scope: Mapping[str, Any] | None) -> None:
        """Send an invitation, later.

        Raises:
            UnavailableError: Too many mails are under way.
        """
        self._errands.start("invitation", partial(self._hook, issued), scope=scope)
