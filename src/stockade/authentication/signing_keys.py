"""Choose the keys that sign and verify this application's own tokens.

They are given, as PEM or JWK, or derived from the application's secrets. Either way they are a
list, oldest to newest: the newest signs, all of them verify.
"""

from __future__ import annotations

import hmac
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stockade.authentication.algorithms import (
    Algorithm,
    SigningKey,
    UnusableKeyError,
    VerificationKey,
    sign_with,
    sign_with_secret,
)
from stockade.authentication.jwks import is_kid, read_private_key, thumbprint, write_key_set
from stockade.authentication.jws import encode_base64url, read_object
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stockade.authentication.algorithms import PrivateKey
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.crypto import KeyRing

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# 128 bits more than the order: what is left of it after the division is evenly spread (FIPS 186-5,
# appendix A.2.1).
_P256_SEED: Final = 48
_LARGEST_FILE: Final = 65_536
_VARIABLE: Final = "STOCKADE_AUTHENTICATION__SIGNING_KEYS"


class SigningKeys:
    """The keys of this application's own tokens.

    Args:
        keys: The keys, oldest to newest.
        name: Name of the algorithm in the header of new tokens.

    Attributes:
        newest: The key that signs.
        by_kid: The keys that verify, by their name.
        name: Name of the algorithm in the header of new tokens.

    Raises:
        ConfigurationError: There is no key, two have one name, or the newest is for another
            algorithm.
    """

    def __init__(self, keys: Sequence[SigningKey], *, name: str) -> None:
        if not keys:
            message = "there is no key to sign tokens with"
            raise ConfigurationError(message)
        self.newest = keys[-1]
        if name not in self.newest.verification.algorithm.names:
            message = (
                f"the newest of {_VARIABLE} is a key for {self.newest.verification.algorithm}, and"
                f" STOCKADE_AUTHENTICATION__ALGORITHM is {name}: make them agree"
            )
            raise ConfigurationError(message)
        verifying = {key.verification.kid: key.verification for key in keys}
        if len(verifying) != len(keys):
            message = f"two of {_VARIABLE} are the same key or have one name: keep one of them"
            raise ConfigurationError(message)
        self.by_kid: Mapping[str, VerificationKey] = MappingProxyType(verifying)
        self.name = name

    def describe(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK set; empty where all of them are shared secrets."""
        return write_key_set(self.by_kid.values())


def choose_signing_keys(ring: KeyRing, settings: AuthenticationSettings) -> SigningKeys:
    """Read the keys that the settings give, or derive them from the application's secrets.

    Args:
        ring: Secrets of the application.
        settings: Algorithm and keys.

    Raises:
        ConfigurationError: A key can't be used, or there is none for the algorithm; the message
            never repeats a key.
    """
    texts = [secret.get_secret_value() for secret in settings.signing_keys]
    if texts and settings.signing_key_files:
        message = (
            f"both {_VARIABLE} and {_VARIABLE.removesuffix('S')}_FILES give keys: keep one of them,"
            " so that it is clear which key is the newest"
        )
        raise ConfigurationError(message)
    texts += [_read_file(path) for path in settings.signing_key_files]
    if texts:
        count = len(texts)
        keys = [
            _read_given(text, place=f"key {position} of {count}")
            for position, text in enumerate(texts, start=1)
        ]
    else:
        keys = _derive(ring, settings.algorithm)
    return SigningKeys(keys, name=settings.algorithm)


def read_signing_key(text: str) -> SigningKey:
    """Read a key as an operator gives it: a private key in PEM, or a JWK.

    Raises:
        UnusableKeyError: It is neither, or a key that is not used; the message holds nothing of it.
    """
    text = text.strip()
    if not text.startswith("{"):
        key = _read_pem(text)
        return sign_with(key, thumbprint(key.public_key()))
    try:
        jwk = read_object(text.encode("utf-8"))
    except ValueError:
        raise UnusableKeyError("it is neither a private key in PEM nor a JWK") from None
    return _read_jwk(jwk)


def _read_jwk(jwk: dict[str, Any]) -> SigningKey:
    found = read_private_key(jwk)
    kid = jwk.get("kid")
    if kid is not None and not is_kid(kid):
        raise UnusableKeyError("its name (kid) has more than printable characters of ASCII")
    if isinstance(found, bytes):
        key = sign_with_secret(found, kid or _name_secret(found))
    else:
        key = sign_with(found, kid or thumbprint(found.public_key()))
    if "alg" in jwk and jwk["alg"] not in key.verification.algorithm.names:
        raise UnusableKeyError("it says that it is for another algorithm than it is")
    if jwk.get("use", "sig") != "sig":
        raise UnusableKeyError("it says that it is not for signatures")
    return key


def _read_pem(text: str) -> PrivateKey:
    try:
        key = load_pem_private_key(text.encode("utf-8"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # A TypeError says that it is encrypted.
        raise UnusableKeyError(
            "it is neither a private key in PEM, without a passphrase, nor a JWK"
        ) from None
    if isinstance(key, Ed25519PrivateKey | ec.EllipticCurvePrivateKey | RSAPrivateKey):
        return key
    raise UnusableKeyError("its kind is not used")


def _read_given(text: str, *, place: str) -> SigningKey:
    try:
        return read_signing_key(text)
    except UnusableKeyError as error:
        message = (
            f"{place} of the signing keys can't be used: {error}; `stockade keys generate` makes"
            " one"
        )
        raise ConfigurationError(message) from None


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        message = (
            f"the signing key {path} can't be read ({type(error).__name__}): give the path of a"
            " private key in PEM, or of a JWK, that this process may read"
        )
        raise ConfigurationError(message) from None
    if len(text) > _LARGEST_FILE:
        message = f"the signing key {path} is too large to be one: give one key a file"
        raise ConfigurationError(message)
    return text


def _derive(ring: KeyRing, name: str) -> list[SigningKey]:
    """Derive a key of each secret, oldest to newest."""
    if name == Algorithm.RS256:
        message = (
            "an RSA key can't be derived from a secret key: make one with `stockade keys generate"
            f" RS256` and give it as {_VARIABLE}"
        )
        raise ConfigurationError(message)
    if name == Algorithm.HS256:
        secrets = reversed(ring.derive("jwt/HS256"))
        return [sign_with_secret(secret, _name_secret(secret)) for secret in secrets]
    if name == Algorithm.ES256:
        seeds = reversed(ring.derive("jwt/ES256", length=_P256_SEED))
        return [_name_and_sign(_make_p256(seed)) for seed in seeds]
    # Both names of the algorithm are for the same keys, so that one can give way to the other.
    raw = reversed(ring.derive("jwt/Ed25519"))
    return [_name_and_sign(Ed25519PrivateKey.from_private_bytes(each)) for each in raw]


def _name_and_sign(key: PrivateKey) -> SigningKey:
    return sign_with(key, thumbprint(key.public_key()))


def _make_p256(seed: bytes) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(seed, "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _name_secret(secret: bytes) -> str:
    """Name a shared secret by a digest under itself: it says no more than any token does."""
    return encode_base64url(hmac.digest(secret, b"stockade/kid", "sha256")[:16]).decode("ascii")
