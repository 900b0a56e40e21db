"""End keys of programs that a scanner has found where everybody can read them.

A scanner sends what it found, with a signature over the very bytes of the body by a key that the
settings name. A signed report ends the keys that it names and nothing else, and what has ended
stays ended: who sends one again changes nothing, so that no window of time is needed.

The form is that of GitHub's secret scanning partner programme: ECDSA on P-256 with SHA-256, in DER.

Source: GitHub Docs, secret scanning partner program; ASVS 5.0 V13.3.4 and V16.2.5.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from stockade.authentication.errors import InvalidKeyError
from stockade.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stockade.authentication.api_keys import APIKeys
    from stockade.authentication.interfaces import LeakedKeyStore
    from stockade.authentication.models import APIClient, APISecret
    from stockade.core.clock import Clock

# A signature has at most 72 bytes in DER, which are 96 characters of base64.
_LONGEST_SIGNATURE: Final = 96
_LONGEST_PLACE: Final = 300
_WRONG_KEY: Final = "a scanner's key is a public key on the curve P-256, in PEM"
# How keys and tokens of ours begin, for names of files that hold one.
_SECRET: Final = re.compile(r"stk[a-z]_")


def read_reporter_key(pem: str) -> EllipticCurvePublicKey:
    """Read the public key of a scanner.

    Raises:
        ValueError: It is none of the one kind that is used.
    """
    try:
        key = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(_WRONG_KEY) from None
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError(_WRONG_KEY)


class LeakReporters:
    """Knows the scanners whose reports are believed.

    Args:
        keys: Their public keys, in PEM; which of them a header names counts for nothing.

    Raises:
        ValueError: A key is none that is used.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(read_reporter_key(each) for each in keys)

    def verify(self, body: bytes, signature: str | None) -> None:
        """Verify that a report is a scanner's.

        Args:
            body: The very bytes that came; untrusted.
            signature: Value of the header; untrusted.

        Raises:
            UnauthenticatedError: No key has signed it.
        """
        decoded = _decode(signature)
        if not any(_holds(key, body, decoded) for key in self._keys):
            raise UnauthenticatedError(
                reason="authentication.leak_report_unsigned", challenge="Signature"
            )


def _decode(signature: str | None) -> bytes:
    if signature is None or len(signature) > _LONGEST_SIGNATURE:
        return b""
    try:
        return base64.b64decode(signature.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""


def _holds(key: EllipticCurvePublicKey, body: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, body, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakedKey:
    """What a scanner has found.

    Args:
        value: What may be a key.
        kind: Name that the scanner has for keys of this form.
        url: Where it was found; may be empty.
    """

    value: str = field(repr=False)
    kind: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakOutcome:
    """What became of it.

    Args:
        digest: SHA-256 of the value, in hexadecimal: the scanner knows which one is meant, and
            the answer repeats no key.
        kind: Name that the scanner has for keys of this form.
        was_real: Whether it is a key of this application, whether it still held or not.
        ended: The program, where a key that held until now has ended by this report.
        place: Where it was found, without what does not name a place.
    """

    digest: str
    kind: str
    was_real: bool
    ended: APIClient | None
    place: str


class LeakedKeys:
    """End keys that were found.

    A key ends alone: the program and its other key, if a rotation goes on, stay, and whoever owns
    it rotates it to a new one.

    Args:
        store: Where keys live.
        keys: Reads keys and makes digests.
        clock: Source of time.
    """

    def __init__(self, store: LeakedKeyStore, *, keys: APIKeys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def end(self, found: Sequence[LeakedKey]) -> list[LeakOutcome]:
        """End what is a key, and say what became of each, in the same order.

        Args:
            found: What a scanner has found, from a report that was verified.

        Raises:
            StoreError: The store is away.
        """
        digests = [self._digests_of(each) for each in found]
        wanted = list(dict.fromkeys(each for several in digests for each in several))
        known = await self._store.find_by_digests(wanted) if wanted else {}
        outcomes = []
        for leaked, several in zip(found, digests, strict=True):
            stored = next((known[each] for each in several if each in known), None)
            ended = None if stored is None else await self._end(*stored)
            outcomes.append(
                LeakOutcome(
                    digest=sha256(leaked.value.encode("utf-8", "surrogatepass")).hexdigest(),
                    kind=leaked.kind,
                    was_real=stored is not None,
                    ended=ended,
                    place=place_of(leaked.url),
                )
            )
        return outcomes

    def _digests_of(self, leaked: LeakedKey) -> tuple[str, ...]:
        try:
            value = self._keys.read(leaked.value.encode("utf-8", "surrogatepass"))
        except InvalidKeyError:
            return ()
        return self._keys.digests(value)

    async def _end(self, client: APIClient, secret: APISecret) -> APIClient | None:
        now = self._clock.now()
        # In one step, so that of any number of reports at once one is news.
        ended = await self._store.end_secret(client.client_id, secret.secret_id, now=now)
        over = client.expires_at is not None and now >= client.expires_at
        return client if ended and client.revoked_at is None and not over else None


def place_of(url: str) -> str:
    """Return where something was found, for an event.

    >>> place_of("https://code.example/acme/app/blob/1/settings.py?x=1#L3")
    'https://code.example/acme/app/blob/1/settings.py'

    Args:
        url: As the scanner has sent it.

    Returns:
        Scheme, host and path; empty where it is no address, too long, or names a key itself.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    place = f"{parts.scheme}://{parts.hostname}{parts.path}"
    usable = parts.scheme == "https" and parts.hostname and len(place) <= _LONGEST_PLACE
    # A file can have a key as its name, and no event may hold one.
    named = _SECRET.search(unquote(place)) is not None
    return place if usable and place.isascii() and place.isprintable() and not named else ""
