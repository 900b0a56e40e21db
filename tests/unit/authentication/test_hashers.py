import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import AuthenticationSettings, BcryptHasher, PasswordTooLongError
from stockade.authentication.hashers import Argon2Hasher, choose_hasher, is_argon2
from tests.unit.authentication.helpers import random_password

argon2 = pytest.importorskip("argon2")

PASSWORD = random_password()
COSTS = {"argon2_memory": 7_168, "argon2_time": 1, "bcrypt_cost": 4}
HASHER = choose_hasher(
    AuthenticationSettings.model_validate({"password_hash": "argon2id", **COSTS})
)
STORED = HASHER.hash(PASSWORD)


def test_a_hash_names_its_algorithm_and_its_costs() -> None:
    """So that others can read it, and costs can be raised later."""
    assert STORED.startswith("$argon2id$v=19$m=7168,t=1,p=1$")
    assert is_argon2(STORED)
    assert HASHER.hash(PASSWORD) != STORED


def test_a_password_belongs_to_its_hash() -> None:
    """And no other does."""
    assert HASHER.verify(PASSWORD, STORED)
    for other in ("", PASSWORD + " ", PASSWORD[:-1], PASSWORD.swapcase(), PASSWORD + "\0"):
        assert not HASHER.verify(other, STORED)


def test_no_length_is_cut() -> None:
    """What bcrypt would refuse is read whole."""
    long = "x" * 200
    stored = HASHER.hash(long)
    assert HASHER.verify(long, stored)
    assert not HASHER.verify(long[:-1], stored)
    with pytest.raises(PasswordTooLongError):
        BcryptHasher(cost=4).hash(long)


def test_hashes_of_bcrypt_go_on_and_are_replaced() -> None:
    """Nobody has to choose a new password because of a setting."""
    old = BcryptHasher(cost=4).hash(PASSWORD)
    assert HASHER.verify(PASSWORD, old)
    assert not HASHER.verify("guess", old)
    assert HASHER.needs_rehash(old)
    assert not HASHER.needs_rehash(STORED)


def test_a_hash_of_other_costs_is_replaced() -> None:
    """It is still read."""
    other = Argon2Hasher(memory=8_192, time=1).hash(PASSWORD)
    assert HASHER.verify(PASSWORD, other)
    assert HASHER.needs_rehash(other)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "!",
        "plain",
        PASSWORD,
        STORED + "\n",
        " " + STORED,
        STORED.replace("argon2id", "argon2i"),
        STORED.replace("m=7168", "m=4194304"),
        STORED.replace("m=7168", "m=9999999999"),
        STORED.replace("t=1", "t=99"),
        STORED.replace("p=1", "p=0"),
        STORED[:-1] + "é",
        STORED[:40],
        "$2b$04$short",
    ],
)
def test_what_is_no_usable_hash_never_matches(stored: str | None) -> None:
    """It costs what a usable one costs, and never more."""
    assert not HASHER.verify(PASSWORD, stored)


@given(st.text(max_size=100))
def test_any_stored_text_is_read(text: str) -> None:
    """A row that somebody has written by hand is no error."""
    assert not is_argon2(text)
    assert isinstance(HASHER.needs_rehash(text), bool)


def test_bcrypt_is_what_is_chosen_by_default() -> None:
    """The requirement names it (R6)."""
    assert isinstance(choose_hasher(AuthenticationSettings()), BcryptHasher)
