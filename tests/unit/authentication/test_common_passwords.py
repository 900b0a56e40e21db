import hashlib
import re
import secrets
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.common_passwords import (
    DIGEST_BYTES,
    CommonPasswords,
    digest_of,
    fold,
    load_common_passwords,
)
from stockade.errors import ConfigurationError

FOLDER = resources.files("stockade.authentication").joinpath("data")
CONTENT = FOLDER.joinpath("common-passwords.bin").read_bytes()


def test_the_list_is_the_recorded_one() -> None:
    """`scripts/common_passwords.py` has made it, and nobody has changed it since."""
    page = FOLDER.joinpath("SOURCE.md").read_text(encoding="utf-8")
    row = re.search(r"\n\| `common-passwords.bin` \| (\d+) \| `([0-9a-f]{64})` \|\n", page)
    assert row is not None
    assert row.groups() == (str(len(CONTENT)), hashlib.sha256(CONTENT).hexdigest())


def test_the_list_is_sorted_and_long() -> None:
    """It is searched by halves; ASVS 5.0 V6.2.4 asks for 3000 passwords."""
    digests = [CONTENT[at : at + DIGEST_BYTES] for at in range(0, len(CONTENT), DIGEST_BYTES)]
    assert digests == sorted(set(digests))
    assert len(load_common_passwords()) == len(digests) > 40_000


def test_the_licences_come_along() -> None:
    """They ask for their text."""
    names = {each.name for each in FOLDER.iterdir()}
    assert {"LICENSE.Django", "LICENSE.zxcvbn", "LICENSE.zxcvbn-ts"} <= names


@given(st.sets(st.text(min_size=1, max_size=12), max_size=30))
def test_what_is_listed_is_found(words: set[str]) -> None:
    """Each of them, in whatever case, the first and the last too."""
    digests = {digest_of(fold(word)) for word in words}
    common = CommonPasswords(b"".join(sorted(digests)))
    assert len(common) == len(digests)
    for word in words:
        assert word in common
        assert fold(word) in common


def test_what_is_not_listed_is_not_found() -> None:
    """But for one in some millions."""
    common = load_common_passwords()
    assert not any(secrets.token_urlsafe(9) in common for _ in range(2000))
    assert "" not in common
    assert "\ud800" not in common
    assert "anything" not in CommonPasswords(b"")


@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    """So that the list and the password meet."""
    assert fold(fold(text)) == fold(text)


def test_half_a_file_is_refused() -> None:
    """A list that finds nothing must not look like one that has nothing."""
    with pytest.raises(ConfigurationError):
        CommonPasswords(CONTENT[:-1])
