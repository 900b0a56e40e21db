import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from stockade import Settings
from stockade.authentication import AuthenticationSettings
from stockade.authentication.algorithms import UnusableKeyError
from stockade.authentication.jwks import thumbprint, write_private_key
from stockade.authentication.signing_keys import (
    SigningKeys,
    choose_signing_keys,
    read_signing_key,
)
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError
from tests.unit.authentication.helpers import NEW, OLD, encode, rsa_pem
from tests.unit.authentication.issuers import make_private

PUBLIC = ("Ed25519", "ES256", "RS256")


def pem_of(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:  # noqa: ANN401 - any private key
    """Write a private key in PEM."""
    text: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())
    return text.decode()


def choose(*ring: str, **settings: object) -> SigningKeys:
    """Choose keys by settings."""
    return choose_signing_keys(KeyRing(ring or (NEW,)), AuthenticationSettings(**settings))  # type: ignore[arg-type]  # Any settings.


@pytest.mark.parametrize("algorithm", ["HS256", "Ed25519", "ES256"])
def test_derived_keys_are_the_same_in_every_process(algorithm: str) -> None:
    """They follow from the secret alone, and each secret has its own."""
    first, again = choose(OLD, NEW, algorithm=algorithm), choose(OLD, NEW, algorithm=algorithm)
    assert list(first.by_kid) == list(again.by_kid)
    assert len(first.by_kid) == 2
    again.newest.verification.verify(b"x", first.newest.sign(b"x"))


def test_derived_keys_stay_what_they_are() -> None:
    """A release that derived others would end every token; these names are of the first one."""
    names = {name: choose(algorithm=name).newest.verification.kid for name in KNOWN}
    assert names == KNOWN


KNOWN = {
    "HS256": "Y02X168ur47ZGzygBJWFjw",
    "Ed25519": "w8t5JU3nI0CkHSJVjpjIcN6avZ8Ky6wxCQe7JyCGFrM",
    "ES256": "3dH1ltLgAllXyM_OpUyObnCeVKyaBT5MMqNiBPN59gA",
}


def test_both_names_derive_the_same_keys() -> None:
    """EdDSA and Ed25519 are one algorithm."""
    assert choose(algorithm="EdDSA").by_kid.keys() == choose(algorithm="Ed25519").by_kid.keys()


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_key_is_given_in_pem_or_as_a_jwk(algorithm: str) -> None:
    """Both are the same key with the same name; a name of its own goes first."""
    private = make_private(algorithm)
    jwk = write_private_key(private)
    named = {**jwk, "kid": "mine", "alg": algorithm}
    forms = (pem_of(private), f"\n {pem_of(private)} \n", json.dumps(jwk), json.dumps(named))
    kids = [choose(algorithm=algorithm, signing_keys=(form,)).newest for form in forms]
    expected = thumbprint(private.public_key())
    assert [key.verification.kid for key in kids] == [expected, expected, expected, "mine"]
    assert all(key.verification.algorithm == algorithm for key in kids)


def test_other_forms_of_pem_are_read() -> None:
    """OpenSSL's older ones as well."""
    rsa, p256 = make_private("RS256"), make_private("ES256")
    read_signing_key(pem_of(rsa, PrivateFormat.TraditionalOpenSSL))
    read_signing_key(pem_of(p256, PrivateFormat.TraditionalOpenSSL))


def test_a_shared_secret_is_given_as_a_jwk() -> None:
    """Its name says nothing of it."""
    secret = {"kty": "oct", "k": encode(b"s" * 32)}
    keys = choose(algorithm="HS256", signing_keys=(json.dumps(secret),))
    keys.newest.verification.verify(b"x", keys.newest.sign(b"x"))
    assert keys.newest.verification.kid not in secret["k"]
    assert keys.describe() == {"keys": []}


def test_keys_are_read_from_files(tmp_path: Path) -> None:
    """One a file, oldest to newest; the last one signs."""
    paths = []
    for number, algorithm in enumerate(("RS256", "Ed25519")):
        paths.append(tmp_path / f"{number}.pem")
        paths[-1].write_text(pem_of(make_private(algorithm)), encoding="ascii")
    keys = choose(algorithm="Ed25519", signing_key_files=tuple(paths))
    assert [str(key.algorithm) for key in keys.by_kid.values()] == ["RS256", "Ed25519"]


def test_keys_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PEM of several lines, a JWK, and a list of JWKs."""
    name = "STOCKADE_AUTHENTICATION__SIGNING_KEYS"
    one, two = (write_private_key(make_private("Ed25519")) for _ in range(2))
    values = {
        pem_of(make_private("Ed25519")): 1,
        json.dumps(one): 1,
        json.dumps([one, two]): 2,
        json.dumps([json.dumps(one), pem_of(make_private("Ed25519"))]): 2,
    }
    for value, count in values.items():
        monkeypatch.setenv(name, value)
        settings = Settings(environment="test").authentication
        assert len(choose_signing_keys(KeyRing([NEW]), settings).by_kid) == count
        assert "PRIVATE" not in repr(settings)
        assert one["d"] not in repr(settings)


def secrets_of(key: Any) -> list[str]:  # noqa: ANN401 - any private key
    """Return what of a PEM must not be repeated."""
    return [line for line in pem_of(key).splitlines() if not line.startswith("-")]


UNUSABLE: dict[str, Any] = {
    "another curve": pem_of(ec.generate_private_key(ec.SECP384R1())),
    "Ed448": pem_of(ed448.Ed448PrivateKey.generate()),
    "DSA": pem_of(dsa.generate_private_key(2048)),
    "a small RSA key": pem_of(generate_private_key(65537, 1024)),  # noqa: S505 - it has to be refused
    "a public key": make_private("Ed25519")
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode(),
    "a passphrase": make_private("Ed25519")
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"p"))
    .decode(),
    "no key": "PRIVATE KEY",
    "nothing": "",
    "half a surrogate pair": "\ud800",
    "a cut PEM": rsa_pem()[:200],
    "no JWK": "{",
    "an empty JWK": "{}",
    "a list": "[]",
    "a short secret": json.dumps({"kty": "oct", "k": encode(b"s" * 31)}),
    "a public JWK": json.dumps({"kty": "OKP", "crv": "Ed25519", "x": encode(bytes(32))}),
    "another use": json.dumps({**write_private_key(make_private("ES256")), "use": "enc"}),
    "another algorithm": json.dumps({**write_private_key(make_private("ES256")), "alg": "RS256"}),
    "a bad name": json.dumps({**write_private_key(make_private("ES256")), "kid": "a b"}),
    "a name that is no text": json.dumps({**write_private_key(make_private("ES256")), "kid": 5}),
    "a name given twice": '{"kty": "oct", "kty": "oct", "k": "' + encode(b"s" * 32) + '"}',
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_key_that_can_not_be_used_stops_the_start(text: str) -> None:
    """The message says which one it is and what to do, and repeats nothing of it."""
    with pytest.raises(ConfigurationError) as caught:
        choose(algorithm="Ed25519", signing_keys=(text,))
    assert "key 1 of 1" in str(caught.value)
    assert caught.value.__suppress_context__
    shown = str(caught.value)
    assert not any(part in shown for part in text.replace('"', "\n").split("\n") if len(part) > 20)
    with pytest.raises(UnusableKeyError):
        read_signing_key(text)


def test_rsa_keys_have_to_be_given() -> None:
    """They can't be derived."""
    with pytest.raises(ConfigurationError):
        choose(algorithm="RS256")


@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA", "ES256", "HS256"])
def test_the_newest_key_is_for_the_algorithm_of_the_settings(algorithm: str) -> None:
    """Both say which algorithm it is, so that a mistake in one of them is noticed."""
    with pytest.raises(ConfigurationError):
        choose(algorithm=algorithm, signing_keys=(rsa_pem(),))


def test_one_key_given_twice_is_a_mistake() -> None:
    """So are two keys of one name: it would be chance which of them verifies."""
    named = [{**write_private_key(make_private("Ed25519")), "kid": "k"} for _ in range(2)]
    for keys in ((rsa_pem(), rsa_pem()), tuple(json.dumps(key) for key in named)):
        with pytest.raises(ConfigurationError):
            choose(algorithm="RS256" if "BEGIN" in keys[0] else "Ed25519", signing_keys=keys)
    with pytest.raises(ConfigurationError):
        choose(NEW, NEW)


def test_no_keys_are_a_mistake() -> None:
    """There is always one that signs."""
    with pytest.raises(ConfigurationError):
        SigningKeys([], name="Ed25519")


def test_files_that_can_not_be_read_stop_the_start(tmp_path: Path) -> None:
    """Missing, a folder, too large, no text; also both files and keys, which have no order."""
    large, binary = tmp_path / "large", tmp_path / "binary"
    large.write_text("x" * 70_000, encoding="ascii")
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none", tmp_path, large, binary):
        with pytest.raises(ConfigurationError):
            choose(algorithm="RS256", signing_key_files=(path,))
    good = tmp_path / "good"
    good.write_text(rsa_pem(), encoding="ascii")
    with pytest.raises(ConfigurationError):
        choose(algorithm="RS256", signing_key_files=(good,), signing_keys=(rsa_pem(1),))


@pytest.mark.parametrize("algorithm", ["HS256", *PUBLIC])
def test_a_key_shows_itself_in_no_representation(algorithm: str) -> None:
    """Neither the key nor the settings give it away."""
    keys = choose(algorithm=algorithm, signing_keys=(rsa_pem(),) if algorithm == "RS256" else ())
    shown = repr(keys.newest) + repr(keys.by_kid)
    assert "function" not in shown
    assert "object at" not in shown
