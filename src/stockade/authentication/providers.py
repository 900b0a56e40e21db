"""Send users to a provider, and learn from it who has signed in there.

Source: OpenID Connect Core 1.0, section 3.1; RFC 9700, section 2.1 (the code with PKCE, and no
other grant).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

from stockade.authentication.algorithms import Algorithm, UnusableKeyError
from stockade.authentication.client_proofs import ClientProof
from stockade.authentication.errors import (
    InvalidTokenError,
    IssuerError,
    ProviderAwayError,
    ProviderRefusedError,
)
from stockade.authentication.http_reader import DocumentReader
from stockade.authentication.id_tokens import Expectation, IDTokenVerifier
from stockade.authentication.issuer_keys import IssuerKeys
from stockade.authentication.jwks import read_key_set
from stockade.authentication.jws import read_object
from stockade.authentication.provider_metadata import ProviderMetadata
from stockade.authentication.sign_in_flows import challenge_of
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.algorithms import VerificationKey
    from stockade.authentication.id_tokens import ProvenIdentity
    from stockade.authentication.provider_settings import ProviderSettings
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.sign_in_flows import Flow
    from stockade.core.clock import Clock
    from stockade.events import EventLog

_OK: Final = 200
# What a provider says of a code, or of this application (RFC 6749, section 5.2).
_REFUSALS: Final = frozenset({400, 401, 403})


class ProviderHTTP(DocumentReader, Protocol):
    """Whatever speaks with a provider."""

    async def send_form(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str], seconds: float
    ) -> tuple[int, bytes]:
        """Send a form, and return the status and the body of the answer.

        Raises:
            IssuerError: There is no answer, it is too large, or it takes too long.
        """


class Provider:
    """One provider, as its client.

    Args:
        name: Its name in the settings.
        settings: Whom and what to believe.
        http: Speaks with it.
        redirect_uri: Where it sends users back to; its own, so that no other's answer is taken for
            one of it.
        leeway: Clock difference that is forgiven, in seconds.
        events: Where it is recorded that it is away.
        clock: Source of time.

    Attributes:
        name: Its name in the settings.
        settings: Whom and what to believe.

    Raises:
        ConfigurationError: The private key of this application can't be used.
    """

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        http: ProviderHTTP,
        *,
        redirect_uri: str,
        leeway: float,
        events: EventLog,
        clock: Clock,
    ) -> None:
        self.name = name
        self.settings = settings
        self._http = http
        self._redirect_uri = redirect_uri
        self._proof = ClientProof(name, settings, clock=clock)
        self._metadata = ProviderMetadata(name, settings, http, events=events, clock=clock)
        keys = IssuerKeys(name, settings, self._fetch_keys, events=events, clock=clock)
        self._verifier = IDTokenVerifier(settings, keys, leeway=leeway, clock=clock)

    async def write_address(self, flow: Flow) -> str:
        """Return where a browser goes to sign in.

        Raises:
            UnavailableError: The provider is away, and nothing is known of it.
        """
        endpoints = await self._metadata.get()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge_of(flow.verifier),
            "code_challenge_method": "S256",
        }
        if flow.fresh:
            query |= {"prompt": "login", "max_age": "0"}
        return f"{endpoints.authorization}?{urlencode(query)}"

    async def check_issuer(self, issuer: str | None) -> None:
        """Check whose answer it is that a browser brings (RFC 9207, section 2.4).

        Args:
            issuer: What it says of itself, if it does; untrusted.

        Raises:
            ProviderRefusedError: It is another's, or does not say whose it is although this
                provider's answers do.
            UnavailableError: The provider is away, and nothing is known of it.
        """
        endpoints = await self._metadata.get()
        expected = issuer is not None or endpoints.names_itself
        if expected and issuer != self.settings.issuer:
            raise ProviderRefusedError(reason="authentication.provider_issuer")

    async def redeem(self, code: str, flow: Flow) -> ProvenIdentity:
        """Exchange a code, and return who has signed in.

        What else the provider gives, such as an access token, is not kept.

        Args:
            code: Untrusted.
            flow: The sign-in that it has to belong to.

        Raises:
            ProviderRefusedError: The provider refuses the code.
            InvalidTokenError: Its identity token does not hold; its `reason` says what.
            UnavailableError: It is away, or answers with something else.
        """
        endpoints = await self._metadata.get()
        fields, headers = self._proof.write()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": flow.verifier,
            **fields,
        }
        seconds = self.settings.timeout.total_seconds()
        try:
            status, raw = await self._http.send_form(
                endpoints.token, form, headers=headers, seconds=seconds
            )
        except IssuerError as error:
            raise ProviderAwayError(problem=str(error)) from None
        answer = _read_answer(status, raw)
        expected = Expectation(
            nonce=flow.nonce,
            access_token=answer["access_token"],
            signed_in_since=flow.started_at if flow.fresh else None,
        )
        return await self._verifier.verify(answer["id_token"], expected)

    async def _fetch_keys(self) -> dict[tuple[str, Algorithm], VerificationKey]:
        endpoints = await self._metadata.get()
        seconds = self.settings.timeout.total_seconds()
        raw = await self._http.read(endpoints.keys, seconds=seconds)
        wanted = frozenset(Algorithm(name) for name in self.settings.algorithms)
        try:
            return read_key_set(raw, algorithms=wanted)
        except UnusableKeyError as error:
            raise IssuerError(f"a set of keys that can't be used: {error}") from None


def _read_answer(status: int, raw: bytes) -> dict[str, str]:
    """Read what a token endpoint answers (RFC 6749, section 5).

    Raises:
        ProviderRefusedError: It refuses the code, or this application.
        ProviderAwayError: It answers with something else.
    """
    if status != _OK and status not in _REFUSALS:
        raise ProviderAwayError(problem=f"status {status}")
    try:
        answer: dict[str, Any] = read_object(raw)
    except ValueError:
        raise ProviderAwayError(problem="an answer that is no JSON object") from None
    if status != _OK:
        if answer.get("error") == "invalid_grant":
            raise ProviderRefusedError(reason="authentication.provider_code_refused")
        # Such as a secret that has changed: nobody signs in until an operator mends it.
        raise ProviderRefusedError(reason="authentication.provider_client_refused")
    found = {name: answer.get(name) for name in ("access_token", "id_token", "token_type")}
    texts = {name: value for name, value in found.items() if isinstance(value, str) and value}
    if texts.get("token_type", "").lower() != "bearer" or texts.keys() != found.keys():
        raise InvalidTokenError(reason="authentication.provider_answer")
    return texts


def make_providers(
    settings: AuthenticationSettings,
    http: ProviderHTTP,
    *,
    allow_http: bool,
    events: EventLog,
    clock: Clock,
) -> dict[str, Provider]:
    """Build the providers of the settings, by their names.

    Args:
        settings: The providers, and where this application is reached.
        http: Speaks with them.
        allow_http: Whether this application, and a provider on its machine, may do without TLS.
        events: Where it is recorded that one is away.
        clock: Source of time.

    Raises:
        ConfigurationError: It is not said where this application is reached, something does without
            TLS, two providers are one, or a key can't be used.
    """
    found: dict[str, Provider] = {}
    issuers: set[str] = set()
    for name, each in settings.providers.items():
        base = settings.public_url
        if base is None:
            message = (
                f"the provider {name} needs to know where to send users back to: set"
                " STOCKADE_AUTHENTICATION__PUBLIC_URL to the address that users know"
            )
            raise ConfigurationError(message)
        addresses = (each.issuer, base, settings.return_origin or "")
        if not allow_http and any(address.startswith("http:") for address in addresses):
            message = (
                f"the provider {name}, public_url or return_origin is reached by http: give https"
                " addresses, or set STOCKADE_ENVIRONMENT to local or test"
            )
            raise ConfigurationError(message)
        if each.issuer in issuers:
            message = (
                f"the provider {name} has the issuer of another one: keep one of them, so that it"
                " is clear whose users sign in"
            )
            raise ConfigurationError(message)
        issuers.add(each.issuer)
        found[name] = Provider(
            name,
            each,
            http,
            redirect_uri=f"{base.rstrip('/')}/auth/oidc/{name}/callback",
            leeway=settings.leeway.total_seconds(),
            events=events,
            clock=clock,
        )
    return found
