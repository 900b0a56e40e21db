import pytest
from pydantic import ValidationError

from stockade import Settings
from stockade.authentication.provider_settings import ProviderSettings
from stockade.errors import ConfigurationError

WHOLE = {"issuer": "https://id.example", "client_id": "app", "client_secret": "hush-hush"}


def make(**changes: object) -> ProviderSettings:
    """Make settings; None takes a member away."""
    given = {name: value for name, value in {**WHOLE, **changes}.items() if value is not None}
    return ProviderSettings.model_validate(given)


def test_nothing_is_made_or_trusted_by_default() -> None:
    """A provider only says who somebody is."""
    settings = make()
    assert not settings.registration
    assert not settings.vouches_for("ana@example.com")
    assert settings.algorithms == ("RS256",)
    assert "hush-hush" not in repr(settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://id.example"},
        {"issuer": "id.example"},
        {"issuer": "https://id.example?x"},
        {"client_id": ""},
        {"client_id": "é"},
        {"client_secret": None},
        {"client_secret": ""},
        {"client_key": "-----BEGIN"},
        {"client_authentication": "none"},
        {"client_authentication": "private_key_jwt"},
        {"client_authentication": "private_key_jwt", "client_key": "x"},
        {"scopes": ["email"]},
        {"scopes": []},
        {"scopes": ["openid", "a b"]},
        {"scopes": ["openid", 'a"']},
        {"algorithms": []},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"hosts": ["https://other.example"]},
        {"hosts": ["other.example/path"]},
        {"hosts": ["*.example"]},
        {"registration": True},
        {"registration": True, "trusted_domains": ["example.com"], "scopes": ["openid"]},
        {"trusted_domains": ["EXAMPLE.com"]},
        {"trusted_domains": ["@example.com"]},
        {"trusted_domains": ["*.example.com"]},
        {"trusted_domains": ["com"]},
        {"unknown": 1},
    ],
)
def test_settings_that_can_not_hold_are_refused(changes: dict[str, object]) -> None:
    """At the start, and not when somebody signs in."""
    with pytest.raises(ValidationError):
        make(**changes)


@pytest.mark.parametrize(
    ("domains", "email", "vouches"),
    [
        (["example.com"], "ana@example.com", True),
        (["example.com"], "ana@sub.example.com", False),
        (["example.com"], "ana@notexample.com", False),
        (["example.com"], "example.com@evil.example", False),
        (["*"], "ana@anything.example", True),
    ],
)
def test_a_domain_is_trusted_by_its_whole_name(
    domains: list[str], email: str, vouches: bool
) -> None:
    """Neither what is below it nor what ends like it is the same."""
    assert make(trusted_domains=domains).vouches_for(email) is vouches


def test_each_member_may_have_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the provider is part of the variable's."""
    prefix = "STOCKADE_AUTHENTICATION__PROVIDERS__GOOGLE__"
    for name, value in {
        "ISSUER": "https://accounts.google.com",
        "CLIENT_ID": "1234567890",
        "CLIENT_SECRET": "12345",
        "HOSTS": "oauth2.googleapis.com,www.googleapis.com",
        "REGISTRATION": "true",
        "TRUSTED_DOMAINS": "example.com",
    }.items():
        monkeypatch.setenv(prefix + name, value)
    found = Settings(environment="test").authentication.providers["google"]
    assert found.client_id == "1234567890"
    assert found.hosts == ("oauth2.googleapis.com", "www.googleapis.com")
    assert found.registration


def test_a_mistake_does_not_show_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and the rule."""
    prefix = "STOCKADE_AUTHENTICATION__PROVIDERS__GOOGLE__"
    monkeypatch.setenv(f"{prefix}ISSUER", "ftp://accounts.example")
    monkeypatch.setenv(f"{prefix}CLIENT_ID", "app")
    monkeypatch.setenv(f"{prefix}CLIENT_SECRET", "hush-hush")
    with pytest.raises(ConfigurationError) as caught:
        Settings(environment="test")
    assert f"{prefix}ISSUER" in str(caught.value)
    assert "hush-hush" not in str(caught.value)
    assert "accounts.example" not in str(caught.value)
