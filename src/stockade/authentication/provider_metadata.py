"""Ask a provider where its endpoints are, and remember what it says.

Source: OpenID Connect Discovery 1.0, sections 3 and 4; RFC 9207, section 3.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stockade.authentication.algorithms import Algorithm
from stockade.authentication.errors import IssuerError
from stockade.authentication.issuer_settings import check_address
from stockade.authentication.jws import read_object
from stockade.errors import UnavailableError

if TYPE_CHECKING:
    from stockade.authentication.http_reader import DocumentReader
    from stockade.authentication.provider_settings import ProviderSettings
    from stockade.core.clock import Clock
    from stockade.events import EventLog

_LONGEST_URL: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a provider does what.

    Args:
        authorization: Where its users sign in.
        token: Where codes are exchanged.
        keys: Where its keys are.
        names_itself: Whether its answers say whose they are (``iss``, RFC 9207).
    """

    authorization: str
    token: str
    keys: str
    names_itself: bool


def read_endpoints(raw: bytes, settings: ProviderSettings) -> Endpoints:
    """Read a provider's description of itself.

    Args:
        raw: The document; untrusted.
        settings: What it has to agree with.

    Raises:
        IssuerError: It describes another provider, names an endpoint on a host that is not its own,
            or does not do what the settings ask for.
    """
    try:
        document: dict[str, Any] = read_object(raw)
    except ValueError:
        raise IssuerError("a description that is no JSON object") from None
    if document.get("issuer") != settings.issuer:
        raise IssuerError("the description of another issuer")
    names = frozenset().union(*(Algorithm(each).names for each in settings.algorithms))
    for member, ours in (
        ("id_token_signing_alg_values_supported", names),
        ("code_challenge_methods_supported", frozenset({"S256"})),
        ("response_types_supported", frozenset({"code"})),
        (
            "token_endpoint_auth_methods_supported",
            frozenset({settings.client_authentication}),
        ),
    ):
        _require_one_of(document, member, ours)
    return Endpoints(
        authorization=_read_url(document, "authorization_endpoint", settings),
        token=_read_url(document, "token_endpoint", settings),
        keys=_read_url(document, "jwks_uri", settings),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _require_one_of(document: dict[str, Any], member: str, ours: frozenset[str]) -> None:
    """Refuse a provider that lists what it can do, and nothing of it is what the settings say."""
    given = document.get(member)
    if given is None:
        return
    if not isinstance(given, list) or not any(
        isinstance(each, str) and each in ours for each in given
    ):
        raise IssuerError(f"a description whose {member} does not fit the settings")


def _read_url(document: dict[str, Any], member: str, settings: ProviderSettings) -> str:
    url = document.get(member)
    try:
        if not isinstance(url, str) or len(url) > _LONGEST_URL:
            raise IssuerError(f"a description without {member}")
        check_address(url)
    except ValueError:
        raise IssuerError(f"a {member} that is no https address") from None
    ours, theirs = urlsplit(settings.issuer), urlsplit(url)
    # What the provider writes must not lead this server into a network that it may not ask.
    own = (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
    if not own and not (theirs.scheme == "https" and theirs.netloc in settings.hosts):
        raise IssuerError(f"a {member} on another host, which only hosts of the settings may name")
    return url


class ProviderMetadata:
    """The description of one provider.

    It is asked for when it is first needed and when it is old; two questions are
    `ProviderSettings.pause` apart. While the provider is away it goes on for
    `ProviderSettings.keys_outage`.

    Args:
        name: Name of the provider in the settings.
        settings: How long it is believed.
        reader: Reads the document.
        events: Where it is recorded that the provider is away.
        clock: Source of time.
    """

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        reader: DocumentReader,
        *,
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._name = name
        self._settings = settings
        self._reader = reader
        self._events = events
        self._clock = clock
        self._found: Endpoints | None = None
        self._found_at = self._asked_at = -math.inf
        self._is_away = False
        self._asking = asyncio.Lock()

    async def get(self) -> Endpoints:
        """Return the endpoints of the provider.

        Raises:
            UnavailableError: It is away, and what is known of it is too old, or nothing.
        """
        lifetime = self._settings.keys_lifetime.total_seconds()
        if self._age() >= lifetime:
            async with self._asking:
                # Whoever had to wait finds the answer there, or that there was none.
                if self._age() >= lifetime and self._remaining_pause() <= 0:
                    await self._ask()
        found = self._found
        if found is None or self._age() >= self._settings.keys_outage.total_seconds():
            wait = timedelta(seconds=math.ceil(max(1.0, self._remaining_pause())))
            raise UnavailableError(reason="authentication.issuer_away", retry_after=wait)
        return found

    def _age(self) -> float:
        return self._clock.monotonic() - self._found_at

    def _remaining_pause(self) -> float:
        return self._asked_at + self._settings.pause.total_seconds() - self._clock.monotonic()

    async def _ask(self) -> None:
        before, self._asked_at = self._asked_at, self._clock.monotonic()
        address = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        seconds = self._settings.timeout.total_seconds()
        try:
            raw = await self._reader.read(address, seconds=seconds)
            found = read_endpoints(raw, self._settings)
        except IssuerError as error:
            self._note_absence(error)
        except asyncio.CancelledError:
            # The caller went away; that says nothing about the provider.
            self._asked_at = before
            raise
        else:
            self._found, self._found_at = found, self._asked_at
            if self._is_away:
                self._is_away = False
                self._events.emit("authentication.issuer_recovered", details={"issuer": self._name})

    def _note_absence(self, error: IssuerError) -> None:
        if self._is_away:
            return
        self._is_away = True
        self._events.emit(
            "authentication.issuer_failed",
            reason="authentication.issuer_away",
            details={"issuer": self._name, "problem": str(error)},
        )
