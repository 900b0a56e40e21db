"""Ask an outside issuer for its keys.

What it answers is another party's text, and names no other host.

Source: OpenID Connect Discovery 1.0, section 4; RFC 8414, section 3; RFC 8725, section 3.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stockade.authentication.algorithms import Algorithm, UnusableKeyError, VerificationKey
from stockade.authentication.errors import IssuerError
from stockade.authentication.issuer_settings import check_address
from stockade.authentication.jwks import read_key_set
from stockade.authentication.jws import read_object

if TYPE_CHECKING:
    from stockade.authentication.http_reader import DocumentReader
    from stockade.authentication.issuer_settings import IssuerSettings


async def fetch_keys(
    reader: DocumentReader, settings: IssuerSettings
) -> dict[tuple[str, Algorithm], VerificationKey]:
    """Ask an issuer for the keys that may verify its tokens.

    Raises:
        IssuerError: It does not answer, or with something else; the message names what.
    """
    seconds = settings.timeout.total_seconds()
    url = settings.jwks_url
    if url is None:
        url = read_metadata(await reader.read(metadata_url(settings), seconds=seconds), settings)
    raw = await reader.read(url, seconds=seconds)
    wanted = frozenset(Algorithm(name) for name in settings.algorithms)
    try:
        keys = read_key_set(raw, algorithms=wanted)
    except UnusableKeyError as error:
        raise IssuerError(f"a set of keys that can't be used: {error}") from None
    if not keys:
        raise IssuerError("a set of keys without one for the algorithms of the settings")
    return keys


def metadata_url(settings: IssuerSettings) -> str:
    """Return where an issuer describes itself."""
    issuer = settings.issuer.rstrip("/")
    if settings.metadata == "openid-configuration":
        return f"{issuer}/.well-known/openid-configuration"
    # RFC 8414, section 3.1: between host and path.
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/{settings.metadata}{parts.path}"


def read_metadata(raw: bytes, settings: IssuerSettings) -> str:
    """Read an issuer's description of itself, and return where its keys are.

    Args:
        raw: The document; untrusted.
        settings: What it has to agree with.

    Raises:
        IssuerError: It describes another issuer (RFC 8414, section 3.3), or keys on another host.
    """
    try:
        document: dict[str, Any] = read_object(raw)
    except ValueError:
        raise IssuerError("a description that is no JSON object") from None
    if document.get("issuer") != settings.issuer:
        raise IssuerError("the description of another issuer")
    url = document.get("jwks_uri")
    try:
        if not isinstance(url, str):
            raise IssuerError("a description without keys")
        check_address(url)
    except ValueError:
        raise IssuerError("keys at something that is no https address") from None
    ours, theirs = urlsplit(settings.issuer), urlsplit(url)
    if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
        raise IssuerError("keys on another host, which only jwks_url of the settings may name")
    return url
