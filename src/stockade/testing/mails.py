"""Capture the mails of an application, and the tokens of their links."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from stockade.reporting import MemoryMailer
from stockade.testing.clients import find_stockade
from stockade.testing.errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stockade.authentication.errands import Errands
    from stockade.core.mail import Message

_TOKEN: Final = re.compile(r"#token=(stk[il]_[A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")


class CapturedMails:
    """The mails of a block, in the place of being sent.

    A mail is sent after the answer to the request that asks for it: wait for it first.

    Args:
        client: The client of the block.
        mailer: Keeps them.
        errands: Sends them.

    Attributes:
        sent: What was sent up to now, oldest first.
    """

    def __init__(self, client: object, mailer: MemoryMailer, errands: Errands) -> None:
        self._client: Any = client
        self._errands = errands
        self.sent = mailer.sent

    def wait(self) -> list[Message]:
        """Wait for every mail that was asked for, and return all of them; for a `TestClient`.

        Raises:
            HelperError: The client has no event loop that goes on between requests.
        """
        portal = getattr(self._client, "portal", None)
        if portal is None:
            message = (
                "mails are sent after the answer: use `with TestClient(app) as client`, or with an"
                " asynchronous client `await mails.settle()`"
            )
            raise HelperError(message)
        portal.call(self._errands.settle)
        return list(self.sent)

    async def settle(self) -> list[Message]:
        """Wait for every mail that was asked for, and return all of them; for an `AsyncClient`."""
        await self._errands.settle()
        return list(self.sent)

    def token(self) -> str:
        """Return the token of the newest link.

        Raises:
            HelperError: No mail has a link.
        """
        for message in reversed(self.sent):
            found = _TOKEN.search(message.text)
            if found is not None:
                return found[1]
        raise HelperError("no mail has a link: was it waited for, and is there such an account?")


@contextmanager
def capture_mails(client: object) -> Iterator[CapturedMails]:
    """Keep the mails of an application for a while, in the place of sending them.

    Args:
        client: A client of the application.

    Raises:
        HelperError: The client calls no application with Stockade.
        ConfigurationError: Others can reach the application.
    """
    mailer = MemoryMailer()
    with find_stockade(client).divert_mails(mailer) as errands:
        yield CapturedMails(client, mailer, errands)
