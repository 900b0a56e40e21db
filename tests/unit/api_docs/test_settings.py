from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from stockade.api_docs import APIDocsSettings

PASSWORD = "correct horse battery"


def refused(**values: object) -> ValidationError:
    """Build settings that must be refused; return the error."""
    with pytest.raises(ValidationError) as caught:
        APIDocsSettings.model_validate(values)
    return caught.value


def test_docs_are_off_by_default() -> None:
    """Without credentials nothing is served, although the switch is on."""
    settings = APIDocsSettings()
    assert settings.enabled
    assert not settings.is_served


def test_docs_are_served_with_credentials() -> None:
    """A user name and a password turn the documentation on."""
    settings = APIDocsSettings(username="reader", password=SecretStr(PASSWORD))
    assert settings.is_served


def test_switch_turns_docs_off() -> None:
    """The switch wins over the credentials."""
    settings = APIDocsSettings(enabled=False, username="reader", password=SecretStr(PASSWORD))
    assert not settings.is_served


def test_settings_are_frozen() -> None:
    """A password can't be taken away from running settings."""
    settings = APIDocsSettings(username="reader", password=SecretStr(PASSWORD))
    with pytest.raises(ValidationError):
        settings.password = None  # type: ignore[misc]  # The test breaks the rule on purpose.


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"username": "reader"}, id="no password"),
        pytest.param({"password": PASSWORD}, id="no user name"),
        pytest.param({"username": "reader", "password": "elevenchars"}, id="eleven characters"),
        pytest.param({"username": "reader", "password": "x" * 257}, id="too long"),
        pytest.param({"username": "reader", "password": ""}, id="empty"),
        pytest.param({"username": "reader", "password": 123456789012345}, id="number"),
        pytest.param({"username": "reader", "password": [PASSWORD]}, id="list"),
        pytest.param({"username": "reader", "password": PASSWORD + "\n"}, id="line feed"),
        pytest.param({"username": "reader", "password": PASSWORD + "\x7f"}, id="delete"),
        pytest.param({"username": "reader", "password": PASSWORD + "e\u0301"}, id="not NFC"),
        pytest.param({"username": "reader", "password": PASSWORD + "\ud800"}, id="surrogate"),
        pytest.param({"username": "long-enough-name", "password": "long-enough-name"}, id="same"),
    ],
)
def test_password_is_refused_and_never_echoed(values: dict[str, object]) -> None:
    """A refused password appears in no form of the error, not even in its inputs."""
    error = refused(**values)
    assert error.errors()[0]["loc"] == ("password",)
    secret = values.get("password")
    if secret:
        shown = (str(error), repr(error), repr(error.errors()))
        assert all(str(secret).strip("[]'") not in text for text in shown)


@given(st.text(min_size=4, max_size=11))
def test_short_password_is_never_echoed(password: str) -> None:
    """No text shorter than the minimum is accepted or repeated as an input."""
    error = refused(username="reader", password=password)
    assert all(password != item["input"] for item in error.errors())
    assert all(isinstance(item["input"], SecretStr) for item in error.errors())


@pytest.mark.parametrize(
    "username",
    [
        pytest.param("", id="empty"),
        pytest.param("a:b", id="colon"),
        pytest.param("a\x00b", id="NUL"),
        pytest.param("a\r\nb", id="line break"),
        pytest.param("e\u0301", id="not NFC"),
        pytest.param("\udfff", id="surrogate"),
        pytest.param("n" * 65, id="too long"),
    ],
)
def test_username_is_refused(username: str) -> None:
    """A user name that HTTP Basic can't carry is refused, and the password stays out of it."""
    error = refused(username=username, password=PASSWORD)
    assert [item["loc"] for item in error.errors()] == [("username",)]
    assert PASSWORD not in repr(error.errors())


@pytest.mark.parametrize(
    "realm", ["", 'a"b', "a\\b", "a\nb", "caf\u00e9", "docs\n", "r" * 65], ids=ascii
)
def test_realm_is_refused(realm: str) -> None:
    """A realm that could end its quoted string, or leave ASCII, is refused."""
    assert refused(realm=realm).errors()[0]["loc"] == ("realm",)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*",
        "'unsafe-inline'",
        "data:",
        "https://a.example; script-src *",
        "https://a.example https://b.example",
        "https://a.example/path",
        "https://A.example",
        "https://a.example\n",
        "https://a..example",
        "https://",
        "ws://a.example",
    ],
)
def test_origin_is_refused(origin: str) -> None:
    """Nothing but a plain origin can reach the policy header."""
    assert refused(connect_origins=[origin]).errors()[0]["loc"] == ("connect_origins",)


@pytest.mark.parametrize("origin", ["https://login.example.com", "http://localhost:8080"])
def test_origin_is_accepted(origin: str) -> None:
    """A scheme, a host and a port are an origin."""
    assert APIDocsSettings(connect_origins=(origin,)).connect_origins == (origin,)


def test_unknown_setting_is_refused() -> None:
    """A misspelt setting is an error, and its value is not shown in the message."""
    assert PASSWORD not in str(refused(username="reader", pasword=PASSWORD))
