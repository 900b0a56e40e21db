from datetime import timedelta

import pytest
from pydantic import ValidationError

from stockade.authentication import AuthenticationSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("algorithm", "none"),
        ("algorithm", "RS384"),
        ("signing_keys", "k"),
        ("signing_keys", ("k",) * 21),
        ("access_token_lifetime", timedelta(minutes=5, microseconds=-1)),
        ("access_token_lifetime", timedelta(minutes=15, microseconds=1)),
        ("leeway", timedelta(seconds=-1)),
        ("leeway", timedelta(minutes=3)),
        ("identity_cache_lifetime", 5.1),
        ("identity_cache_lifetime", float("nan")),
        ("identity_cache_lifetime", float("inf")),
        ("bcrypt_cost", 3),
        ("bcrypt_cost", 31),
        ("hashing_threads", 0),
        ("hashing_queue", 0),
        ("issuer", ""),
        ("audience", ""),
        ("unheard_of", 1),
    ],
)
def test_a_setting_that_weakens_sign_in_is_refused(name: str, value: object) -> None:
    """What would never expire, never be checked or never finish can't be configured."""
    with pytest.raises(ValidationError):
        AuthenticationSettings.model_validate({name: value})


def test_the_defaults_are_safe() -> None:
    """Short tokens, a modern signature, a slow hash, quick revocation."""
    settings = AuthenticationSettings()
    assert settings.algorithm == "Ed25519"
    assert settings.access_token_lifetime <= timedelta(minutes=15)
    assert settings.bcrypt_cost >= 12
    assert settings.identity_cache_lifetime <= 1


@pytest.mark.parametrize(
    ("domain", "origins"),
    [
        ("example.com", ["https://example.com", "https://app.example.com:8443"]),
        ("localhost", ["http://localhost:8000"]),
        ("example.com", []),
        (None, []),
    ],
)
def test_passkeys_belong_to_a_domain_and_what_is_below_it(
    domain: str | None, origins: list[str]
) -> None:
    """Over TLS, but for this very machine."""
    made = AuthenticationSettings.model_validate(
        {"passkey_rp_id": domain, "passkey_origins": origins}
    )
    assert made.passkey_origins == tuple(origins)


@pytest.mark.parametrize(
    ("domain", "origins"),
    [
        ("example.com", ["https://example.org"]),
        ("example.com", ["https://evilexample.com"]),
        ("example.com", ["http://example.com"]),
        ("app.example.com", ["https://example.com"]),
        (None, ["https://example.com"]),
        ("localhost", ["http://127.0.0.1:8000"]),
        ("com", []),
        ("192.0.2.1", []),
        ("https://example.com", []),
        ("example.com:8443", []),
        ("EXAMPLE.com", []),
        ("", []),
    ],
)
def test_a_page_that_could_use_no_passkey_is_a_mistake(
    domain: str | None, origins: list[str]
) -> None:
    """Another domain, one above it, no TLS, or no domain at all."""
    with pytest.raises(ValidationError):
        AuthenticationSettings.model_validate({"passkey_rp_id": domain, "passkey_origins": origins})
