import sys
from typing import Any

import pytest

from stockade.authentication import AuthenticationSettings, BcryptHasher, PasswordTooLongError
from stockade.authentication.hashers import choose_hasher
from stockade.authentication.passwords import Argon2Hasher, PasswordHasher
from stockade.errors import ConfigurationError
from stockade.settings import Settings
from tests.unit.authentication.helpers import NEW, OLD, random_password

PASSWORD = random_password()
COSTS: dict[str, Any] = {"argon2_memory": 7_168, "argon2_time": 1, "bcrypt_cost": 4}
BCRYPT = BcryptHasher(cost=4)


def choose(**settings: object) -> PasswordHasher:
    """Make the hasher of some settings, at the least costs."""
    return choose_hasher(AuthenticationSettings.model_validate(COSTS | settings))


def test_bcrypt_is_what_is_chosen_by_default() -> None:
    """The requirement names it (R6)."""
    assert choose_hasher(AuthenticationSettings()).hash(PASSWORD).startswith("$2b$12$")


def test_hashes_of_bcrypt_go_on_and_are_replaced() -> None:
    """Nobody has to choose a new password because of a setting."""
    pytest.importorskip("argon2")
    hasher = choose(password_hash="argon2id")
    old = BCRYPT.hash(PASSWORD)
    assert hasher.reads(old)
    assert hasher.verify(PASSWORD, old)
    assert not hasher.verify("guess", old)
    assert hasher.needs_rehash(old)
    assert not hasher.needs_rehash(hasher.hash(PASSWORD))


def test_the_way_back_is_open() -> None:
    """Hashes of Argon2id go on after bcrypt is chosen again."""
    pytest.importorskip("argon2")
    hasher = choose()
    old = Argon2Hasher(memory=7_168, time=1).hash(PASSWORD)
    assert hasher.verify(PASSWORD, old)
    assert not hasher.verify("guess", old)
    assert hasher.needs_rehash(old)


def test_without_the_extra_argon2_can_not_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its hashes are no hashes that can be read."""
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(ConfigurationError):
        choose(password_hash="argon2id")
    hasher = choose()
    assert hasher.verify(PASSWORD, hasher.hash(PASSWORD))
    stored = "$argon2id$v=19$m=7168,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43
    assert not hasher.reads(stored)
    assert not hasher.verify(PASSWORD, stored)


@pytest.mark.parametrize("keys", [(), ("tiny",), ("changeme" * 8,), (NEW, NEW)], ids=len)
def test_a_pepper_needs_keys_that_are_some(keys: tuple[str, ...]) -> None:
    """Without them it would look as if there were a pepper; no key is repeated in the error."""
    with pytest.raises(ConfigurationError) as caught:
        choose(password_pepper=True, password_pepper_keys=keys)
    assert "PASSWORD_PEPPER_KEYS" in str(caught.value)
    assert not any(key in str(caught.value) for key in keys)


def test_weak_keys_are_refused_where_they_only_check() -> None:
    """They made hashes once."""
    with pytest.raises(ConfigurationError):
        choose(password_pepper_keys=("tiny",))


def test_keys_are_kept_out_of_sight() -> None:
    """As all secrets of the settings."""
    settings = AuthenticationSettings.model_validate({"password_pepper_keys": (NEW,)})
    assert NEW not in repr(settings)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parted by commas, as the other lists."""
    monkeypatch.setenv("STOCKADE_AUTHENTICATION__PASSWORD_PEPPER", "true")
    monkeypatch.setenv("STOCKADE_AUTHENTICATION__PASSWORD_PEPPER_KEYS", f"{OLD}, {NEW}")
    settings = Settings().authentication
    keys = [key.get_secret_value() for key in settings.password_pepper_keys]
    assert (settings.password_pepper, keys) == (True, [OLD, NEW])


@pytest.mark.parametrize("pepper", [False, True])
def test_bcrypt_takes_no_more_with_a_pepper(pepper: bool) -> None:
    """So that the pepper can be left out again."""
    hasher = choose(password_pepper_keys=(NEW,), password_pepper=pepper)
    assert hasher.verify("a" * 72, hasher.hash("a" * 72))
    for password in ("a" * 73, "nul\0"):
        with pytest.raises(PasswordTooLongError):
            hasher.hash(password)


def test_a_pepper_is_a_setting() -> None:
    """It is off unless asked for, and what was hashed before goes on."""
    plain = choose(password_pepper_keys=(NEW,))
    peppered = choose(password_pepper_keys=(NEW,), password_pepper=True)
    assert plain.hash(PASSWORD).startswith("$2b$")
    assert peppered.hash(PASSWORD).startswith("$pepper$")
    for hasher, other in ((plain, peppered), (peppered, plain)):
        assert hasher.verify(PASSWORD, other.hash(PASSWORD))
        assert hasher.needs_rehash(other.hash(PASSWORD))
        assert not hasher.needs_rehash(hasher.hash(PASSWORD))
