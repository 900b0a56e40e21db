"""Sign in at a provider: begin, come back, and get a session.

Source: OpenID Connect Core 1.0, section 3.1; RFC 9700; ASVS 5.0 V10.1.2, V10.2 and V10.5.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stockade.authentication.errors import ProviderCancelledError, ProviderRefusedError
from stockade.authentication.sign_in_flows import LIFETIME, Flow, LinkTarget, challenge_of
from stockade.core.identity import UserId
from stockade.crypto.sealing import SealError, SealExpiredError, TimedSealer
from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.id_tokens import ProvenIdentity
    from stockade.authentication.identities import Identities
    from stockade.authentication.interfaces import SpentStore
    from stockade.authentication.models import Account
    from stockade.authentication.providers import Provider
    from stockade.authentication.sessions import Sessions
    from stockade.authentication.sign_in_flows import Flows
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing

CODE_LIFETIME: Final = timedelta(minutes=1)
# Clocks of other machines may be behind: what was used up must be known until none of them would
# take it any longer.
_MARGIN: Final = timedelta(hours=1)
# A sign-in that nobody can date is never a fresh one.
_LONG_AGO: Final = datetime.fromtimestamp(0, tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAnswer:
    """What a browser brings back from a provider; untrusted.

    Args:
        code: What the identity token is exchanged for.
        issuer: Whose answer it says it is (``iss``).
        error: Why there is no code, if there is none.
    """

    code: str | None = field(default=None, repr=False)
    issuer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody who has signed in at a provider, and the account that is theirs.

    Args:
        account: The account.
        provider: Name of the provider in the settings.
        methods: How they have signed in there, in the provider's words (``amr``).
        authenticated_at: When they last did; long ago where the provider does not say.
        changed: Whether the identity was linked just now, alone or with a new account.
    """

    account: Account
    provider: str
    methods: tuple[str, ...]
    authenticated_at: datetime
    changed: bool = False


class ProviderSignIn:
    """Begin sign-ins at providers, and end them.

    Args:
        providers: The providers, by their names in the settings.
        identities: Knows whose identities are whose.
        spent: Remembers what has been used up.
        flows: Keeps sign-ins that are under way.
        codes: Makes the codes that clients exchange for tokens.
        sessions: Knows whether the session goes on in which an identity is to be linked.
        clock: Source of time.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        identities: Identities,
        spent: SpentStore,
        flows: Flows,
        codes: ExchangeCodes,
        sessions: Sessions,
        clock: Clock,
    ) -> None:
        self._providers = providers
        self.identities = identities
        self._spent = spent
        self._flows = flows
        self._codes = codes
        self._sessions = sessions
        self._clock = clock

    def find(self, name: str) -> Provider:
        """Return a provider.

        Args:
            name: Untrusted.

        Raises:
            NotFoundError: There is none of this name.
        """
        provider = self._providers.get(name)
        if provider is None:
            raise NotFoundError(reason="authentication.provider_unknown")
        return provider

    def name_of(self, issuer: str) -> str | None:
        """Return the name that a provider has in the settings, or None."""
        found = (name for name, each in self._providers.items() if each.settings.issuer == issuer)
        return next(found, None)

    async def start(
        self,
        name: str,
        *,
        next_path: str,
        fresh: bool = False,
        challenge: str | None = None,
        link: LinkTarget | None = None,
    ) -> tuple[str, str]:
        """Begin a sign-in, and return where the browser goes and the cookie that it keeps.

        Args:
            name: Name of the provider; untrusted.
            next_path: Path that it goes to afterwards.
            fresh: Whether the user has to sign in at the provider anew.
            challenge: What the client that gets tokens in the end has the verifier of.
            link: The account that the identity is to be linked to.

        Raises:
            NotFoundError: There is no such provider.
            UnavailableError: It is away.
        """
        provider = self.find(name)
        flow = Flow(
            provider=name,
            started_at=int(self._clock.now().timestamp()),
            next=next_path,
            fresh=fresh,
            challenge=challenge,
            link=link,
        )
        return await provider.write_address(flow), self._flows.write_cookie(flow)

    def find_flow(self, name: str, state: str | None, cookies: Mapping[str, str]) -> Flow:
        """Return the sign-in that a browser comes back from.

        Raises:
            NotFoundError: There is no such provider.
            ProviderRefusedError: The browser has begun no such sign-in.
        """
        self.find(name)
        return self._flows.find(name, state, cookies)

    async def finish(self, flow: Flow, answer: ProviderAnswer) -> SignedIn:
        """End a sign-in, which works once.

        Args:
            flow: The sign-in.
            answer: What the browser brings.

        Raises:
            ProviderRefusedError: It does not hold, or nobody is signed in by it.
            InvalidTokenError: The provider's identity token does not hold.
            DeniedError: The application gives newcomers no account.
            UnavailableError: The provider is away.
            StoreError: A store is away.
        """
        provider = self.find(flow.provider)
        now = self._clock.now()
        # First of all: parallel and later answers, whatever they bring, find it used up.
        digest = sha256(flow.state.encode("ascii")).hexdigest()
        if not await self._spent.spend(digest, now=now, until=now + LIFETIME + _MARGIN):
            raise ProviderRefusedError(reason="authentication.flow_spent")
        await provider.check_issuer(answer.issuer)
        if answer.error is not None:
            raise ProviderCancelledError(reason="authentication.provider_gave_no_code")
        if answer.code is None:
            raise ProviderRefusedError(reason="authentication.provider_answer")
        proven = await provider.redeem(answer.code, flow)
        if flow.link is not None:
            account, changed = await self._link(proven, flow.link)
        else:
            account, changed = await self.identities.sign_in(
                proven, provider=provider.name, settings=provider.settings
            )
        return SignedIn(
            account=account,
            provider=provider.name,
            methods=proven.methods,
            authenticated_at=proven.authenticated_at or _LONG_AGO,
            changed=changed,
        )

    async def _link(self, proven: ProvenIdentity, target: LinkTarget) -> tuple[Account, bool]:
        living = await self._sessions.list(target.user_id)
        # Whoever has signed out meanwhile, or whose session was ended, links nothing any more.
        if not any(each.session_id == target.session_id for each in living):
            raise ProviderRefusedError(reason="authentication.session_over")
        return await self.identities.link(proven, target.user_id)

    def issue_code(self, signed_in: SignedIn, challenge: str) -> str:
        """Return what a client exchanges for tokens, once and within a minute; a secret."""
        return self._codes.issue(signed_in, challenge)

    async def redeem_code(self, code: str, verifier: str) -> SignedIn:
        """Return whose a code is.

        Args:
            code: Untrusted.
            verifier: What the code's client alone knows; untrusted.

        Raises:
            ProviderRefusedError: The code is none, over or used up, or another client's.
            StoreError: A store is away.
        """
        redeemed = self._codes.read(code, verifier)
        now = self._clock.now()
        digest = sha256(code.encode("ascii")).hexdigest()
        if not await self._spent.spend(digest, now=now, until=now + CODE_LIFETIME + _MARGIN):
            raise ProviderRefusedError(reason="authentication.exchange_code_spent")
        account = await self.identities.find_account(redeemed.user_id)
        if account.token_epoch != redeemed.token_epoch:
            raise ProviderRefusedError(reason="authentication.token_revoked")
        return SignedIn(
            account=account,
            provider=redeemed.provider,
            methods=redeemed.methods,
            authenticated_at=redeemed.authenticated_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Redeemed:
    user_id: UserId
    token_epoch: int
    provider: str
    methods: tuple[str, ...]
    authenticated_at: datetime


class ExchangeCodes:
    """Make and read the codes that a client exchanges for tokens after a sign-in.

    A code travels in an address, and addresses end up in logs and histories. So it is good for
    nothing without the verifier, which has never left the client that began the sign-in.

    Args:
        keys: Secrets of the application.
        clock: Source of time.

    Source: RFC 7636; RFC 9700, section 4.5.
    """

    def __init__(self, keys: KeyRing, *, clock: Clock) -> None:
        self._sealer = TimedSealer(keys, "oidc/exchange", clock=clock)

    def issue(self, signed_in: SignedIn, challenge: str) -> str:
        """Return a code."""
        values = {
            "user": signed_in.account.user_id,
            "epoch": signed_in.account.token_epoch,
            "provider": signed_in.provider,
            "methods": signed_in.methods,
            "signed_in": int(signed_in.authenticated_at.timestamp()),
            "challenge": challenge,
        }
        return self._sealer.seal(values, lifetime=CODE_LIFETIME)

    def read(self, code: str, verifier: str) -> _Redeemed:
        """Read a code.

        Args:
            code: Untrusted.
            verifier: Untrusted.

        Raises:
            ProviderRefusedError: It is none, over, or another client's.
        """
        try:
            values = self._sealer.open(code)
        except SealExpiredError:
            raise ProviderRefusedError(reason="authentication.exchange_code_expired") from None
        except SealError:
            raise ProviderRefusedError(reason="authentication.exchange_code_unknown") from None
        if not hmac.compare_digest(challenge_of(verifier), values["challenge"]):
            raise ProviderRefusedError(reason="authentication.exchange_verifier")
        return _Redeemed(
            user_id=UserId(values["user"]),
            token_epoch=values["epoch"],
            provider=values["provider"],
            methods=tuple(values["methods"]),
            authenticated_at=datetime.fromtimestamp(values["signed_in"], tz=UTC),
        )
