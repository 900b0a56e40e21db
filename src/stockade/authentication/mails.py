"""Write the mails of accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stockade.core.mail import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_LONGEST_TENANT: Final = 60
# Marks of programs, the more telling first: most of them claim to be some of the others as well.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "a Python program"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


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

    def password_changed(self, to: str, others: Sequence[str] = ()) -> Message:
        """Tell the owner that there is a new password.

        Args:
            to: The owner.
            others: What else lets somebody in to the account, in words of our own.
        """
        left = ""
        if others:
            left = (
                "What else lets somebody in to your account, and still does: "
                f"{', '.join(others)}. Take off what is not yours.\n\n"
            )
        text = (
            f"Your password at {self.site} has just been changed, and every device but the one "
            "that it was changed on has been signed out.\n\n"
            f"{left}"
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

    def allow_email(self, to: str, new: str, token: str, *, lifetime: timedelta) -> Message:
        """Ask the owner, at the address of now, whether the account may get a new one."""
        text = (
            f"Somebody, hopefully you, wants to change the address of your account at {self.site} "
            f"to\n\n{new}\n\nAllow it here within {say(lifetime)}:\n\n"
            f"{self.link('allow-email', token)}\n\n"
            "The link works once; a second one goes to the new address.\nIf it was not you, "
            "somebody knows your password: leave this link alone, and choose a new one at once:\n"
            "\n"
            f"{self._pages}/forgot-password\n"
        )
        return Message(to=to, subject=f"A new address for {self.site}", text=text)

    def confirm_email(self, to: str, token: str, *, lifetime: timedelta) -> Message:
        """Ask at the new address whether it is the owner's."""
        text = (
            f"Somebody, hopefully you, wants to use this address for an account at {self.site}.\n\n"
            f"Confirm it here within {say(lifetime)}:\n\n"
            f"{self.link('confirm-email', token)}\n\n"
            "The link works once. If it was not you, there is nothing to do.\n"
        )
        return Message(to=to, subject=f"Your address for {self.site}", text=text)

    def email_changed(self, to: str) -> Message:
        """Tell the owner, at the address of before, that there is a new one."""
        text = (
            f"Your account at {self.site} has a new address, and this one is no longer used for "
            "it. Every device has been signed out.\n"
        )
        return Message(to=to, subject=f"Your address for {self.site} was changed", text=text)

    def identity_linked(self, to: str, provider: str) -> Message:
        """Tell the owner that there is another way in to the account."""
        text = (
            f"Somebody, hopefully you, can sign in to your account at {self.site} by way of "
            f"{provider} from now on.\n\n"
            "If it was not you, sign in, take it off, and change your password.\n"
        )
        return Message(to=to, subject=f"A new way to sign in to {self.site}", text=text)

    def identity_unlinked(self, to: str, provider: str) -> Message:
        """Tell the owner that there is one way in less."""
        text = (
            f"Nobody can sign in to your account at {self.site} by way of {provider} any longer, "
            "unless it is linked again.\n\n"
            "If it was not you, sign in and change your password.\n"
        )
        return Message(to=to, subject=f"A way to sign in to {self.site} is gone", text=text)

    def factors_changed(self, to: str) -> Message:
        """Tell the owner that an authenticator app, a passkey or recovery codes have changed."""
        text = (
            f"How you prove that it is you at {self.site} has just been changed: an authenticator "
            "app or a passkey was added or removed, or there are new recovery codes.\n\n"
            "If it was not you, ask for a new password at once:\n\n"
            f"{self._pages}/forgot-password\n"
        )
        return Message(to=to, subject=f"Your second factor for {self.site} was changed", text=text)

    def new_device(self, to: str, *, device: str, address: str) -> Message:
        """Tell the owner of a sign-in from a device that the account was not seen with before."""
        text = (
            f"Somebody, hopefully you, has signed in to your account at {self.site} from a device "
            "that it was not seen with before.\n\n"
            f"Device: {name_device(device)}\nAddress: {address}\n\n"
            "If it was not you, ask for a new password at once:\n\n"
            f"{self._pages}/forgot-password\n"
        )
        return Message(to=to, subject=f"A new device at {self.site}", text=text)

    def invite(self, to: str, token: str, *, tenant: str, lifetime: timedelta) -> Message:
        """Give somebody a way into a tenant.

        Args:
            to: Whom it is for.
            token: Of the invitation.
            tenant: What people call the tenant; untrusted.
            lifetime: How long it holds.
        """
        named = name_tenant(tenant)
        whereto = f"{named} at {self.site}" if named else self.site
        text = (
            f"You are invited to {whereto}.\n\nAccept within {say(lifetime)}:\n\n"
            f"{self.link('invitation', token)}\n\n"
            "The link works once, and for this address alone. If you expect no invitation, there "
            "is nothing to do.\n"
        )
        return Message(to=to, subject=f"An invitation to {self.site}", text=text)

    def account_deactivated(self, to: str) -> Message:
        """Tell the owner that the account was switched off."""
        text = f"Your account at {self.site} was deactivated. Nobody can sign in to it.\n"
        return Message(to=to, subject=f"Your account at {self.site} is off", text=text)

    def account_deleted(self, to: str) -> Message:
        """Tell the owner that the account is gone."""
        text = f"Your account at {self.site} was deleted.\n"
        return Message(to=to, subject=f"Your account at {self.site} is gone", text=text)


def name_tenant(name: str) -> str:
    """Name a tenant in a mail: with letters, digits and spaces, and nothing a program makes a link.

    Whoever may make a tenant must not write mails of ours. A name that has no letter is empty.

    >>> name_tenant("Acme & Sons"), name_tenant("Win at https://evil.example/x")
    ('Acme Sons', 'Win at https evil example x')
    """
    kept = "".join(letter if letter.isalnum() else " " for letter in name)
    return " ".join(kept.split())[:_LONGEST_TENANT].rstrip()


def name_device(device: str) -> str:
    """Name a device in words of our own.

    What it calls itself is whatever its sender likes, such as a link for the owner to follow.

    >>> name_device("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    'Firefox on Linux'
    """
    browser = next((name for mark, name in _BROWSERS if mark in device), "an unknown program")
    system = next((name for mark, name in _SYSTEMS if mark in device), None)
    return browser if system is None else f"{browser} on {system}"


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
