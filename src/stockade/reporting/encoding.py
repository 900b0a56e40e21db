"""Write a message as mail servers want it."""

from __future__ import annotations

import re
import secrets
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Final

from stockade.core.mail import is_address

if TYPE_CHECKING:
    from datetime import datetime

    from stockade.core.mail import Message

_NAMED: Final = re.compile(r"(?P<name>[^<>\"@]{1,100}) <(?P<address>[^<> ]+)>")


def parse_sender(value: str) -> Address:
    """Read an address, alone or as ``Name <address>``.

    Raises:
        ValueError: It is neither; the message never repeats it.
    """
    named = _NAMED.fullmatch(value)
    name, address = (named["name"], named["address"]) if named else ("", value)
    if not name.isprintable() or not is_address(address):
        message = "a sender is an address, or a name and an address: Acme <no-reply@example.com>"
        raise ValueError(message)
    return Address(display_name=name, addr_spec=address)


def encode_message(message: Message, *, sender: Address, now: datetime) -> EmailMessage:
    """Build the mail with all of its headers."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    # As one address: a string would be read as a list of them.
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = message.subject
    mail["Date"] = now
    # Not `make_msgid`, which asks for the name of this machine and tells it to the recipient.
    mail["Message-ID"] = f"<{secrets.token_hex(16)}@{sender.domain}>"
    # Answering machines leave it alone (RFC 3834, section 5).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail
