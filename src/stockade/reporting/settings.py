"""Settings of what is sent by mail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from stockade.reporting.encoding import parse_sender


def _check_sender(value: str) -> str:
    parse_sender(value)
    return value


class ReportingSettings(BaseModel):
    """How mail is sent.

    Attributes:
        smtp_url: The mail server: ``smtps://user:password@host`` for TLS from the start,
            ``smtp://user:password@host`` for STARTTLS, without which nothing is sent, and
            ``smtp+plain://localhost`` for a server on the same machine. Without one, mails are
            written to ``mail_folder`` while the application is not deployed.
        sender: Who sends: an address, or ``Acme <no-reply@example.com>``.
        mail_folder: Where mails go as files without a mail server.
        smtp_timeout: How long the mail server may take to answer, each time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    smtp_url: SecretStr | None = None
    sender: Annotated[str, AfterValidator(_check_sender)] = Field(
        default="no-reply@localhost", max_length=400
    )
    mail_folder: Path = Path("demo-mail")
    smtp_timeout: timedelta = Field(
        default=timedelta(seconds=10), ge=timedelta(seconds=1), le=timedelta(minutes=2)
    )
