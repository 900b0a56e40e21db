"""Send mail: by SMTP, into files, or into memory for tests."""

from stockade.core.mail import InvalidMessageError, Mailer, MailError, Message
from stockade.reporting.choice import choose_mailer
from stockade.reporting.files import FileMailer
from stockade.reporting.memory import MemoryMailer
from stockade.reporting.settings import ReportingSettings
from stockade.reporting.smtp import SMTPMailer

__all__ = [
    "FileMailer",
    "InvalidMessageError",
    "MailError",
    "Mailer",
    "MemoryMailer",
    "Message",
    "ReportingSettings",
    "SMTPMailer",
    "choose_mailer",
]
