"""Choose how mail is sent by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.errors import ConfigurationError
from stockade.reporting.files import FileMailer
from stockade.reporting.settings import ReportingSettings
from stockade.reporting.smtp import SMTPMailer, parse_smtp_url

if TYPE_CHECKING:
    from stockade.core.clock import Clock
    from stockade.core.mail import Mailer


def choose_mailer(
    settings: ReportingSettings, *, is_deployed: bool, clock: Clock | None = None
) -> Mailer | None:
    """Make the mailer that the settings name.

    Args:
        settings: How mail is sent.
        is_deployed: Whether others than its developers can reach the application: mails then never
            go to files, which hold working links.
        clock: Source of time.

    Returns:
        The mailer; None for a deployed application without a mail server.

    Raises:
        ConfigurationError: The address of the mail server can't be read or used, or nobody sends.
    """
    if settings.smtp_url is not None:
        if is_deployed and settings.sender == ReportingSettings().sender:
            message = "mails need a sender: set STOCKADE_REPORTING__SENDER to an address of yours"
            raise ConfigurationError(message)
        server = parse_smtp_url(settings.smtp_url.get_secret_value())
        return SMTPMailer(
            server, sender=settings.sender, timeout=settings.smtp_timeout, clock=clock
        )
    if is_deployed:
        return None
    return FileMailer(settings.mail_folder, sender=settings.sender, clock=clock)
