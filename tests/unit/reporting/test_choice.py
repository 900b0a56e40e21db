from pathlib import Path

import pytest

from stockade.errors import ConfigurationError
from stockade.reporting import FileMailer, ReportingSettings, SMTPMailer, choose_mailer


def test_a_mail_server_is_used_wherever_there_is_one() -> None:
    """Also on the machine of a developer."""
    given = {"smtp_url": "smtps://mail.example.com", "sender": "no-reply@example.com"}
    settings = ReportingSettings.model_validate(given)
    for is_deployed in (False, True):
        mailer = choose_mailer(settings, is_deployed=is_deployed)
        assert isinstance(mailer, SMTPMailer)
        mailer.close()


def test_files_are_for_a_machine_of_a_developer(tmp_path: Path) -> None:
    """A deployed application has no folder of working links."""
    settings = ReportingSettings(mail_folder=tmp_path)
    assert isinstance(choose_mailer(settings, is_deployed=False), FileMailer)
    assert choose_mailer(settings, is_deployed=True) is None


def test_an_address_that_can_not_be_used_stops_the_start() -> None:
    """It is a mistake of the configuration."""
    settings = ReportingSettings.model_validate({"smtp_url": "mail.example.com"})
    with pytest.raises(ConfigurationError):
        choose_mailer(settings, is_deployed=False)


def test_a_deployed_application_has_a_sender_of_its_own() -> None:
    """Other servers refuse mails of a name that only this machine has."""
    settings = ReportingSettings.model_validate({"smtp_url": "smtps://mail.example.com"})
    with pytest.raises(ConfigurationError) as caught:
        choose_mailer(settings, is_deployed=True)
    assert "STOCKADE_REPORTING__SENDER" in str(caught.value)
