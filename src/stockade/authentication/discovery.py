"""Ask an outside issuer for its keys.

What it answers is another party's text: it is capped in size and time, and names no other host.

Source: OpenID Connect Discovery 1.0, section 4; RFC 8414, section 3; RFC 8725, section 3.10.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

from stockade.authentication.algorithms import Algorithm, UnusableKeyError, VerificationKey
from stockade.authentication.errors import IssuerError
from stockade.authentication.issuer_settings import check_address
from stockade.authentication.jwks import read_key_set
from stockade.authentication.jws import read_object
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.issuer_settings import IssuerSettings

# The key set of Entra, the largest one around, has 20 KB.
LARGEST_DOCUMENT: Final = 262_144
_OK: Final = 200
# No coding, so that nothing small becomes large.
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}


class DocumentReader(Protocol):
    """Whatever reads a document from its address."""

    async def read(self, url: str, *, seconds: float) -> bytes:
        """Return the document.

        Args:
            url: Its address.
            seconds: The most time that it may take in all.

        Raises:
            IssuerError: There is none, it is too large, or it takes too long.
        """


class HTTPReader:
    """Read documents by HTTP; a redirect is an error, and the environment names no proxy.

    Raises:
        ConfigurationError: The HTTP client is not installed.
    """

    def __init__(self) -> None:
        try:
            import httpx2  # noqa: PLC0415 - an extra, imported where it is needed
        except ImportError:
            message = (
                "outside issuers and providers need an HTTP client: install stockade[oidc], or take"
                " STOCKADE_AUTHENTICATION__ISSUERS and STOCKADE_AUTHENTICATION__PROVIDERS away"
            )
            raise ConfigurationError(message) from None
        self._httpx = httpx2
        # The machine's own certificate authorities, read once.
        self._context = ssl.create_default_context()

    async def read(self, url: str, *, seconds: float) -> bytes:
        """Return the document at an address.

        Raises:
            IssuerError: There is none, it is too large, or it takes too long.
        """
        status, document = await self._ask("GET", url, seconds=seconds)
        if status != _OK:
            raise IssuerError(f"status {status}")
        return document

    async def send_form(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str], seconds: float
    ) -> tuple[int, bytes]:
        """Send a form, and return the status and the body of the answer.

        Args:
            url: Where to.
            form: The fields; may hold secrets.
            headers: Further headers; may hold secrets.
            seconds: The most time that it may take in all.

        Raises:
            IssuerError: There is no answer, it is too large, or it takes too long.
        """
        given = {**headers, "content-type": "application/x-www-form-urlencoded"}
        content = urlencode(form).encode("ascii")
        return await self._ask("POST", url, seconds=seconds, headers=given, content=content)

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> tuple[int, bytes]:
        # A client for each question: they are rare, and so no connection outlives the application.
        client = self._httpx.AsyncClient(
            verify=self._context, trust_env=False, follow_redirects=False, timeout=None
        )
        sent = {**(headers or {}), **_HEADERS}
        try:
            # The client's own limits are for each step; a slow sender has many.
            async with (
                asyncio.timeout(seconds),
                client,
                client.stream(method, url, headers=sent, content=content) as response,
            ):
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise IssuerError("an answer in a coding that was not asked for")
                document = bytearray()
                async for part in response.aiter_raw():
                    document += part
                    if len(document) > LARGEST_DOCUMENT:
                        raise IssuerError("an answer that is too large")
                return response.status_code, bytes(document)
        except (self._httpx.HTTPError, self._httpx.InvalidURL, OSError) as error:
            raise IssuerError(f"no answer ({type(error).__name__})") from error


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
