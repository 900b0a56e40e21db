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
