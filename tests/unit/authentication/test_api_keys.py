import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.api_keys import APIKeys, generate_client_id, read_client_id
from stockade.authentication.errors import InvalidKeyError
from stockade.crypto import KeyRing
from tests.unit.authentication.helpers import NEW, OLD

KEYS = APIKeys(KeyRing([NEW]))


def test_a_key_belongs_to_its_digest() -> None:
    """It is read, fits its digest and no other, and shows itself nowhere."""
    first, second = KEYS.generate(), KEYS.generate()
    assert KEYS.read(first.value.encode()) == first.value.encode()
    assert KEYS.is_key_of(first.value.encode(), first.digest)
    assert not KEYS.is_key_of(first.value.encode(), second.digest)
    assert repr(first) == "NewKey()"


def test_scanners_for_secrets_find_it() -> None:
    """Prefix, length and checksum tell a key from anything else."""
    assert re.fullmatch(r"stks_[A-Za-z0-9_-]{43}[0-9a-f]{8}", KEYS.generate().value)
    assert re.fullmatch(r"stkc_[0-9a-f]{24}", generate_client_id())


def test_keys_of_the_ring_overlap() -> None:
    """A digest of the older key goes on, one of a key that is gone does not."""
    new = APIKeys(KeyRing([OLD])).generate()
    value = new.value.encode()
    assert APIKeys(KeyRing([OLD, NEW])).is_key_of(value, new.digest)
    assert not KEYS.is_key_of(value, new.digest)


@pytest.mark.parametrize("position", range(5, 56, 5))
def test_a_mistyped_key_is_seen_without_a_store(position: int) -> None:
    """The checksum finds a changed character."""
    value = bytearray(KEYS.generate().value.encode())
    value[position] = ord("A") if value[position] != ord("A") else ord("B")
    with pytest.raises(InvalidKeyError):
        KEYS.read(bytes(value))


@given(st.binary(max_size=80))
def test_any_bytes_are_refused(data: bytes) -> None:
    """Nothing but the declared refusal comes out."""
    for read in (KEYS.read, read_client_id):
        for value in (data, b"stks_" + data, b"stkc_" + data):
            with pytest.raises(InvalidKeyError):
                read(value)


def test_white_space_is_no_part_of_either() -> None:
    """Each has one spelling."""
    key, client = KEYS.generate().value.encode(), generate_client_id().encode()
    for value in (key + b"\n", b" " + key, key.upper()):
        with pytest.raises(InvalidKeyError):
            KEYS.read(value)
    for value in (client + b"\n", b" " + client, client.upper()):
        with pytest.raises(InvalidKeyError):
            read_client_id(value)
