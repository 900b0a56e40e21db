"""Write the mails of accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from stockade.core.mail import Message

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


class AccountMails:
    """The mails of accounts, in plain text; a subclass may say the same in other words.

    A link carries its token behind ``#``: browsers never send that part, so that it is in no log of
    a server and in no ``Referer``.

    Args:
        pages_url: Where the pages are that links lead to, from the settings and never from a
            request, so that nobody can make a link of ours lead elsewhere.
    """

    def __init__(self, pages_url: str) -> None:
        self._pages = pages_url
        self.site = urlsplit(pages_url).netloc

    def link(self, page: str, token: str) -> str:
        """Build the address of a page with a token."""
        return f"{self._pages}/{page}#token={token}"

    def reset_password(self, to: str, token: str, *, lifetime: timedelta) -> Message:
        """Give the owner a way to a new password."""
        text = (
            f"Somebody, hopefully you, wants a new password for your account at {self.site}.\n\n"
            f"Choose it here within {say(lifetime)}:\n\n"
            f"{self.link('reset-password', token)}\n\n"
            "The link works once. Whoever has it can take over your account: pass it on to "
            "nobody.\nIf it was not you, there is nothing to do: your password stays as it is.\n"
        )
        return Message(to=to, subject=f"A new password for {self.site}", text=text)

    def password_changed(self, to: str) -> Message:
        """Tell the owner that there is a new password."""
        text = (
            f"Your password at {self.site} has just been changed, and every device but the one "
            "that it was changed on has been signed out.\n\n"
            "If it was not you, ask for a new password at once:\n\n"
            f"{self._pages}/forgot-password\n"
        )
        return Message(to=to, subject=f"Your password for {self.site} was changed", text=text)

    def register(self, to: str, token: str, *, lifetime: timedelta) -> Message:
        """Give somebody a way to a first password, and thereby an account."""
        text = (
            f"Somebody, hopefully you, wants an account at {self.site} with this address.\n\n"
            f"Choose a password here within {say(lifetime)}:\n\n"
            f"{self.link('verify', token)}\n\n"
            "The link works once. If it was not you, there is nothing to do: no account is made.\n"
        )
        return Message(to=to, subject=f"Your account at {self.site}", text=text)

    def already_registered(self, to: str) -> Message:
        """Tell the owner of an account that somebody has tried to make it again."""
        text = (
            f"Somebody, hopefully you, wants an account at {self.site} with this address, which "
            "has one already.\n\nSign in as usual, or ask for a new password:\n\n"
            f"{self._pages}/forgot-password\n"
        )
        return Message(to=to, subject=f"Your account at {self.site}", text=text)


def say(lifetime: timedelta) -> str:
    """Say a span in words, never longer than it is.

    >>> say(timedelta(minutes=30)), say(timedelta(days=1)), say(timedelta(hours=36))
    ('30 minutes', '24 hours', '36 hours')
    """
    if lifetime > 2 * _DAY:
        return f"{lifetime // _DAY} days"
    if lifetime > 2 * _HOUR:
        return f"{lifetime // _HOUR} hours"
    return f"{lifetime // timedelta(minutes=1)} minutes"
