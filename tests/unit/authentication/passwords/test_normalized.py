import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockade.authentication import BcryptHasher, PasswordTooLongError
from stockade.authentication.passwords.normalized import NormalizedHasher

INNER = BcryptHasher(cost=4)
HASHER = NormalizedHasher(INNER)
# An e with its accent, as one character and as two.
COMPOSED, DECOMPOSED = "caf\u00e9 oboe kelp", "cafe\u0301 oboe kelp"


def test_two_spellings_of_the_same_characters_are_one_password() -> None:
    """Whoever has set it on one keyboard can sign in from another."""
    for password in (COMPOSED, DECOMPOSED):
        stored = HASHER.hash(password)
        assert HASHER.verify(COMPOSED, stored)
        assert HASHER.verify(DECOMPOSED, stored)
        assert not HASHER.verify("cafe oboe kelp", stored)


def test_what_was_hashed_as_it_came_goes_on() -> None:
    """Hashes of earlier days and of other programs were not made of the normal form."""
    stored = INNER.hash(DECOMPOSED)
    assert HASHER.verify(DECOMPOSED, stored)
    assert not HASHER.verify(COMPOSED, stored)
    assert HASHER.verify(COMPOSED, INNER.hash(COMPOSED))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x²", "x2"),
        ("\ufb01n", "fin"),
        ("\uff41bc", "abc"),
        ("STRASSE", "strasse"),
        ("stra\u00dfe", "strasse"),
        ("a b", "a  b"),
        ("a\u00a0b", "a b"),
        (" ab", "ab"),
        ("\u0430bc", "abc"),
    ],
    ids=ascii,
)
def test_what_looks_alike_stays_apart(one: str, other: str) -> None:
    """Nothing is folded, trimmed or replaced."""
    assert not HASHER.verify(one, HASHER.hash(other))
    assert not HASHER.verify(other, HASHER.hash(one))


class Counting(BcryptHasher):
    """Counts its checks."""

    checks = 0

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a hash."""
        self.checks += 1
        return super().verify(password, stored)


@pytest.mark.parametrize(("password", "checks"), [("kelp", 1), (COMPOSED, 1), (DECOMPOSED, 2)])
def test_the_work_depends_on_what_was_sent_alone(password: str, checks: int) -> None:
    """Not on whether there is an account, or which of the two forms matched."""
    for stored in (None, "", INNER.hash(COMPOSED), INNER.hash(DECOMPOSED), INNER.hash("else")):
        inner = Counting(cost=4)
        NormalizedHasher(inner).verify(password, stored)
        assert inner.checks == checks


def test_the_limit_is_that_of_the_normal_form() -> None:
    """Decomposed, the same characters may have more bytes than bcrypt reads."""
    password = unicodedata.normalize("NFD", "é" * 36)
    assert HASHER.verify(password, HASHER.hash(password))
    # One that gets longer by it.
    with pytest.raises(PasswordTooLongError):
        HASHER.hash("\u0958" * 24)


@settings(max_examples=60)
@given(st.text(max_size=12))
def test_a_password_belongs_to_its_hash(password: str) -> None:
    """Whatever characters it has."""
    if "\0" in password:
        with pytest.raises(PasswordTooLongError):
            HASHER.hash(password)
        return
    stored = HASHER.hash(password)
    assert HASHER.verify(password, stored)
    assert HASHER.verify(unicodedata.normalize("NFD", password), stored)
    assert HASHER.reads(stored)
    assert not HASHER.needs_rehash(stored)
