import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.crypto import KeyRing
from stockade.crypto.sealing import SealError, SealExpiredError, TimedSealer
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import NEW, OLD

MINUTE = timedelta(minutes=1)
VALUES = st.dictionaries(
    st.text(max_size=9),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3),
    max_size=5,
)


def make(*secrets: str, purpose: str = "test", clock: FrozenClock | None = None) -> TimedSealer:
    """Make a sealer."""
    return TimedSealer(KeyRing(secrets or (NEW,)), purpose, clock=clock or FrozenClock())


@given(VALUES)
def test_what_was_sealed_comes_back(values: dict[str, object]) -> None:
    """Whatever it is, it can't be read on the way, and no two seals look the same."""
    sealer = make()
    one, two = (sealer.seal(values, lifetime=MINUTE) for _ in range(2))
    assert one != two
    if len(one) <= 3500:
        assert sealer.open(one) == values


def test_it_holds_for_its_time() -> None:
    """At its end it is over, which is told apart from what was never sealed."""
    clock = FrozenClock()
    sealer = make(clock=clock)
    sealed = sealer.seal({"a": 1}, lifetime=MINUTE)
    clock.advance(59)
    assert sealer.open(sealed) == {"a": 1}
    clock.advance(1)
    with pytest.raises(SealExpiredError):
        sealer.open(sealed)


def test_keys_rotate() -> None:
    """The newest seals, all of them open, and one that is gone opens nothing."""
    old = make(OLD).seal({"a": 1}, lifetime=MINUTE)
    assert make(OLD, NEW).open(old) == {"a": 1}
    new = make(OLD, NEW).seal({"a": 1}, lifetime=MINUTE)
    assert make(NEW).open(new) == {"a": 1}
    with pytest.raises(SealError):
        make(NEW).open(old)


def test_one_purpose_opens_nothing_of_another() -> None:
    """Each has a key of its own."""
    sealed = make(purpose="one").seal({"a": 1}, lifetime=MINUTE)
    with pytest.raises(SealError) as caught:
        make(purpose="two").open(sealed)
    assert not isinstance(caught.value, SealExpiredError)


@given(st.data())
def test_a_changed_bit_opens_nothing(data: st.DataObject) -> None:
    """Wherever it is."""
    sealer = make()
    sealed = sealer.seal({"user": "ana"}, lifetime=MINUTE)
    raw = bytearray(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
    position = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[position // 8] ^= 1 << position % 8
    with pytest.raises(SealError):
        sealer.open(base64.urlsafe_b64encode(raw).decode())


@given(st.text() | st.text(alphabet="abcABC-_09=+/", max_size=3000))
def test_other_texts_open_nothing(text: str) -> None:
    """Only the one error comes, and it repeats nothing."""
    with pytest.raises(SealError) as caught:
        make().open(text)
    assert not isinstance(caught.value, SealExpiredError)


@pytest.mark.parametrize("change", ["{}=", " {}", "{}\n", "{}A", "."])
def test_a_seal_has_one_spelling(change: str) -> None:
    """What works once must not work once more in another spelling."""
    sealed = make().seal({"a": 1}, lifetime=MINUTE)
    with pytest.raises(SealError):
        make().open(change.format(sealed))


@given(st.text(max_size=3))
def test_a_last_letter_that_means_the_same_is_another_one(pad: str) -> None:
    """The bits that mean nothing are zero, and what is left away is missed."""
    sealed = make().seal({"pad": pad}, lifetime=MINUTE)
    body, ends = sealed.rstrip("="), sealed[len(sealed.rstrip("=")) :]
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        other = body[:-1] + letter + ends
        if other != sealed:
            with pytest.raises(SealError):
                make().open(other)
    if ends:
        with pytest.raises(SealError):
            make().open(body)
