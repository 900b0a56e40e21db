"""Keep mails in memory, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stockade.core.mail import Message


class MemoryMailer:
    """Keep what was sent.

    Attributes:
        sent: The messages, oldest first.
    """

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        """Keep one message."""
        self.sent.append(message)
