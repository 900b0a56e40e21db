import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockade.authentication import BcryptHasher, PasswordTooLongError

HASHER = BcryptHasher(cost=4)
PASSWORD = "correct horse battery staple"
STORED = HASHER.hash(PASSWORD)


def test_a_password_verifies_against_its_hash() -> None:
    """The right password holds, any other does not, and no two hashes are alike."""
    assert HASHER.verify(PASSWORD, STORED)
    assert not HASHER.verify(PASSWORD + "!", STORED)
    assert not HASHER.verify(PASSWORD.upper(), STORED)
    assert HASHER.hash(PASSWORD) != STORED


@pytest.mark.parametrize(
    "password",
    ["a" * 72, "ä" * 36, "€" * 24, "😀" * 18, " leading and trailing ", "\t\n", "", "\ud800" * 24],
    ids=["ascii", "two-bytes", "three-bytes", "four-bytes", "spaces", "controls", "empty", "lone"],
)
def test_passwords_are_never_altered(password: str) -> None:
    """Up to 72 bytes a password is hashed as it is: nothing is trimmed, folded or cut."""
    stored = HASHER.hash(password)
    assert HASHER.verify(password, stored)
    assert not HASHER.verify(password + "x", stored)
    assert password == "" or not HASHER.verify(password[:-1], stored)


@pytest.mark.parametrize(
    "password",
    [
        "a" * 73,
        "ä" * 37,
        "a" * 71 + "ä",
        "😀" * 19,
        "a" * 100_000,
        "nul\0inside",
        "\0",
        "\ud800" * 25,
    ],
    ids=["ascii", "two-bytes", "at-the-edge", "four-bytes", "huge", "nul", "only-nul", "lone"],
)
def test_what_bcrypt_would_cut_is_refused(password: str) -> None:
    """Of more than 72 bytes, or behind a NUL, bcrypt would ignore the rest."""
    with pytest.raises(PasswordTooLongError) as caught:
        HASHER.hash(password)
    assert (caught.value.code, caught.value.limit) == ("password_too_long", 72)
    assert password not in str(caught.value)
    assert not HASHER.verify(password, STORED)
    assert not HASHER.verify(password, HASHER.hash(password.replace("\0", "")[:18]))


def test_the_hash_of_the_first_72_bytes_does_not_hold_for_more() -> None:
    """A longer password that begins like the right one is wrong."""
    assert not HASHER.verify("a" * 73, HASHER.hash("a" * 72))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Count what bcrypt is asked to check, without changing what it does."""
    HASHER.verify("", None)
    seen: list[bytes] = []
    check = bcrypt.checkpw

    def count(password: bytes, hashed: bytes) -> bool:
        seen.append(hashed)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    return seen


UNUSABLE = [
    None,
    "",
    "!",
    "x" * 60,
    "$2b$99$" + "a" * 53,
    "$2b$03$" + "." * 53,
    "$2b$17$" + "." * 53,
    "$2b$31$" + "." * 53,
    "$2B$04$" + STORED[7:],
    "$2b$4$" + STORED[7:],
    "$2$04$" + STORED[7:],
    STORED[:-1] + "é",
    STORED[:-1] + "\u0661",
    " " + STORED,
    "$2x$04$" + "." * 53,
    "$2b$04$" + "a" * 53,
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA",
    STORED + "\n",
    STORED[:-1],
]


@pytest.mark.parametrize("stored", UNUSABLE, ids=repr)
def test_what_is_no_hash_is_not_read(stored: str | None) -> None:
    """Neither what is broken nor what would keep a thread busy for long."""
    assert HASHER.reads(STORED)
    assert not HASHER.reads(stored or "")


@pytest.mark.parametrize("stored", [STORED, *UNUSABLE], ids=repr)
@pytest.mark.parametrize("password", [PASSWORD, "wrong", "a" * 100, "nul\0", ""], ids=repr)
def test_every_check_costs_one_hash_of_the_same_cost(
    work: list[bytes], stored: str | None, password: str
) -> None:
    """Unknown account, no password, unreadable hash, over-long guess: bcrypt runs once each."""
    assert HASHER.verify(password, stored) is (stored == STORED and password == PASSWORD)
    assert len(work) == 1
    assert work[0].startswith(b"$2b$04$")


@pytest.mark.parametrize("variant", ["2a", "2b", "2y"])
def test_hashes_of_other_programs_verify(variant: str) -> None:
    """The three names of the same algorithm are read alike."""
    assert HASHER.verify(PASSWORD, STORED.replace("$2b$", f"${variant}$"))


@settings(max_examples=200)
@given(
    st.text(max_size=80)
    | st.from_regex(r"\$2[abxy]\$(0[0-6]|1[7-9]|[2-9]\d)\$[./A-Za-z0-9]{53}", fullmatch=True)
)
def test_no_stored_text_makes_a_check_fail(stored: str) -> None:
    """Whatever a database holds, a check says no and raises nothing."""
    assert not HASHER.verify(PASSWORD, stored)


@pytest.mark.parametrize(
    ("stored", "needed"),
    [
        (STORED, False),
        (BcryptHasher(cost=5).hash(PASSWORD), True),
        ("", True),
        ("$argon2id$v=19", True),
    ],
    ids=["same", "other-cost", "none", "other-scheme"],
)
def test_a_hash_of_another_cost_is_made_anew(stored: str, needed: bool) -> None:
    """A changed work factor reaches every account at its next sign-in."""
    assert HASHER.needs_rehash(stored) is needed


def test_a_hasher_is_made_without_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoy is made by the first check, in its thread, and not where the hasher is made."""
    monkeypatch.setattr(bcrypt, "hashpw", None)
    BcryptHasher(cost=16)
