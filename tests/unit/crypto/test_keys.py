import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.crypto import KeyRing, weakness_of
from stockade.errors import ConfigurationError

OLD = "6f1c9a7be35d80f24c1be9d07a5f3826"
NEW = "kU3vQ9xTz7LwB2nRf8YpHs5GjD4cMaE6"


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        NEW[:31],
        "a" * 64,
        "ab" * 200,
        "abcdefgh" * 10,
        "0123456789abcdef" * 2,
        "abc" * 60 + "x",
        "changeme" + NEW,
        NEW + "Your-Secret",
        "PASSWORD" + NEW,
        "\udcff" * 4 + NEW,
        " " * 40,
    ],
    ids=repr,
)
def test_weak_secrets_stop_the_start(secret: str) -> None:
    """A secret that somebody could guess is refused, and the message does not repeat it."""
    weakness = weakness_of(secret)
    assert weakness is not None
    with pytest.raises(ConfigurationError) as caught:
        KeyRing([OLD, secret])
    assert weakness in str(caught.value)
    assert "2 of 2" in str(caught.value)
    if len(secret) > 8:
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "generate",
    [
        lambda: secrets.token_hex(16),
        lambda: secrets.token_hex(64),
        lambda: secrets.token_urlsafe(32),
        lambda: base64.b64encode(secrets.token_bytes(48)).decode(),
    ],
    ids=["hex-128-bits", "hex-512-bits", "urlsafe", "openssl"],
)
def test_random_secrets_are_never_called_weak(generate: object) -> None:
    """What the usual generators make is accepted, every time."""
    assert callable(generate)
    assert [weakness_of(generate()) for _ in range(300)] == [None] * 300


@given(st.text(max_size=200))
def test_any_text_has_a_verdict(secret: str) -> None:
    """A secret is accepted or a configuration error, whatever it is made of."""
    if weakness_of(secret) is None:
        assert len(KeyRing([secret]).derive("x")[0]) == 32
    else:
        with pytest.raises(ConfigurationError):
            KeyRing([secret])


@given(word=st.text(min_size=1, max_size=8), times=st.integers(1, 100))
def test_repetition_makes_no_secret(word: str, times: int) -> None:
    """A short word stays guessable however often it is repeated."""
    assert weakness_of(word * times) is not None


def test_no_secret_stops_the_start() -> None:
    """Without any secret nothing could be signed."""
    with pytest.raises(ConfigurationError):
        KeyRing([])


def test_keys_come_newest_first() -> None:
    """The newest secret signs; keys of older ones still follow, in order."""
    both, old, new = (KeyRing(ring).derive("p") for ring in ([OLD, NEW], [OLD], [NEW]))
    assert both == new + old


def test_purposes_do_not_share_a_key() -> None:
    """A key for one use never works for another, nor does one of another length."""
    ring = KeyRing([NEW])
    keys = {ring.derive(purpose)[0] for purpose in ("jwt/HS256", "jwt/Ed25519", "jwt", "")}
    assert len(keys) == 4
    assert len(ring.derive("x", length=64)[0]) == 64


def test_derivation_is_stable() -> None:
    """A restart or another process derives the same key; a change here would end every session."""
    assert KeyRing([OLD]).derive("jwt/HS256")[0].hex() == (
        "789202b5c3ead8ae259e30a5bb1826209116f3845d1394e1cba23ca62596c452"
    )


def test_a_ring_shows_no_secret() -> None:
    """Its representation says how many secrets it holds and nothing of them."""
    ring = KeyRing([OLD, NEW])
    assert repr(ring) == "KeyRing(2 secrets)"
