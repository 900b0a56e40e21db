import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import BcryptHasher
from stockade.authentication.passwords import ImportedHashes, PasswordHasher, PasswordHashes
from stockade.authentication.passwords.peppered import PepperedHasher
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError
from tests.unit.authentication.helpers import NEW, OLD, random_password

PASSWORD = random_password()
BCRYPT = BcryptHasher(cost=4)
INNER = PasswordHashes(BCRYPT, [ImportedHashes(most_memory=19_456)])


def peppered(*secrets: str, adds: bool = True, inner: PasswordHasher = INNER) -> PepperedHasher:
    """Make a hasher with some secrets, oldest first."""
    return PepperedHasher(inner, KeyRing(secrets), adds=adds, measure=len)


HASHER = peppered(OLD)
STORED = HASHER.hash(PASSWORD)


def test_a_password_belongs_to_its_hash() -> None:
    """And no other does, of whatever length."""
    assert HASHER.verify(PASSWORD, STORED)
    assert not HASHER.verify(PASSWORD + "x", STORED)
    long = HASHER.hash("a" * 100)
    assert HASHER.verify("a" * 100, long)
    assert not HASHER.verify("a" * 99, long)
    assert HASHER.verify("nul\0one", HASHER.hash("nul\0one"))
    assert not HASHER.verify("nul\0two", HASHER.hash("nul\0one"))


def test_a_hash_is_of_no_use_without_the_key() -> None:
    """Neither as it is nor without what stands before it, and the key is not in it."""
    inner = STORED[STORED.index("$2b$") :]
    assert not INNER.verify(PASSWORD, STORED)
    assert not INNER.verify(PASSWORD, inner)
    assert not peppered(NEW).verify(PASSWORD, STORED)
    assert not peppered(NEW).verify(PASSWORD, STORED.replace(name(STORED), name(new_hash())))
    assert not HASHER.verify(PASSWORD, inner)
    for key in KeyRing([OLD]).derive("password-pepper"):
        assert key.hex()[:12] not in STORED


def name(stored: str) -> str:
    """Return the name of the key of a hash."""
    return stored.split("$")[2]


def new_hash() -> str:
    """Return a hash under the other secret."""
    return peppered(NEW).hash(PASSWORD)


def test_a_newer_key_takes_over() -> None:
    """Hashes by the older one go on and are replaced; afterwards they need it no more."""
    both = peppered(OLD, NEW)
    assert both.verify(PASSWORD, STORED)
    assert both.needs_rehash(STORED)
    replaced = both.hash(PASSWORD)
    assert not both.needs_rehash(replaced)
    assert name(replaced) != name(STORED)
    assert peppered(NEW).verify(PASSWORD, replaced)


def test_a_key_that_is_gone_is_an_unreadable_hash() -> None:
    """Not a wrong password: whoever took the key away can see what came of it."""
    gone = peppered(NEW)
    assert not gone.reads(STORED)
    assert HASHER.reads(STORED)
    assert gone.needs_rehash(STORED)


def test_hashes_without_a_key_go_on_and_are_replaced() -> None:
    """Those of other programs too."""
    plain = BCRYPT.hash(PASSWORD)
    for stored in (plain, "bcrypt$" + plain):
        assert HASHER.reads(stored)
        assert HASHER.verify(PASSWORD, stored)
        assert HASHER.needs_rehash(stored)


def test_the_pepper_can_be_left_out_again() -> None:
    """Then hashes with a key are the ones that are replaced."""
    without = peppered(OLD, adds=False)
    plain = without.hash(PASSWORD)
    assert BCRYPT.verify(PASSWORD, plain)
    assert not without.needs_rehash(plain)
    assert without.verify(PASSWORD, STORED)
    assert without.needs_rehash(STORED)


def test_another_cost_is_seen_through_the_pepper() -> None:
    """As without it."""
    assert not HASHER.needs_rehash(STORED)
    assert peppered(OLD, inner=BcryptHasher(cost=5)).needs_rehash(STORED)


class Counting(BcryptHasher):
    """Remembers what it was asked to check."""

    def __init__(self) -> None:
        super().__init__(cost=4)
        self.seen: list[str | None] = []

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a hash."""
        self.seen.append(stored if stored and self.reads(stored) else None)
        return super().verify(password, stored)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "!",
        "$pepper$",
        "$pepper$" + "0" * 12 + "$2b$04$" + "." * 53,
        STORED.replace("$pepper$", "$pepper$0"),
        STORED.replace("$pepper$", "$Pepper$"),
        STORED.replace(name(STORED), name(STORED).upper()),
        STORED.replace(name(STORED), name(STORED)[:-1]),
        "$pepper$" + name(STORED) + STORED,
        "$pepper$" + name(STORED) + "$" + "x" * 300,
        "$pepper$" + name(STORED) + "$2b$31$" + "." * 53,
        STORED + "\n",
        " " + STORED,
    ],
    ids=ascii,
)
def test_what_is_no_usable_hash_costs_the_decoy(stored: str | None) -> None:
    """One check without a hash, and no match."""
    inner = Counting()
    hasher = peppered(OLD, inner=inner)
    assert not hasher.verify(PASSWORD, stored)
    assert inner.seen == [None]
    assert not hasher.reads(stored or "")


def test_the_same_secret_twice_is_refused() -> None:
    """Which of the two is the newest could not be told."""
    with pytest.raises(ConfigurationError):
        peppered(OLD, OLD)


def test_the_inner_limit_is_asked_first() -> None:
    """What would be refused without a pepper is refused with one."""
    asked: list[str] = []
    hasher = PepperedHasher(INNER, KeyRing([OLD]), adds=True, measure=asked.append)
    hasher.hash(PASSWORD)
    assert asked == [PASSWORD]


@given(st.text(max_size=100) | st.from_regex(r"\$pepper\$[0-9a-f]{12}\$.*"))
def test_any_stored_text_is_looked_at(text: str) -> None:
    """A row that somebody has written by hand is no error."""
    assert isinstance(HASHER.reads(text), bool)
    assert isinstance(HASHER.needs_rehash(text), bool)
