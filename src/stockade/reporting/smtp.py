"""Send mail by SMTP, with TLS or not at all.

The standard library speaks SMTP well enough for a few mails at a time, in threads of its own: no
further package sees the password of the mail server.

Source: RFC 5321; RFC 3207 (STARTTLS); RFC 8314, section 3 (TLS from the start); ASVS 5.0 V12.3.1.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from stockade.core.clock import SystemClock
from stockade.core.mail import MailError
from stockade.errors import ConfigurationError
from stockade.reporting.encoding import encode_message, parse_sender

if TYPE_CHECKING:
    from datetime import timedelta
    from email.message import EmailMessage

    from stockade.core.clock import Clock
    from stockade.core.mail import Message

_THREADS: Final = 2


class Security(StrEnum):
    """How the connection to a mail server is protected, by the scheme of its address."""

    TLS = "smtps"
    STARTTLS = "smtp"
    NONE = "smtp+plain"


_PORTS: Final = {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class SMTPServer:
    """A mail server and how to reach it.

    Args:
        host: Its name.
        port: Its port.
        security: How the connection is protected.
        username: Account there; empty where it asks for none.
        password: Password of the account.
    """

    host: str
    port: int
    security: Security
    username: str = ""
    password: str = field(default="", repr=False)


def parse_smtp_url(url: str) -> SMTPServer:
    """Read the address of a mail server.

    Args:
        url: ``smtps://``, ``smtp://`` or ``smtp+plain://``; may hold a password.

    Raises:
        ConfigurationError: It can't be read, or would send mails in the clear to another machine;
            the message never repeats it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in set(Security):
        raise _unreadable()
    security = Security(parts.scheme)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise _unreadable()
    if not (username + password).isascii():
        raise _unreadable()
    if security is Security.NONE and not _is_this_machine(host):
        # Links in a mail are as good as passwords.
        message = (
            "STOCKADE_REPORTING__SMTP_URL sends mails in the clear: use smtps:// or smtp:// for a "
            "server on another machine"
        )
        raise ConfigurationError(message)
    return SMTPServer(
        host=host,
        port=port or _PORTS[security],
        security=security,
        username=username,
        password=password,
    )


def _unreadable() -> ConfigurationError:
    return ConfigurationError(
        "STOCKADE_REPORTING__SMTP_URL can't be read: use smtps://user:password@host, "
        "smtp://user:password@host, or smtp+plain://localhost; percent-encode what is special in "
        "the password"
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class SMTPMailer:
    """Send each message over a connection of its own.

    Args:
        server: The mail server.
        sender: Who sends.
        timeout: How long the server may take to answer, each time.
        clock: Source of time.
        context: Whom to trust; the certificate authorities of the machine unless given.

    Raises:
        ValueError: The sender can't be read.
    """

    def __init__(
        self,
        server: SMTPServer,
        *,
        sender: str,
        timeout: timedelta,
        clock: Clock | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._sender = parse_sender(sender)
        self._timeout = timeout.total_seconds()
        self._clock = clock or SystemClock()
        self._context = context or ssl.create_default_context()
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="stockade-mail")

    async def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            MailError: The server is away, has no certificate that holds, or did not take it.
        """
        mail = encode_message(message, sender=self._sender, now=self._clock.now())
        loop = asyncio.get_running_loop()
        refusal = ""
        try:
            await loop.run_in_executor(self._executor, self._deliver, mail, message.to)
        except OSError as error:
            # What a server says repeats the recipient: its code is enough.
            code = getattr(error, "smtp_code", "")
            refusal = f"{type(error).__name__} {code}".rstrip()
        if refusal:
            # Not within the handler, so that no log follows it to the words of the server.
            told = f"the mail server did not take a mail ({refusal})"
            raise MailError(told)

    def close(self) -> None:
        """Give back the threads; mails that are on their way are not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, mail: EmailMessage, recipient: str) -> None:
        connection = self._connect()
        try:
            if self._server.username:
                connection.login(self._server.username, self._server.password)
            # Not `send_message`, which puts a mark before lines that begin with "From".
            connection.sendmail(self._sender.addr_spec, [recipient], mail.as_bytes())
            # It has been taken; how the two part makes no difference.
            with suppress(OSError):
                connection.quit()
        finally:
            connection.close()

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        name = self._sender.domain
        if server.security is Security.TLS:
            return smtplib.SMTP_SSL(
                server.host,
                server.port,
                local_hostname=name,
                timeout=self._timeout,
                context=self._context,
            )
        connection = smtplib.SMTP(
            server.host, server.port, local_hostname=name, timeout=self._timeout
        )
        if server.security is Security.STARTTLS:
            try:
                # Raises where the server offers none: nothing is ever sent in the clear instead.
                connection.starttls(context=self._context)
            except BaseException:
                connection.close()
                raise
        return connection
