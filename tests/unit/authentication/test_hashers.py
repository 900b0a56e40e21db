import sys
from typing import Any

import pytest

from stockade.authentication import AuthenticationSettings, BcryptHasher, PasswordTooLongError
from stockade.authentication.hashers import choose_hasher
from stockade.authentication.passwords import Argon2Hasher, PasswordHasher
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError
from tests.unit.authentication.helpers import NEW, random_password

PASSWORD = random_password()
COSTS: dict[str, Any] = {"argon2_memory": 7_168, "argon2_time": 1, "bcrypt_cost": 4}
BCRYPT = BcryptHasher(cost=4)


def choose(keys: KeyRing | None = None, **settings: object) -> PasswordHasher:
    """Make the hasher of some settings, at the least costs."""
    return choose_hasher(AuthenticationSettings.model_validate(COSTS | settings), keys)


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


def test_a_pepper_needs_a_key() -> None:
    """Without one it would look as if there were a pepper."""
    with pytest.raises(ConfigurationError):
        choose(password_pepper=True)


@pytest.mark.parametrize("pepper", [False, True])
def test_bcrypt_takes_no_more_with_a_pepper(pepper: bool) -> None:
    """So that the pepper can be left out again."""
    hasher = choose(KeyRing([NEW]), password_pepper=pepper)
    assert hasher.verify("a" * 72, hasher.hash("a" * 72))
    for password in ("a" * 73, "nul\0"):
        with pytest.raises(PasswordTooLongError):
            hasher.hash(password)


def test_a_pepper_is_a_setting() -> None:
    """It is off unless asked for, and what was hashed before goes on."""
    keys = KeyRing([NEW])
    plain, peppered = choose(keys), choose(keys, password_pepper=True)
    assert plain.hash(PASSWORD).startswith("$2b$")
    assert peppered.hash(PASSWORD).startswith("$pepper$")
    for hasher, other in ((plain, peppered), (peppered, plain)):
        assert hasher.verify(PASSWORD, other.hash(PASSWORD))
        assert hasher.needs_rehash(other.hash(PASSWORD))
        assert not hasher.needs_rehash(hasher.hash(PASSWORD))
