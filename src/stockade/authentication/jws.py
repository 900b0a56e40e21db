"""Read and write signatures in compact form: three parts in base64url, parted by dots.

Only what a token needs is here, so that little can go wrong: one serialization, no optional
processing, one spelling for each token. Measurement decided for this in the place of a library:
beside a signature that takes 2 to 60 us, the checks here take 8 us, and those of joserfc and PyJWT
18 to 37 us (`benchmarks/tokens.py`).

Source: RFC 7515, sections 3.1 and 5.2; RFC 8725, sections 3.1 to 3.12.
"""

from __future__ import annotations

import json
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Any, Final, NamedTuple, NoReturn

from stockade.authentication.errors import InvalidTokenError

# The standard alphabet in the place of the URL-safe one; what only the standard one has becomes a
# character of neither.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_PADDING: Final = (b"", b"", b"==", b"=")
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class CompactJWS(NamedTuple):
    """A token in its parts; nothing about it is verified yet.

    Args:
        header: Its header, still encoded.
        payload: Its payload, still encoded.
        signed: The bytes that the signature is of.
        signature: The signature.
    """

    header: bytes
    payload: bytes
    signed: bytes
    signature: bytes


def read_compact(token: str, *, limit: int) -> CompactJWS:
    """Part a token, and decode its signature.

    Args:
        token: Untrusted.
        limit: The most characters of a token; a longer one is not looked at.

    Raises:
        InvalidTokenError: It is too long, or not of three parts.
    """
    if len(token) > limit:
        raise InvalidTokenError(reason="authentication.token_too_long")
    try:
        signed, _, signature = token.encode("ascii").rpartition(b".")
    except UnicodeEncodeError:
        raise InvalidTokenError(reason="authentication.token_malformed") from None
    header, dot, payload = signed.partition(b".")
    if not (dot and header and payload and signature) or b"." in payload:
        raise InvalidTokenError(reason="authentication.token_malformed")
    return CompactJWS(header, payload, signed, decode_base64url(signature))


def write_compact(header: bytes, claims: dict[str, Any]) -> bytes:
    """Return what has to be signed.

    Args:
        header: The encoded header.
        claims: The payload, as JSON takes it.
    """
    return header + b"." + encode_base64url(_ENCODER.encode(claims).encode("ascii"))


def encode_object(value: dict[str, Any]) -> bytes:
    """Encode an object as one part of a token."""
    return encode_base64url(_ENCODER.encode(value).encode("ascii"))


def encode_base64url(raw: bytes) -> bytes:
    """Encode bytes without padding (RFC 7515, section 2)."""
    return b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_URL_SAFE)


def decode_base64url(text: bytes) -> bytes:
    """Decode base64url in its one canonical spelling.

    Padding, space, the standard alphabet and bits behind the end are refused: with them one token
    would have many spellings.

    Args:
        text: Untrusted.

    Raises:
        InvalidTokenError: It is no canonical base64url.

    Source: RFC 4648, sections 3.5 and 5.
    """
    standard = text.translate(_TO_STANDARD)
    try:
        raw = a2b_base64(standard + _PADDING[len(standard) & 3], strict_mode=True)
    except Base64Error:
        raise InvalidTokenError(reason="authentication.token_malformed") from None
    if b2a_base64(raw, newline=False).rstrip(b"=") != standard:
        raise InvalidTokenError(reason="authentication.token_malformed")
    return raw


def decode_object(text: bytes) -> dict[str, Any]:
    """Decode a part that holds a JSON object.

    Args:
        text: Untrusted, in base64url.

    Raises:
        InvalidTokenError: It holds anything else.
    """
    try:
        return read_object(decode_base64url(text))
    except ValueError:
        raise InvalidTokenError(reason="authentication.token_malformed") from None


def read_object(raw: bytes) -> dict[str, Any]:
    """Read JSON that is one object, and means the same to every reader.

    Args:
        raw: Untrusted.

    Raises:
        ValueError: It is no JSON in UTF-8, no object, nested too deeply, or holds a name twice or a
            number that JSON does not have; the message does not repeat it.

    Source: RFC 7515, section 4 (names given twice); RFC 8259, sections 6 and 8.1.
    """
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        # Neither the message nor the chain may hold what was submitted.
        raise ValueError(_NO_OBJECT) from None
    if type(found) is not dict:
        raise ValueError(_NO_OBJECT)
    return found


_NO_OBJECT: Final = "no JSON object that is clear to every reader"


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(_NO_OBJECT)
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError(_NO_OBJECT)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_without_doubles, parse_constant=_refuse_constant
)
