import email
from datetime import UTC, datetime
from email.policy import default

import pytest

from stockade.core.mail import Message
from stockade.reporting.encoding import encode_message, parse_sender

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MESSAGE = Message(
    to="ana@example.com",
    subject="Ein neues Passwört",
    text=f"https://app.example.com/reset-password#token=stkl_{'x' * 43}\n\nGrüße\n",
)


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("no-reply@example.com", "", "no-reply@example.com"),
        ("Acme <no-reply@example.com>", "Acme", "no-reply@example.com"),
        ("Acme, Inc. <no-reply@example.com>", "Acme, Inc.", "no-reply@example.com"),
        ("Größe <a@example.com>", "Größe", "a@example.com"),
    ],
)
def test_a_sender_is_read(value: str, name: str, address: str) -> None:
    """It is an address, with or without a name."""
    found = parse_sender(value)
    assert (found.display_name, found.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Acme",
        "Acme <>",
        "Acme <a@example.com>, b@example.com",
        "a@example.com, b@example.com",
        "<a@example.com>",
        'A"b <a@example.com>',
        "A\nBcc: x <a@example.com>",
        "A <a@example.com>\n",
        "A\0 <a@example.com>",
        "a@b@c",
    ],
    ids=ascii,
)
def test_another_sender_is_refused(value: str) -> None:
    """It is a mistake in the settings."""
    with pytest.raises(ValueError):
        parse_sender(value)


def test_a_mail_reads_as_it_was_meant() -> None:
    """A reader of mails finds every part, and the link in one piece."""
    sender = parse_sender("Acme, Inc. <no-reply@example.com>")
    raw = encode_message(MESSAGE, sender=sender, now=NOW).as_bytes()
    read = email.message_from_bytes(raw, policy=default)
    assert read["To"] == "ana@example.com"
    assert read["From"].addresses[0].display_name == "Acme, Inc."
    assert len(read["From"].addresses) == len(read["To"].addresses) == 1
    assert read["Subject"] == MESSAGE.subject
    assert read["Date"].datetime == NOW
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Message-ID"].endswith("@example.com>")
    assert read.get_content_type() == "text/plain"
    assert read.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert all(len(line) < 998 for line in raw.split(b"\r\n"))


def test_no_two_mails_have_the_same_name() -> None:
    """Mailboxes would take the second for the first."""
    sender = parse_sender("no-reply@example.com")
    names = {encode_message(MESSAGE, sender=sender, now=NOW)["Message-ID"] for _ in range(20)}
    assert len(names) == 20
