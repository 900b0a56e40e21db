import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.recovery_codes import COUNT, RecoveryCodes, read_code
from stockade.core import UserId
from stockade.crypto import KeyRing
from tests.unit.authentication.helpers import NEW, OLD

ANA, BEA = UserId("ana"), UserId("bea")
CODES = RecoveryCodes(KeyRing([NEW]))


def test_codes_are_long_and_different() -> None:
    """Twenty-four letters and digits of 32: 120 bits each."""
    codes = CODES.generate()
    assert len(set(codes)) == COUNT == 10
    for code in codes:
        assert re.fullmatch(r"([a-z2-7]{4}-){5}[a-z2-7]{4}", code)


def test_a_code_reads_back_however_it_is_typed() -> None:
    """Case, dashes and spaces are not what it consists of."""
    (code, *_) = CODES.generate()
    plain = code.replace("-", "")
    for typed in (code, plain, code.upper(), code.replace("-", " "), f" {code} "):
        assert read_code(typed) == plain
    assert CODES.digests(ANA, plain) == CODES.digests(ANA, code)


@pytest.mark.parametrize(
    "value",
    ["", "287082", "a" * 23, "a" * 25, "a" * 23 + "1", "a" * 23 + "é", "ａ" * 24, "a" * 24 + "\n"],  # noqa: RUF001 - letters of another width
    ids=ascii,
)
def test_what_is_no_code_is_none(value: str) -> None:
    """Another length or another letter is not repaired."""
    assert read_code(value) is None


@given(st.text(string.printable, max_size=60))
def test_what_is_read_has_one_spelling(value: str) -> None:
    """Reading twice is reading once."""
    code = read_code(value)
    assert code is None or read_code(code) == code


def test_digests_belong_to_an_account_and_a_key() -> None:
    """The same code of another account, or under another key, is kept as something else."""
    code = "abcdefghijklmnopqrstuvwx"
    both = RecoveryCodes(KeyRing([OLD, NEW]))
    newest, oldest = both.digests(ANA, code)
    assert (newest,) == CODES.digests(ANA, code)
    assert (oldest,) == RecoveryCodes(KeyRing([OLD])).digests(ANA, code)
    assert CODES.digests(BEA, code) != CODES.digests(ANA, code)
    assert code not in newest
