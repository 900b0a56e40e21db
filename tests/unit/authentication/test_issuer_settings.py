from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stockade import Settings
from stockade.authentication import AuthenticationSettings
from stockade.authentication.issuer_settings import IssuerSettings, check_address

GOOD: dict[str, Any] = {"issuer": "https://issuer.example", "audience": "api"}


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ""},
        {"issuer": "issuer"},
        {"issuer": "http://issuer.example"},
        {"issuer": "https://"},
        {"issuer": "https:///x"},
        {"issuer": "https://user@issuer.example"},
        {"issuer": "https://issuer.example?x=1"},
        {"issuer": "https://issuer.example#x"},
        {"issuer": "https://issuer.example:x"},
        {"issuer": "https://issuer.example\\x"},
        {"issuer": "https://issuer.example/a b"},
        {"issuer": "https://issuer.example\n"},
        {"issuer": "https://isßuer.example"},
        {"issuer": "ftp://issuer.example"},
        {"issuer": "https://" + "x" * 300},
        {"jwks_url": "http://issuer.example/keys"},
        {"jwks_url": "file:///etc/passwd"},
        {"audience": ""},
        {"algorithms": ()},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"algorithms": ("RS256", "PS256")},
        {"token_types": ()},
        {"token_types": ("JWT",)},
        {"token_types": ("at+jwt", "JWT")},
        {"tenant": ""},
        {"tenant": "acme", "tenant_claim": ("org",), "tenants": {"a": "b"}},
        {"tenant_claim": ("org",)},
        {"tenants": {"a": "b"}},
        {"roles_claim": ("roles",)},
        {"roles": {"a": "b"}},
        {"roles_claim": ("a",) * 6, "roles": {"a": "b"}},
        {"metadata": "https://attacker.example"},
        {"keys_lifetime": 0},
        {"keys_outage": "P8D"},
        {"pause": 0},
        {"timeout": 0},
        {"timeout": 31},
        {"longest_lifetime": "P8D"},
        {"unheard_of": 1},
    ],
    ids=repr,
)
def test_settings_that_open_too_much_are_refused(change: dict[str, Any]) -> None:
    """Nothing unpinned, nothing in the clear, nothing for ever."""
    IssuerSettings.model_validate(GOOD)
    with pytest.raises(ValidationError):
        IssuerSettings.model_validate({**GOOD, **change})


@pytest.mark.parametrize("missing", ["issuer", "audience"])
def test_issuer_and_audience_have_no_default(missing: str) -> None:
    """Somebody has to say whom to believe, and what about."""
    with pytest.raises(ValidationError):
        IssuerSettings.model_validate({k: v for k, v in GOOD.items() if k != missing})


@pytest.mark.parametrize(
    "address",
    [
        "https://issuer.example",
        "https://issuer.example/",
        "https://issuer.example:8443/realms/a",
        "http://localhost:8080/realms/a",
        "http://127.0.0.1",
        "http://[::1]:8080",
    ],
)
def test_addresses_that_are_taken(address: str) -> None:
    """Any place by https; this machine without it."""
    check_address(address)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1.attacker.example", "http://localhost@attacker.example", "http://127.0.0.2"],
)
def test_addresses_that_only_look_local(address: str) -> None:
    """The host decides, and not how an address begins."""
    with pytest.raises(ValueError, match="https"):
        check_address(address)


@given(st.text(max_size=40) | st.text("htps:/@?#[]\\.%a1 \n", max_size=30).map("https:/".__add__))
def test_any_text_is_an_address_or_none(text: str) -> None:
    """Checking raises one kind of error alone."""
    try:
        check_address(text)
    except ValueError:
        return
    assert text.startswith(("https://", "http://"))


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a|b", "a" * 41, "a\n", "ä"], ids=repr)
def test_the_name_of_an_issuer_is_plain(name: str) -> None:
    """It goes before identifiers, and must not look like a part of one."""
    with pytest.raises(ValidationError):
        AuthenticationSettings.model_validate({"issuers": {name: GOOD}})


def test_issuers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one JSON object."""
    value = '{"partner": {"issuer": "https://issuer.example", "audience": "api", "pause": 60}}'
    monkeypatch.setenv("STOCKADE_AUTHENTICATION__ISSUERS", value)
    issuers = Settings(environment="test").authentication.issuers
    assert issuers["partner"].pause.total_seconds() == 60
