import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.crypto import KeyRing
from stockade.crypto.sealing import Sealer, SealError
from tests.unit.authentication.helpers import NEW, OLD

SEALER = Sealer(KeyRing([NEW]), "tests")
SECRET = b"12345678901234567890"


@given(st.binary(max_size=200), st.text(st.characters(codec="utf-8"), max_size=50))
def test_what_is_sealed_opens_for_its_owner(value: bytes, owner: str) -> None:
    """The same value comes back, and no two seals of it are alike."""
    sealed = SEALER.seal(value, owner=owner)
    assert SEALER.open(sealed, owner=owner) == value
    assert SEALER.seal(value, owner=owner) != sealed
    with pytest.raises(SealError):
        SEALER.open(sealed, owner=owner + "x")


def test_an_older_key_of_the_ring_opens() -> None:
    """The newest seals; without the one that sealed it nothing opens."""
    sealed = Sealer(KeyRing([OLD]), "tests").seal(SECRET, owner="ana")
    both = Sealer(KeyRing([OLD, NEW]), "tests")
    assert both.open(sealed, owner="ana") == SECRET
    with pytest.raises(SealError):
        SEALER.open(sealed, owner="ana")
    assert SEALER.open(both.seal(SECRET, owner="ana"), owner="ana") == SECRET


def test_a_key_of_another_purpose_opens_nothing() -> None:
    """Each purpose has keys of its own."""
    sealed = Sealer(KeyRing([NEW]), "other").seal(SECRET, owner="ana")
    with pytest.raises(SealError) as caught:
        SEALER.open(sealed, owner="ana")
    assert caught.value.code == "seal"
    assert sealed not in str(caught.value)


@given(st.data())
def test_a_changed_byte_opens_nothing(data: st.DataObject) -> None:
    """Wherever it is: in the salt, the value or the tag."""
    raw = bytearray(base64.urlsafe_b64decode(SEALER.seal(SECRET, owner="ana")))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        SEALER.open(base64.urlsafe_b64encode(raw).decode(), owner="ana")


@given(st.text(max_size=120))
def test_anything_else_opens_nothing(text: str) -> None:
    """Only the declared error is raised, whatever stands in the store."""
    with pytest.raises(SealError):
        SEALER.open(text, owner="ana")


def test_only_what_an_older_key_sealed_is_sealed_anew() -> None:
    """What nobody can open is neither."""
    both = Sealer(KeyRing([OLD, NEW]), "tests")
    old = Sealer(KeyRing([OLD]), "tests").seal(SECRET, owner="ana")
    renewed = both.renew(old, owner="ana")
    assert renewed is not None
    assert SEALER.open(renewed, owner="ana") == SECRET
    assert both.renew(renewed, owner="ana") is None
    for sealed, owner in ((old, "bea"), ("", "ana")):
        with pytest.raises(SealError):
            both.renew(sealed, owner=owner)
