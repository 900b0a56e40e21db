"""Remember a sign-in while its user is away at a provider, in a cookie of the very browser.

What has to come back with the user (state), what has to be in the identity token (nonce) and what
proves to the provider that the code was asked for here (PKCE) all follow from one secret of 256
bits, sealed in the cookie. So an answer that was made for another browser fits nothing here.

Source: RFC 6749, section 10.12; RFC 7636; RFC 9700, sections 2.1 and 4.7; OpenID Connect Core 1.0,
section 15.5.2.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from stockade.authentication.errors import ProviderRefusedError
from stockade.authentication.jws import encode_base64url
from stockade.core.identity import UserId
from stockade.crypto.sealing import SealError, SealExpiredError, TimedSealer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

LIFETIME: Final = timedelta(minutes=10)
LONGEST_NEXT: Final = 200
# A path of this site: two slashes, or a backslash in the place of one, would name another host.
NEXT: Final = r"^/([A-Za-z0-9._~!$&'()*+,;=:@?%-][A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?$"
CHALLENGE: Final = r"^[A-Za-z0-9_-]{43}$"
STATE: Final = r"^[A-Za-z0-9_-]{43}$"
# The prefix makes browsers refuse it from anything but this very host over TLS.
_COOKIE: Final = "__Host-stockade-oidc-"
# Several tabs may be under way, and whoever starts many sign-ins fills no browser with cookies.
SLOTS: Final = 8
_SECRET: Final = 32
_STATE: Final = re.compile(STATE, re.ASCII)
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTarget:
    """The account that an identity is to be linked to.

    Args:
        user_id: The account.
        session_id: The session in which that was asked for; it has to go on.
    """

    user_id: UserId
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A sign-in at a provider that is under way.

    Args:
        provider: Name of the provider.
        started_at: When it began, in seconds since 1970.
        next: Path that the browser goes to afterwards.
        fresh: Whether the user has to sign in at the provider anew.
        challenge: What the client that gets tokens in the end has to know the verifier of; None
            where the browser gets a cookie.
        link: The account that the identity is to be linked to; None for a sign-in.
        secret: What everything else follows from.
    """

    provider: str
    started_at: int
    next: str = "/"
    fresh: bool = False
    challenge: str | None = None
    link: LinkTarget | None = None
    secret: bytes = field(repr=False, default_factory=lambda: secrets.token_bytes(_SECRET))

    @property
    def state(self) -> str:
        """What the provider sends back with the user."""
        return self._derive("state")

    @property
    def nonce(self) -> str:
        """What the identity token has to hold."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """What only whoever has asked for the code knows (RFC 7636, section 4.1)."""
        return self._derive("verifier")

    def _derive(self, use: str) -> str:
        return encode_base64url(hmac.digest(self.secret, use.encode("ascii"), sha256)).decode()


class Flows:
    """Keep sign-ins that are under way in cookies, and find them again.

    Args:
        keys: Secrets of the application.
        clock: Source of time.
    """

    def __init__(self, keys: KeyRing, *, clock: Clock) -> None:
        self._sealer = TimedSealer(keys, "oidc/flow", clock=clock)

    def write_cookie(self, flow: Flow) -> str:
        """Return the cookie that keeps a sign-in, as ``Set-Cookie`` has it."""
        values = {
            "provider": flow.provider,
            "started": flow.started_at,
            "next": flow.next,
            "fresh": flow.fresh,
            "challenge": flow.challenge,
            "link": None if flow.link is None else [flow.link.user_id, flow.link.session_id],
            "secret": flow.secret.hex(),
        }
        sealed = self._sealer.seal(values, lifetime=LIFETIME)
        age = int(LIFETIME.total_seconds())
        return f"{_name_of(flow.state)}={sealed}; Max-Age={age}; {_ATTRIBUTES}"

    def find(self, provider: str, state: str | None, cookies: Mapping[str, str]) -> Flow:
        """Return the sign-in that a browser comes back from.

        Args:
            provider: The provider that it comes back from, by the address that was called.
            state: What it brings back; untrusted.
            cookies: Its cookies; untrusted.

        Raises:
            ProviderRefusedError: It has begun no such sign-in, at another provider, or too long
                ago.
        """
        if state is None or not _STATE.fullmatch(state):
            raise ProviderRefusedError(reason="authentication.flow_unknown")
        try:
            flow = _read(self._sealer.open(cookies.get(_name_of(state), "")))
        except SealExpiredError:
            raise ProviderRefusedError(reason="authentication.flow_expired") from None
        except SealError:
            raise ProviderRefusedError(reason="authentication.flow_unknown") from None
        if not hmac.compare_digest(flow.state, state):
            raise ProviderRefusedError(reason="authentication.flow_unknown")
        # Each provider has an address of its own here: the answer of one can't pass for that of
        # another (RFC 9700, section 4.4.2.2).
        if flow.provider != provider:
            raise ProviderRefusedError(reason="authentication.flow_of_another_provider")
        return flow


def write_removal(flow: Flow) -> str:
    """Return what takes the cookie of a sign-in back, as ``Set-Cookie`` has it."""
    return f"{_name_of(flow.state)}=; Max-Age=0; {_ATTRIBUTES}"


def challenge_of(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636, section 4.2).

    >>> challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    return encode_base64url(sha256(verifier.encode("ascii")).digest()).decode("ascii")


def _name_of(state: str) -> str:
    """Name the cookie of a state: a few sign-ins at once have one each."""
    return f"{_COOKIE}{sha256(state.encode('ascii')).digest()[0] % SLOTS}"


def _read(values: dict[str, Any]) -> Flow:
    link = values["link"]
    return Flow(
        provider=values["provider"],
        started_at=values["started"],
        next=values["next"],
        fresh=values["fresh"],
        challenge=values["challenge"],
        link=None if link is None else LinkTarget(user_id=UserId(link[0]), session_id=link[1]),
        secret=bytes.fromhex(values["secret"]),
    )
