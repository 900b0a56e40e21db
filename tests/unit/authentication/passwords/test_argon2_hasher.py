import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import BcryptHasher, PasswordTooLongError
from stockade.authentication.passwords import Argon2Hasher
from tests.unit.authentication.helpers import random_password

argon2 = pytest.importorskip("argon2")

PASSWORD = random_password()
HASHER = Argon2Hasher(memory=7_168, time=1, most_memory=19_456)
STORED = HASHER.hash(PASSWORD)


def test_a_hash_names_its_algorithm_and_its_costs() -> None:
    """So that others can read it, and costs can be raised later."""
    assert STORED.startswith("$argon2id$v=19$m=7168,t=1,p=1$")
    assert HASHER.reads(STORED)
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


@pytest.mark.parametrize("password", ["nul\0inside", "\ud800", "", "  "], ids=ascii)
def test_any_text_is_hashed_whole(password: str) -> None:
    """No character ends it."""
    stored = HASHER.hash(password)
    assert HASHER.verify(password, stored)
    assert not HASHER.verify(password + "x", stored)


def test_a_hash_of_other_costs_is_replaced() -> None:
    """It is still read."""
    other = Argon2Hasher(memory=8_192, time=1).hash(PASSWORD)
    assert HASHER.verify(PASSWORD, other)
    assert HASHER.needs_rehash(other)
    assert not HASHER.needs_rehash(STORED)


@pytest.mark.parametrize("kind", ["I", "D"])
def test_hashes_of_the_other_variants_are_read_and_replaced(kind: str) -> None:
    """They come from passlib."""
    maker = argon2.PasswordHasher(
        time_cost=1, memory_cost=512, parallelism=2, type=argon2.Type[kind]
    )
    other = maker.hash(PASSWORD)
    assert HASHER.verify(PASSWORD, other)
    assert not HASHER.verify("guess", other)
    assert HASHER.needs_rehash(other)


def test_the_hash_of_a_django_application_is_read_and_replaced() -> None:
    """It has one name more before it."""
    assert HASHER.verify(PASSWORD, "argon2" + STORED)
    assert HASHER.needs_rehash("argon2" + STORED)


UNUSABLE = [
    None,
    "",
    "!",
    "plain",
    PASSWORD,
    STORED + "\n",
    STORED + " ",
    " " + STORED,
    STORED.upper(),
    STORED.replace("argon2id", "argon2x"),
    STORED.replace("argon2id", "Argon2id"),
    STORED.replace("v=19", "v=16"),
    STORED.replace("m=7168", "m=19457"),
    STORED.replace("m=7168", "m=4194304"),
    STORED.replace("m=7168", "m=9999999999"),
    STORED.replace("m=7168", "m=07168"),
    STORED.replace("m=7168,t=1", "m=19456,t=108"),
    STORED.replace("t=1", "t=999"),
    STORED.replace("t=1", "t=4294967295"),
    STORED.replace("p=1", "p=0"),
    STORED.replace("p=1", "p=17"),
    STORED.replace("p=1", "p=1,keyid=x"),
    STORED[:-1] + "é",
    STORED[:40],
    "argon2argon2" + STORED,
    "$2b$04$short",
]


@pytest.mark.parametrize("stored", UNUSABLE, ids=ascii)
def test_what_is_no_usable_hash_never_matches(stored: str | None) -> None:
    """It is checked against the decoy, and so costs what a usable one costs."""
    assert not HASHER.reads(stored or "")
    assert not HASHER.verify(PASSWORD, stored)
    assert HASHER.needs_rehash(stored or "")


@pytest.mark.parametrize("stored", [STORED, *UNUSABLE], ids=ascii)
def test_every_check_costs_one_hash(monkeypatch: pytest.MonkeyPatch, stored: str | None) -> None:
    """Of the same cost, whatever is stored."""
    HASHER.verify("", None)
    seen: list[str] = []
    verify = argon2.PasswordHasher.verify

    def count(self: object, hashed: str, password: bytes) -> object:
        seen.append(hashed)
        return verify(self, hashed, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", count)
    assert HASHER.verify(PASSWORD, stored) is (stored == STORED)
    assert len(seen) == 1
    assert "m=7168,t=1,p=1" in seen[0]


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=8,t=1,p=2$" + "$".join(STORED.split("$")[4:]),
        "$argon2id$v=19$m=1,t=1,p=1$" + "$".join(STORED.split("$")[4:]),
        STORED.rpartition("$")[0] + "$" + "A" * 25,
        STORED.rpartition("$")[0][:-1] + "$" + "A" * 43,
    ],
)
def test_what_only_looks_like_a_hash_costs_the_decoy(
    monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    """The library refuses it before any work."""
    HASHER.verify("", None)
    seen: list[str] = []
    verify = argon2.PasswordHasher.verify

    def count(self: object, hashed: str, password: bytes) -> object:
        seen.append(hashed)
        return verify(self, hashed, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", count)
    assert not HASHER.verify(PASSWORD, stored)
    assert seen[0] == stored
    assert seen[1:] == [HASHER._decoy]


def test_the_settings_of_new_hashes_are_bearable() -> None:
    """Whoever hashes at a high cost can read what comes of it."""
    costly = Argon2Hasher(memory=19_456, time=1, most_memory=8)
    assert costly.reads(STORED.replace("m=7168", "m=19456"))
    assert not costly.reads(STORED.replace("m=7168", "m=19457"))


@given(st.text(max_size=100) | st.from_regex(r"(argon2)?\$argon2(id|i|d)\$v=19\$m=\d+,t=\d+,p=\d+"))
def test_any_stored_text_is_read(text: str) -> None:
    """A row that somebody has written by hand is no error."""
    assert not HASHER.reads(text)
    assert isinstance(HASHER.needs_rehash(text), bool)
