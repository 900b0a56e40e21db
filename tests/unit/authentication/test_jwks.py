import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from stockade.authentication.algorithms import Algorithm, UnusableKeyError, sign_with_secret
from stockade.authentication.jwks import (
    is_kid,
    read_key_set,
    read_private_key,
    thumbprint,
    write_key_set,
    write_private_key,
)
from tests.unit.authentication.helpers import encode
from tests.unit.authentication.issuers import make_key, make_private

ALL = frozenset(Algorithm)
PUBLIC = ("Ed25519", "ES256", "RS256")
KINDS: dict[str, Any] = {"Ed25519": OKPKey, "ES256": ECKey, "RS256": RSAKey}


def describe(algorithm: str, **members: object) -> dict[str, Any]:
    """Describe a public key, with members changed or added."""
    return {**write_key_set([make_key(algorithm).verification])["keys"][0], **members}


def read(*keys: object) -> set[tuple[str, str]]:
    """Read a set of keys, and return their names and algorithms."""
    return set(read_key_set(json.dumps({"keys": keys}).encode(), algorithms=ALL))


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_key_comes_back(algorithm: str) -> None:
    """What is shown is read again, under its name, for its algorithm."""
    assert read(describe(algorithm)) == {("one", algorithm)}
    assert read(describe(algorithm, alg=algorithm)) == {("one", algorithm)}


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_others_read_our_keys_and_name_them_alike(algorithm: str) -> None:
    """Joserfc computes the same thumbprint of the same key (RFC 7638)."""
    private = make_private(algorithm)
    theirs = KINDS[algorithm].import_key(write_private_key(private))
    assert theirs.thumbprint() == thumbprint(private.public_key())
    assert "d" not in describe(algorithm)


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_private_key_comes_back(algorithm: str) -> None:
    """In both directions between joserfc and us."""
    private = make_private(algorithm)
    ours = write_private_key(private)
    theirs = KINDS[algorithm].import_key(ours).as_dict(private=True)
    for jwk in (ours, theirs):
        found = read_private_key(jwk)
        assert not isinstance(found, bytes)
        assert write_private_key(found) == ours


def test_a_shared_secret_is_read_and_never_shown() -> None:
    """An operator may give one; a set of keys holds none."""
    jwk = OctKey.generate_key(256).as_dict(private=True)
    secret = read_private_key(jwk)
    assert isinstance(secret, bytes)
    assert write_key_set([sign_with_secret(secret, "k").verification]) == {"keys": []}


@pytest.mark.parametrize("algorithm", PUBLIC)
@pytest.mark.parametrize(
    "members",
    [
        {"kid": None},
        {"kid": ""},
        {"kid": 5},
        {"kid": "a b"},
        {"kid": "k" * 256},
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"key_ops": None},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": None},
        {"alg": "RS512"},
        {"kty": "oct", "k": "A" * 43},
        {"kty": "unheard-of"},
        {"kty": ["RSA"]},
        {"crv": "P-384"},
        {"crv": "Ed448"},
        {"crv": "secp256k1"},
    ],
    ids=repr,
)
def test_a_key_for_something_else_is_left_out(algorithm: str, members: dict[str, object]) -> None:
    """Another use, another operation, another algorithm, another kind: it verifies nothing."""
    assert read(describe(algorithm, **members), describe("ES256", kid="other")) == {
        ("other", "ES256")
    }


def test_a_key_that_says_more_is_read() -> None:
    """Certificates and validity beside it are not looked at, and lead nowhere."""
    more = {"x5c": ["AAAA"], "x5t": "A", "x5u": "https://x.example", "key_ops": ["verify"], "n2": 1}
    assert read(describe("Ed25519", **more)) == {("one", "Ed25519")}


@pytest.mark.parametrize(
    "member",
    [
        describe("Ed25519", x=encode(bytes(31))),
        describe("Ed25519", x=encode(bytes(33))),
        describe("Ed25519", x=""),
        describe("Ed25519", x=None),
        describe("Ed25519", x=describe("Ed25519")["x"] + "="),
        describe("Ed25519", x="é"),
        describe("Ed25519", x=encode(bytes(32))),
        describe("Ed25519", x=encode(b"\x01" + bytes(31))),
        describe("Ed25519", x=encode(b"\x01" + bytes(30) + b"\x80")),
        describe("Ed25519", x=encode(b"\xee" + b"\xff" * 30 + b"\x7f")),
        describe("ES256", x=encode(bytes(32)), y=encode(bytes(32))),
        describe("ES256", x=encode(b"\x01" * 32)),
        describe("ES256", y=encode(bytes(33))),
        describe("ES256", x=encode(bytes(1))),
        describe("ES256", y=None),
        describe("RS256", e=encode(b"\x03")),
        describe("RS256", e=encode(b"\x01")),
        describe("RS256", e=encode(b"\x01\x00\x00")),
        describe("RS256", e=encode(b"\xff" * 5)),
        describe("RS256", n=encode(b"\xff" * 128)),
        describe("RS256", n=encode(b"\xff" * 2049)),
        describe("RS256", n=encode(bytes(256))),
        describe("RS256", n=None),
    ],
    ids=lambda member: f"{member['kty']} {str(member)[-60:]}",
)
def test_a_key_that_is_weak_or_none_is_left_out(member: dict[str, object]) -> None:
    """Of the wrong size, off the curve, of small order, too small, or too slow to use."""
    assert read(member) == set()


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_private_key_in_public_spoils_the_set(algorithm: str) -> None:
    """Whoever publishes one has lost it, and nothing beside it is believed."""
    private = {**write_private_key(make_private(algorithm)), "kid": "lost"}
    with pytest.raises(UnusableKeyError):
        read(describe("ES256"), private)


def test_two_keys_of_one_name_spoil_the_set() -> None:
    """Which of them counts would be chance; with another algorithm it is another name."""
    assert len(read(describe("ES256"), describe("Ed25519"))) == 2
    with pytest.raises(UnusableKeyError):
        read(describe("ES256"), describe("ES256"))


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": ["x"]}', b'{"keys": [], "keys": []}', b"\xff"],
    ids=repr,
)
def test_what_is_no_set_is_refused(raw: bytes) -> None:
    """An error, and no empty set: what was known before goes on."""
    with pytest.raises(UnusableKeyError):
        read_key_set(raw, algorithms=ALL)


@pytest.mark.parametrize(("count", "fits"), [(100, True), (101, False)])
def test_a_set_has_a_size(count: int, fits: bool) -> None:
    """A hundred keys are more than any issuer has."""
    keys = [describe("Ed25519", kid=str(number)) for number in range(count)]
    if fits:
        assert len(read(*keys)) == count
    else:
        with pytest.raises(UnusableKeyError):
            read(*keys)


def change(algorithm: str, **members: object) -> dict[str, Any]:
    """Write a private key with members changed."""
    return {**write_private_key(make_private(algorithm)), **members}


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct"},
        {"kty": "oct", "k": ""},
        {"kty": "oct", "k": 5},
        {"kty": "RSA"},
        {"kty": "OKP", "crv": "X25519", "d": encode(bytes(32))},
        change("Ed25519", d=None),
        change("Ed25519", d=encode(bytes(31))),
        change("Ed25519", x=encode(bytes(32))),
        change("Ed25519", x=None),
        change("ES256", d=encode(bytes(32))),
        change("ES256", d=encode(b"\xff" * 32)),
        change("ES256", crv="P-384"),
        change("ES256", y=encode(bytes(32))),
        change("RS256", p=None),
        change("RS256", d=encode(b"\x01")),
        change("RS256", n=encode(b"\xff" * 256)),
        change("RS256", e=encode(b"\x03")),
    ],
    ids=lambda jwk: f"{jwk.get('kty')} {str(jwk)[-40:]}",
)
def test_a_private_key_that_does_not_fit_is_refused(jwk: dict[str, Any]) -> None:
    """Members are missing, of the wrong size, or belong to two keys; the error repeats none."""
    with pytest.raises(UnusableKeyError) as caught:
        read_private_key(jwk)
    assert not any(str(value) in str(caught.value) for value in jwk.values() if len(str(value)) > 8)


def test_other_curves_are_not_used() -> None:
    """P-384 has another algorithm."""
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    point = key.public_numbers()
    x, y = (encode(number.to_bytes(48, "big")) for number in (point.x, point.y))
    assert read({"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": "k"}) == set()


def test_small_rsa_keys_are_not_used() -> None:
    """RFC 7518, section 3.3, asks for 2048 bits."""
    numbers = generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505 - it has to be refused
    n = encode(numbers.n.to_bytes(128, "big"))
    assert read({"kty": "RSA", "n": n, "e": "AQAB", "kid": "k"}) == set()


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_names_of_keys(value: object) -> None:
    """Short, printable, of ASCII."""
    fits = isinstance(value, str) and 1 <= len(value) <= 255 and all("!" <= c <= "~" for c in value)
    assert is_kid(value) is fits


JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=50) | st.binary().map(encode)


@given(
    st.sampled_from(PUBLIC),
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops", "d"]),
        JUNK,
        max_size=4,
    ),
)
def test_any_members_are_a_key_or_none(algorithm: str, members: dict[str, object]) -> None:
    """Reading raises one kind of error alone, whatever an issuer publishes."""
    try:
        read(describe(algorithm, **members))
    except UnusableKeyError:
        return
