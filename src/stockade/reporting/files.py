"""Write mails into a folder, for trials on a machine without a mail server."""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING, Final

from stockade.core.clock import SystemClock
from stockade.core.mail import MailError
from stockade.reporting.encoding import encode_message, parse_sender

if TYPE_CHECKING:
    from pathlib import Path

    from stockade.core.clock import Clock
    from stockade.core.mail import Message

_OWNER_ALONE: Final = 0o600


class FileMailer:
    """Write each message as a file ``.eml``, which mail programs open.

    The files hold working links: they are readable for their owner alone.

    Args:
        folder: Where they go; made when the first one is written.
        sender: Who sends.
        clock: Source of time.

    Raises:
        ValueError: The sender can't be read.
    """

    def __init__(self, folder: Path, *, sender: str, clock: Clock | None = None) -> None:
        self._folder = folder
        self._sender = parse_sender(sender)
        self._clock = clock or SystemClock()

    async def send(self, message: Message) -> None:
        """Write one message.

        Raises:
            MailError: The folder can't be written to.
        """
        now = self._clock.now()
        mail = encode_message(message, sender=self._sender, now=now)
        # Sorted by name they are sorted by time. No part of it comes from the message.
        name = f"{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}.eml"
        try:
            await asyncio.to_thread(self._write, self._folder / name, mail.as_bytes())
        except OSError as error:
            message_ = f"a mail could not be written ({type(error).__name__})"
            raise MailError(message_) from error

    def _write(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
