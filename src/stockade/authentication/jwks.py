"""Read and write keys as JSON: JWK, JWK set and thumbprint.

Source: RFC 7517; RFC 7518, section 6; RFC 7638; RFC 8037, section 2.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicNumbers,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stockade.authentication.algorithms import (
    Algorithm,
    UnusableKeyError,
    VerificationKey,
    algorithm_of,
    verify_with,
)
from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.jws import decode_base64url, encode_base64url, read_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from stockade.authentication.algorithms import PrivateKey, PublicKey

MOST_KEYS: Final = 100
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KID: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_SIZE: Final = 32
# The points of small order, without their sign: a signature under such a "key" holds for anything.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


def is_kid(value: object) -> bool:
    """Tell whether a value can name a key: 1 to 255 printable characters of ASCII."""
    return isinstance(value, str) and _KID.fullmatch(value) is not None


def thumbprint(key: PublicKey) -> str:
    """Name a public key by its contents (RFC 7638).

    Raises:
        UnusableKeyError: The key is of a kind or size that is not used.
    """
    algorithm_of(key)
    canonical = json.dumps(_members(key), sort_keys=True, separators=(",", ":"))
    return encode_base64url(sha256(canonical.encode("ascii")).digest()).decode("ascii")


def write_key_set(keys: Iterable[VerificationKey]) -> dict[str, list[dict[str, str]]]:
    """Describe keys to whoever verifies; shared secrets are left out."""
    return {"keys": [_describe(key.public, key) for key in keys if key.public is not None]}


def _describe(public: PublicKey, key: VerificationKey) -> dict[str, str]:
    member = {**_members(public), "use": "sig", "kid": key.kid}
    if key.algorithm is not Algorithm.ED25519:
        # The curve says it all, and verifiers that know one of its two names would stumble over the
        # other one.
        member["alg"] = str(key.algorithm)
    return member


def _members(key: PublicKey) -> dict[str, str]:
    """Return the members that make the key what it is, and no others."""
    if isinstance(key, Ed25519PublicKey):
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": _text(raw)}
    if isinstance(key, EllipticCurvePublicKey):
        point = key.public_numbers()
        x, y = (_text(number.to_bytes(_SIZE, "big")) for number in (point.x, point.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    numbers = key.public_numbers()
    return {"e": _text(_to_bytes(numbers.e)), "kty": "RSA", "n": _text(_to_bytes(numbers.n))}


def write_private_key(key: PrivateKey) -> dict[str, str]:
    """Write a private key as a JWK; a secret."""
    members = {**_members(key.public_key()), "use": "sig", "kid": thumbprint(key.public_key())}
    if isinstance(key, Ed25519PrivateKey):
        return {**members, "d": _text(key.private_bytes_raw())}
    if isinstance(key, EllipticCurvePrivateKey):
        secret = key.private_numbers().private_value.to_bytes(_SIZE, "big")
        return {**members, "d": _text(secret)}
    numbers = key.private_numbers()
    private = {
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }
    return {**members, **{name: _text(_to_bytes(number)) for name, number in private.items()}}


def read_private_key(jwk: dict[str, Any]) -> PrivateKey | bytes:
    """Read a private key, or a shared secret, that an operator gives.

    Raises:
        UnusableKeyError: It is of a kind that is not used, or its members do not fit together.
    """
    try:
        if jwk.get("kty") == "oct":
            return _bytes(jwk, "k")
        key = _read_private(jwk)
    except (InvalidTokenError, ValueError):
        raise UnusableKeyError("its members do not make a private key") from None
    if _members(key.public_key()) != {name: jwk.get(name) for name in _members(key.public_key())}:
        raise UnusableKeyError("its public part does not belong to its private part")
    return key


def _read_private(jwk: dict[str, Any]) -> PrivateKey:
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            return Ed25519PrivateKey.from_private_bytes(_bytes(jwk, "d"))
        case "EC", "P-256":
            return derive_private_key(_number(jwk, "d"), SECP256R1())
        case "RSA", None:
            return _read_rsa(jwk)
        case _:
            raise UnusableKeyError("its kind is not used")


def _read_rsa(jwk: dict[str, Any]) -> RSAPrivateKey:
    return RSAPrivateNumbers(
        p=_number(jwk, "p"),
        q=_number(jwk, "q"),
        d=_number(jwk, "d"),
        dmp1=_number(jwk, "dp"),
        dmq1=_number(jwk, "dq"),
        iqmp=_number(jwk, "qi"),
        public_numbers=RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")),
    ).private_key()


def read_key_set(
    raw: bytes, *, algorithms: Collection[Algorithm]
) -> dict[tuple[str, Algorithm], VerificationKey]:
    """Read another party's JWK set, and return the keys that may verify its tokens.

    A key is left out where it has no name, is of another kind or for another use, or for an
    algorithm that is not wanted (RFC 7517, section 5). A shared secret is never taken.

    Args:
        raw: The document; untrusted.
        algorithms: The algorithms that the issuer may use.

    Raises:
        UnusableKeyError: It is no JWK set, shows a private key, or has two keys of one name; then
            nothing in it is believed.
    """
    keys: dict[tuple[str, Algorithm], VerificationKey] = {}
    for member in _list_members(raw):
        found = _read_member(member)
        if found is None or found.algorithm not in algorithms:
            continue
        if keys.setdefault((found.kid, found.algorithm), found) is not found:
            raise UnusableKeyError("two keys have one name")
    return keys


def _list_members(raw: bytes) -> list[dict[str, Any]]:
    try:
        members = read_object(raw).get("keys")
    except ValueError:
        members = None
    if not isinstance(members, list) or len(members) > MOST_KEYS:
        raise UnusableKeyError("it is no set of keys")
    if not all(isinstance(member, dict) for member in members):
        raise UnusableKeyError("it is no set of keys")
    return members


def _read_member(member: dict[str, Any]) -> VerificationKey | None:
    if not is_kid(member.get("kid")) or not _is_for_signatures(member):
        return None
    if member.get("kty") != "oct" and member.keys() & _PRIVATE:
        raise UnusableKeyError("a private key is in public")
    try:
        public = _read_public(member)
        algorithm = None if public is None else algorithm_of(public)
    except (InvalidTokenError, ValueError):
        return None
    if public is None or algorithm is None:
        return None
    # An algorithm that the key names has to be its own (RFC 8725, section 3.1).
    if "alg" in member and member["alg"] not in algorithm.names:
        return None
    return verify_with(public, member["kid"])


def _is_for_signatures(member: dict[str, Any]) -> bool:
    operations = member.get("key_ops", ["verify"])
    return (
        member.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _read_public(member: dict[str, Any]) -> PublicKey | None:
    match member.get("kty"), member.get("crv"):
        case "OKP", "Ed25519":
            raw = _bytes(member, "x")
            if raw[:-1] + bytes([raw[-1] & 0x7F]) in _SMALL_ORDER:
                return None
            return Ed25519PublicKey.from_public_bytes(raw)
        case "EC", "P-256":
            x, y = _bytes(member, "x"), _bytes(member, "y")
            if len(x) != _SIZE or len(y) != _SIZE:
                return None
            # The library refuses what is not on the curve.
            numbers = (int.from_bytes(x, "big"), int.from_bytes(y, "big"))
            return EllipticCurvePublicNumbers(*numbers, SECP256R1()).public_key()
        case "RSA", None:
            return RSAPublicNumbers(_number(member, "e"), _number(member, "n")).public_key()
        case _:
            return None


def _bytes(jwk: dict[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value or not value.isascii():
        raise UnusableKeyError("a member is missing")
    return decode_base64url(value.encode("ascii"))


def _number(jwk: dict[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(jwk, name), "big")


def _to_bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _text(raw: bytes) -> str:
    return encode_base64url(raw).decode("ascii")
