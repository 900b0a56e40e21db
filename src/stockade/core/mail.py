"""Define a message by mail, and what sends it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Protocol

from stockade.errors import StockadeError, StoreError

_LONGEST_ADDRESS: Final = 254
_LONGEST_SUBJECT: Final = 150
_LONGEST_TEXT: Final = 20_000
# A plain address and nothing else: a comma would add a recipient, a quote or a bracket would hide
# one, and mail servers of today need nothing beyond ASCII.
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*",
    re.ASCII,
)


class InvalidMessageError(StockadeError):
    """A message has a part that can't be sent safely; which part is named, and never its value."""

    code = "invalid_message"


class MailError(StoreError):
    """The mail server is away, or did not take a message; its own words are not repeated."""

    code = "mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to one recipient, in plain text.

    Args:
        to: One address, without a name; it may come from a stranger.
        subject: One printable line of at most 150 characters.
        text: At most 20,000 characters, with plain line feeds. May hold a secret link.

    Raises:
        InvalidMessageError: A part is not of that form: nothing in it can add a header or a
            recipient.
    """

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not is_address(self.to):
            raise InvalidMessageError("the recipient of a message is no plain address")
        if not self.subject.isprintable() or not 0 < len(self.subject) <= _LONGEST_SUBJECT:
            raise InvalidMessageError("the subject of a message is no printable line")
        lines = self.text.split("\n")
        if len(self.text) > _LONGEST_TEXT or not all(line.isprintable() for line in lines):
            raise InvalidMessageError("the text of a message is too long or not printable")


class Mailer(Protocol):
    """Sends messages."""

    async def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            MailError: It could not be sent.
        """


def is_address(value: str) -> bool:
    """Tell whether a mail can be sent to an address.

    >>> is_address("ana@example.com"), is_address("ana@example.com, eve@example.com")
    (True, False)
    """
    return len(value) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(value) is not None
