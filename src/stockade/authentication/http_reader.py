"""Read what other parties serve by HTTP, capped in size and time."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlencode

from stockade.authentication.errors import IssuerError
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The key set of Entra, the largest one around, has 20 KB.
LARGEST_DOCUMENT: Final = 262_144
_OK: Final = 200
# No coding, so that nothing small becomes large.
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}
_NEED: Final = (
    "outside issuers and providers need an HTTP client: install stockade[oidc], or take"
    " STOCKADE_AUTHENTICATION__ISSUERS and STOCKADE_AUTHENTICATION__PROVIDERS away"
)


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

    Args:
        need: What is said, with what to do about it, where the HTTP client is not installed.
        largest: The most bytes of an answer.

    Raises:
        ConfigurationError: The HTTP client is not installed.
    """

    def __init__(self, *, need: str = _NEED, largest: int = LARGEST_DOCUMENT) -> None:
        try:
            import httpx2  # noqa: PLC0415 - an extra, imported where it is needed
        except ImportError:
            raise ConfigurationError(need) from None
        self._httpx = httpx2
        self._largest = largest
        # The machine's own certificate authorities, read once.
        self._context = ssl.create_default_context()

    async def read(
        self, url: str, *, seconds: float, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the document at an address.

        Args:
            url: The address.
            seconds: The most time that it may take in all.
            headers: Further headers, or others than ours.

        Raises:
            IssuerError: There is none, it is too large, or it takes too long.
        """
        status, document = await self._ask("GET", url, seconds=seconds, headers=headers)
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
        sent = {**_HEADERS, **(headers or {})}
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
                    if len(document) > self._largest:
                        raise IssuerError("an answer that is too large")
                return response.status_code, bytes(document)
        except (self._httpx.HTTPError, self._httpx.InvalidURL, OSError) as error:
            raise IssuerError(f"no answer ({type(error).__name__})") from error
