from datetime import timedelta

import pytest

from stockade.authentication.mails import AccountMails, say
from stockade.core.mail import InvalidMessageError

TOKEN = "stkl_" + "A" * 43
MAILS = AccountMails("https://app.example.com:8443/account")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        (MAILS.reset_password("a@example.com", TOKEN, lifetime=HOUR).text, "reset-password"),
        (MAILS.register("a@example.com", TOKEN, lifetime=HOUR).text, "verify"),
        (MAILS.allow_email("a@x", "b@x", TOKEN, lifetime=HOUR).text, "allow-email"),
        (MAILS.confirm_email("a@example.com", TOKEN, lifetime=HOUR).text, "confirm-email"),
        (MAILS.invite("a@example.com", TOKEN, tenant="Acme", lifetime=HOUR).text, "invitation"),
    ],
)
def test_a_link_stands_alone_on_its_line(text: str, page: str) -> None:
    """Its token is behind the part that browsers send."""
    link = f"https://app.example.com:8443/account/{page}#token={TOKEN}"
    assert link in text.split("\n")
    assert text.count(TOKEN) == 1
    assert "60 minutes" in text


def test_a_notice_holds_no_token() -> None:
    """It says what to do if it was somebody else."""
    for message in (
        MAILS.password_changed("a@example.com"),
        MAILS.already_registered("a@example.com"),
    ):
        assert "https://app.example.com:8443/account/forgot-password" in message.text
        assert "stkl_" not in message.text
    for message in (
        MAILS.email_changed("a@example.com"),
        MAILS.account_deactivated("a@example.com"),
        MAILS.account_deleted("a@example.com"),
    ):
        assert "#token" not in message.text


def test_both_mails_of_a_registration_look_alike_from_outside() -> None:
    """Who sees the subject in somebody's list of mails learns nothing."""
    first = MAILS.register("a@example.com", TOKEN, lifetime=HOUR)
    second = MAILS.already_registered("a@example.com")
    assert first.subject == second.subject


@pytest.mark.parametrize("to", ["a@example.com\nBcc: b@example.com", "a@x, b@x", ""])
def test_an_address_adds_no_header(to: str) -> None:
    """Whatever a store holds."""
    with pytest.raises(InvalidMessageError):
        MAILS.reset_password(to, TOKEN, lifetime=HOUR)


@pytest.mark.parametrize(
    ("lifetime", "words"),
    [
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(minutes=119, seconds=59), "119 minutes"),
        (timedelta(hours=36, minutes=59), "36 hours"),
        (timedelta(days=2), "48 hours"),
        (timedelta(days=6, hours=23), "6 days"),
    ],
)
def test_a_span_is_never_said_longer_than_it_is(lifetime: timedelta, words: str) -> None:
    """Whoever comes within it is in time."""
    assert say(lifetime) == words
