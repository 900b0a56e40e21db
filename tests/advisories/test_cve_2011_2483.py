"""CVE-2011-2483 (crypt_blowfish): with 8-bit characters, a hash held for many passwords."""

import pytest

from stockade.authentication import AuthenticationSettings, BcryptHasher
from stockade.authentication.hashers import choose_hasher

HASHER = choose_hasher(AuthenticationSettings(bcrypt_cost=4))
STORED = BcryptHasher(cost=4).hash("p\u00e4ssword")


@pytest.mark.parametrize("before", ["", "bcrypt$"], ids=["own", "Django"])
def test_hashes_of_the_faulty_program_are_not_read(before: str) -> None:
    """They are marked by 2x; 2a, 2b and 2y are the algorithm as it should be."""
    for variant in ("2a", "2b", "2y"):
        assert HASHER.verify("p\u00e4ssword", before + STORED.replace("2b", variant, 1))
    faulty = before + STORED.replace("2b", "2x", 1)
    assert not HASHER.reads(faulty)
    assert not HASHER.verify("p\u00e4ssword", faulty)


def test_characters_beyond_ascii_count_in_full() -> None:
    """What differs in them alone is another password."""
    for other in (
        "p\u00e5ssword",
        "passw\u00f6rd",
        "p\u00e4ssw\u00f6rd",
        "pssword",
        "\u00e4ssword",
    ):
        assert not HASHER.verify(other, STORED)
