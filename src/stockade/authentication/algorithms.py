"""Bind each key to the one algorithm that it is for.

A key is asked to verify and answers by its own algorithm; what a token's header says can only agree
with it or end in a refusal. So no header turns a public key into a shared secret.

Source: RFC 8725, sections 3.1 and 3.2; RFC 7518, sections 3.2 to 3.4; RFC 8037; RFC 9864.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from stockade.authentication.errors import InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import Callable

PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_SIZE: Final = 32
_ED25519_SIZE: Final = 64
# RFC 7518, section 3.3, wants 2048 bits. Verifying takes the square of the size, and a key of
# another party must not choose how long this server works.
_RSA_SIZES: Final = range(2048, 8192 + 1)
# Smaller exponents have a history of broken verifiers; larger ones only cost time.
_RSA_EXPONENTS: Final = range(65537, 2**32)
_SECRET_SIZE: Final = 32


class Algorithm(StrEnum):
    """Signature algorithms of tokens."""

    ED25519 = "Ed25519"
    ES256 = "ES256"
    RS256 = "RS256"
    HS256 = "HS256"

    @property
    def names(self) -> frozenset[str]:
        """The names of it in a header: RFC 9864 renamed the one that RFC 8037 had called EdDSA."""
        return _NAMES[self]


_NAMES: Final = {
    Algorithm.ED25519: frozenset({"Ed25519", "EdDSA"}),
    Algorithm.ES256: frozenset({"ES256"}),
    Algorithm.RS256: frozenset({"RS256"}),
    Algorithm.HS256: frozenset({"HS256"}),
}


class UnusableKeyError(ValueError):
    """A key is of a kind or size that is not used; the message holds nothing of it."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key that verifies by one algorithm.

    Args:
        kid: Its name in headers.
        algorithm: The algorithm that it is bound to.
        holds: Tells whether a signature (second) is of these bytes (first).
        public: The public key; None for a shared secret, which is never shown.
    """

    kid: str
    algorithm: Algorithm
    holds: Callable[[bytes, bytes], bool] = field(repr=False)
    public: PublicKey | None = field(repr=False)

    def verify(self, signed: bytes, signature: bytes) -> None:
        """Verify a signature.

        Raises:
            InvalidTokenError: It does not hold.
        """
        if not self.holds(signed, signature):
            raise InvalidTokenError(reason="authentication.token_signature")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs by one algorithm.

    Args:
        sign: Makes the signature of bytes.
        verification: The key that verifies it.
    """

    sign: Callable[[bytes], bytes] = field(repr=False)
    verification: VerificationKey


def algorithm_of(key: PublicKey) -> Algorithm:
    """Name the algorithm that a public key is for.

    Raises:
        UnusableKeyError: There is none: another curve, or an RSA key of a size that is not used.
    """
    if isinstance(key, Ed25519PublicKey):
        return Algorithm.ED25519
    if isinstance(key, EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise UnusableKeyError("the curve is not P-256")
        return Algorithm.ES256
    if key.key_size not in _RSA_SIZES:
        raise UnusableKeyError("an RSA key needs 2048 to 8192 bits")
    if key.public_numbers().e not in _RSA_EXPONENTS:
        raise UnusableKeyError("an RSA key needs 65537, or a little more, as its exponent")
    return Algorithm.RS256


def verify_with(key: PublicKey, kid: str, *, is_ours: bool = False) -> VerificationKey:
    """Make a verification key of a public key.

    Args:
        key: The public key.
        kid: Its name in headers.
        is_ours: Whether only we sign with it, so that the one spelling of an ECDSA signature that
            we write is the only one that holds.

    Raises:
        UnusableKeyError: The key is of a kind or size that is not used.
    """
    return VerificationKey(kid, algorithm_of(key), _choose_check(key, is_ours=is_ours), key)


def verify_with_secret(secret: bytes, kid: str) -> VerificationKey:
    """Make a verification key of a shared secret.

    Raises:
        UnusableKeyError: It is shorter than the hash (RFC 7518, section 3.2).
    """
    if len(secret) < _SECRET_SIZE:
        raise UnusableKeyError("a shared secret needs 32 bytes or more")

    def holds(signed: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(secret, signed, sha256), signature)

    return VerificationKey(kid, Algorithm.HS256, holds, None)


def sign_with(key: PrivateKey, kid: str) -> SigningKey:
    """Make a signing key of a private key.

    Raises:
        UnusableKeyError: The key is of a kind or size that is not used.
    """
    return SigningKey(_choose_sign(key), verify_with(key.public_key(), kid, is_ours=True))


def sign_with_secret(secret: bytes, kid: str) -> SigningKey:
    """Make a signing key of a shared secret.

    Raises:
        UnusableKeyError: It is shorter than the hash.
    """

    def sign(message: bytes) -> bytes:
        return hmac.digest(secret, message, sha256)

    return SigningKey(sign, verify_with_secret(secret, kid))


def _choose_check(key: PublicKey, *, is_ours: bool) -> Callable[[bytes, bytes], bool]:
    if isinstance(key, Ed25519PublicKey):
        return _check_ed25519(key)
    if isinstance(key, EllipticCurvePublicKey):
        return _check_es256(key, largest_s=_P256_ORDER // 2 if is_ours else _P256_ORDER - 1)
    return _check_rs256(key)


def _check_ed25519(key: Ed25519PublicKey) -> Callable[[bytes, bytes], bool]:
    def holds(signed: bytes, signature: bytes) -> bool:
        if len(signature) != _ED25519_SIZE:
            return False
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return holds


def _check_es256(key: EllipticCurvePublicKey, *, largest_s: int) -> Callable[[bytes, bytes], bool]:
    method = ec.ECDSA(SHA256())

    def holds(signed: bytes, signature: bytes) -> bool:
        # Two numbers of fixed size, and no DER (RFC 7518, section 3.4).
        if len(signature) != 2 * _P256_SIZE:
            return False
        r = int.from_bytes(signature[:_P256_SIZE], "big")
        s = int.from_bytes(signature[_P256_SIZE:], "big")
        # Zeros once passed for a signature of anything (CVE-2022-21449).
        if not (0 < r < _P256_ORDER and 0 < s <= largest_s):
            return False
        try:
            key.verify(encode_dss_signature(r, s), signed, method)
        except InvalidSignature:
            return False
        return True

    return holds


def _check_rs256(key: RSAPublicKey) -> Callable[[bytes, bytes], bool]:
    size = (key.key_size + 7) // 8
    padding, digest = PKCS1v15(), SHA256()

    def holds(signed: bytes, signature: bytes) -> bool:
        if len(signature) != size:
            return False
        try:
            key.verify(signature, signed, padding, digest)
        except InvalidSignature:
            return False
        return True

    return holds


def _choose_sign(key: PrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    if isinstance(key, EllipticCurvePrivateKey):
        return _sign_es256(key)
    padding, digest = PKCS1v15(), SHA256()
    return lambda message: key.sign(message, padding, digest)


def _sign_es256(key: EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    method = ec.ECDSA(SHA256())

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, method))
        # Of s and its mirror image we write the smaller one, so that a token has one spelling.
        s = min(s, _P256_ORDER - s)
        return r.to_bytes(_P256_SIZE, "big") + s.to_bytes(_P256_SIZE, "big")

    return sign
