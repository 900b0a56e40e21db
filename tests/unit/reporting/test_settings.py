import pytest
from pydantic import ValidationError

from stockade import Settings
from stockade.errors import ConfigurationError
from stockade.reporting import ReportingSettings


def test_the_mail_server_is_a_secret() -> None:
    """Its password is in no representation."""
    settings = ReportingSettings.model_validate({"smtp_url": "smtps://a:canary@mail.example.com"})
    assert "canary" not in repr(settings)


@pytest.mark.parametrize("sender", ["", "Acme", "a@example.com, b@example.com", "A\n <a@b.c>"])
def test_another_sender_is_refused(sender: str) -> None:
    """It would be found by the first mail otherwise."""
    with pytest.raises(ValidationError):
        ReportingSettings(sender=sender)


def test_the_environment_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake is named without its value."""
    monkeypatch.setenv("STOCKADE_REPORTING__SENDER", "Acme <no-reply@example.com>")
    assert Settings(environment="test").reporting.sender == "Acme <no-reply@example.com>"
    monkeypatch.setenv("STOCKADE_REPORTING__SENDER", "canary")
    with pytest.raises(ConfigurationError) as caught:
        Settings(environment="test")
    assert "STOCKADE_REPORTING__SENDER" in str(caught.value)
    assert "canary" not in str(caught.value)
