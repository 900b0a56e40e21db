"""Send the mails of accounts beside the requests that cause them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from stockade.authentication.errands import Errands
    from stockade.authentication.mail_throttle import MailThrottle
    from stockade.authentication.mails import AccountMails
    from stockade.core.mail import Mailer, Message
    from stockade.events import EventLog


class Notifier(Protocol):
    """Whatever tells the owner of an account what has happened to it, where mails can be sent."""

    def notify(
        self, write: Callable[[AccountMails], Message], *, scope: Mapping[str, Any] | None
    ) -> None:
        """Send a notice, later.

        Args:
            write: Writes it.
            scope: ASGI scope of the request that has caused it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What sending takes.

    Args:
        mails: Writes the mails.
        mailer: Sends them.
        errands: Sends them later.
        throttle: Counts them; None where limits are off.
        events: Where it is recorded what became of a request that was answered already.
    """

    mails: AccountMails
    mailer: Mailer
    errands: Errands
    throttle: MailThrottle | None
    events: EventLog

    async def ask(
        self,
        name: str,
        errand: Callable[[], Awaitable[None]],
        *,
        email: str,
        address: str,
        scope: Mapping[str, Any] | None,
    ) -> None:
        """Count a request for a mail and do it later: the answer is the same for every address.

        Args:
            name: What the errand is.
            errand: Looks the address up and sends what is due.
            email: The address; untrusted.
            address: Where the request comes from.
            scope: ASGI scope of the request.

        Raises:
            RateLimitedError: There are too many.
            UnavailableError: Too many errands are under way.
            StoreError: The counts are away.
        """
        if self.throttle is not None:
            await self.throttle.check(email, address)
        self.errands.start(name, errand, scope=scope)

    def notify(self, message: Message, *, scope: Mapping[str, Any] | None) -> None:
        """Send a notice of what has happened, later; it is never refused for want of room.

        Whoever fills the errands with requests for mails must not silence what tells of a theft.
        """
        self.errands.add("notice", partial(self.mailer.send, message), scope=scope)
