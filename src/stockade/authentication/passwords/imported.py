"""Check hashes that passlib and Django have made, so that accounts can be moved as they are.

Each format is read to the letter: what is not exactly as those programs write it is no hash. What a
stored hash says of its own cost is bounded, since a row may be broken or put there by somebody.

Source: the formats as passlib 1.7 and Django 5.2 write them; RFC 8018 (PBKDF2), RFC 7914 (scrypt).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import bcrypt

from stockade.authentication.passwords.bcrypt_hasher import MAXIMUM_BYTES, is_bcrypt

if TYPE_CHECKING:
    from collections.abc import Callable

    _Check = Callable[[bytes], bool]
    _Build = Callable[[re.Match[str], int], _Check | None]

# The column of the accounts has no more.
_LONGEST: Final = 255
# Five millions of SHA-512 take about four seconds; Django 6 has 1.2 millions of SHA-256.
_MOST_ITERATIONS: Final = 5_000_000
# N * r * p of scrypt: about two seconds. Django has 655,360.
_MOST_BLOCKS: Final = 4_194_304
_DIGESTS: Final = {"sha1": 20, "sha256": 32, "sha512": 64}


class ImportedHashes:
    """Check hashes of PBKDF2, scrypt and bcrypt in the formats of passlib and Django.

    Args:
        most_memory: KiB that the check of a stored hash may take.
    """

    def __init__(self, *, most_memory: int) -> None:
        self._most_memory = most_memory

    def reads(self, stored: str) -> bool:
        """Tell whether a stored text is a hash that can be checked at a bearable cost."""
        return self._find_check(stored) is not None

    def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password belongs to a stored hash."""
        check = None if stored is None else self._find_check(stored)
        # A lone surrogate can't be encoded strictly; such a password was never typed by anybody.
        return check is not None and check(password.encode("utf-8", errors="surrogatepass"))

    def _find_check(self, stored: str) -> _Check | None:
        if len(stored) > _LONGEST:
            return None
        for pattern, build in _FORMATS:
            if found := pattern.fullmatch(stored):
                return build(found, self._most_memory)
        return None


@dataclass(frozen=True, slots=True)
class _PBKDF2:
    digest: str
    iterations: int
    salt: bytes
    expected: bytes

    def __call__(self, password: bytes) -> bool:
        computed = hashlib.pbkdf2_hmac(self.digest, password, self.salt, self.iterations)
        return hmac.compare_digest(computed, self.expected)


@dataclass(frozen=True, slots=True)
class _Scrypt:
    cost: int
    block: int
    lanes: int
    salt: bytes
    expected: bytes

    @property
    def memory(self) -> int:
        """Bytes that one check takes, for the most part (RFC 7914, section 2)."""
        return 128 * self.block * self.cost

    def __call__(self, password: bytes) -> bool:
        computed = hashlib.scrypt(
            password,
            salt=self.salt,
            n=self.cost,
            r=self.block,
            p=self.lanes,
            # What OpenSSL counts beside the large block.
            maxmem=self.memory + 128 * self.block * (self.lanes + 2) + 65_536,
            dklen=len(self.expected),
        )
        return hmac.compare_digest(computed, self.expected)


@dataclass(frozen=True, slots=True)
class _Bcrypt:
    """bcrypt of what a first hash has made of the password."""

    prepare: Callable[[bytes], bytes]
    stored: bytes

    def __call__(self, password: bytes) -> bool:
        prepared = self.prepare(password)
        # Django lets bcrypt cut a password; what it would not read belongs to no hash here.
        fits = len(prepared) <= MAXIMUM_BYTES and b"\0" not in prepared
        return bcrypt.checkpw(prepared if fits else b"", self.stored) and fits


def _read_passlib_pbkdf2(found: re.Match[str], _most_memory: int) -> _Check | None:
    digest = found["digest"] or "sha1"
    # passlib has its own alphabet, and no padding.
    salt, expected = (_decode(found[part].replace(".", "+")) for part in ("salt", "hash"))
    return _make_pbkdf2(digest, found["iterations"], salt, expected)


def _read_django_pbkdf2(found: re.Match[str], _most_memory: int) -> _Check | None:
    expected = _decode(found["hash"], padded=True)
    return _make_pbkdf2(found["digest"], found["iterations"], found["salt"].encode(), expected)


def _make_pbkdf2(
    digest: str, iterations: str, salt: bytes | None, expected: bytes | None
) -> _Check | None:
    # A shorter hash would hold for more passwords than one.
    if salt is None or expected is None or len(expected) != _DIGESTS[digest]:
        return None
    if int(iterations) > _MOST_ITERATIONS:
        return None
    return _PBKDF2(digest, int(iterations), salt, expected)


def _read_passlib_scrypt(found: re.Match[str], most_memory: int) -> _Check | None:
    salt, expected = _decode(found["salt"]), _decode(found["hash"])
    return _make_scrypt(1 << int(found["log"]), found, salt, expected, most_memory=most_memory)


def _read_django_scrypt(found: re.Match[str], most_memory: int) -> _Check | None:
    salt, expected = found["salt"].encode(), _decode(found["hash"], padded=True)
    return _make_scrypt(int(found["cost"]), found, salt, expected, most_memory=most_memory)


def _make_scrypt(
    cost: int,
    found: re.Match[str],
    salt: bytes | None,
    expected: bytes | None,
    *,
    most_memory: int,
) -> _Check | None:
    if salt is None or expected is None or len(expected) not in {32, 64}:
        return None
    block, lanes = int(found["block"]), int(found["lanes"])
    check = _Scrypt(cost, block, lanes, salt, expected)
    is_power = cost > 1 and not cost & (cost - 1)
    # RFC 7914, section 2: the cost has to be less than 2 to the power of 128 * r / 8.
    is_bearable = cost * block * lanes <= _MOST_BLOCKS and check.memory <= most_memory * 1024
    return check if is_power and cost < 1 << 16 * block and is_bearable else None


def _read_passlib_bcrypt_v1(found: re.Match[str], _most_memory: int) -> _Check | None:
    return _make_bcrypt(
        lambda password: base64.b64encode(hashlib.sha256(password).digest()),
        f"${found['variant']}${found['cost']:0>2}${found['salt']}{found['hash']}",
    )


def _read_passlib_bcrypt_v2(found: re.Match[str], _most_memory: int) -> _Check | None:
    salt = found["salt"].encode()
    return _make_bcrypt(
        lambda password: base64.b64encode(hmac.digest(salt, password, "sha256")),
        f"${found['variant']}${found['cost']:0>2}${found['salt']}{found['hash']}",
    )


def _read_django_bcrypt_sha256(found: re.Match[str], _most_memory: int) -> _Check | None:
    return _make_bcrypt(
        lambda password: hashlib.sha256(password).hexdigest().encode(), found["hash"]
    )


def _read_django_bcrypt(found: re.Match[str], _most_memory: int) -> _Check | None:
    return _make_bcrypt(lambda password: password, found["hash"])


def _make_bcrypt(prepare: Callable[[bytes], bytes], stored: str) -> _Check | None:
    return _Bcrypt(prepare, stored.encode()) if is_bcrypt(stored) else None


def _decode(text: str, *, padded: bool = False) -> bytes | None:
    """Return what a text in base64 stands for, or None where it is written in another way."""
    try:
        decoded = base64.b64decode(text if padded else text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
    written = base64.b64encode(decoded).decode()
    return decoded if text == (written if padded else written.rstrip("=")) else None


# Whole numbers as those programs write them, and no longer than the caps allow.
_NUMBER: Final = r"[1-9][0-9]{0,7}"
_SMALL: Final = r"[1-9][0-9]?"
# Parts in the alphabets of passlib (its own, and that of base64), of bcrypt, and of Django.
_PASSLIB: Final = r"\$(?P<salt>[./A-Za-z0-9]{0,88})\$(?P<hash>[./A-Za-z0-9]{20,88})"
_PASSLIB_64: Final = r"\$(?P<salt>[+/A-Za-z0-9]{0,88})\$(?P<hash>[+/A-Za-z0-9]{43})"
_BCRYPT: Final = r"\$(?P<salt>[./A-Za-z0-9]{22})\$(?P<hash>[./A-Za-z0-9]{31})"
_SALT: Final = r"\$(?P<salt>[!-#%-~]{1,64})"
_HASH: Final = r"\$(?P<hash>[A-Za-z0-9+/=]{20,88})"
_SCRYPT: Final = rf"ln=(?P<log>{_SMALL}),r=(?P<block>{_SMALL}),p=(?P<lanes>{_SMALL})"
_FORMATS: Final[tuple[tuple[re.Pattern[str], _Build], ...]] = tuple(
    (re.compile(pattern, re.ASCII), build)
    for pattern, build in (
        (
            rf"\$pbkdf2(?:-(?P<digest>sha256|sha512))?\$(?P<iterations>{_NUMBER}){_PASSLIB}",
            _read_passlib_pbkdf2,
        ),
        (
            rf"pbkdf2_(?P<digest>sha1|sha256)\$(?P<iterations>{_NUMBER}){_SALT}{_HASH}",
            _read_django_pbkdf2,
        ),
        (rf"\$scrypt\${_SCRYPT}{_PASSLIB_64}", _read_passlib_scrypt),
        (
            rf"scrypt\$(?P<cost>{_NUMBER}){_SALT}\$(?P<block>{_SMALL})\$(?P<lanes>{_SMALL}){_HASH}",
            _read_django_scrypt,
        ),
        (
            rf"\$bcrypt-sha256\$(?P<variant>2[aby]),(?P<cost>{_SMALL}){_BCRYPT}",
            _read_passlib_bcrypt_v1,
        ),
        (
            rf"\$bcrypt-sha256\$v=2,t=(?P<variant>2[aby]),r=(?P<cost>{_SMALL}){_BCRYPT}",
            _read_passlib_bcrypt_v2,
        ),
        (r"bcrypt_sha256\$(?P<hash>\$.{59})", _read_django_bcrypt_sha256),
        (r"bcrypt\$(?P<hash>\$.{59})", _read_django_bcrypt),
    )
)
