"""Begin, refresh and end sessions."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from stockade.authentication.authenticator import check_account
from stockade.authentication.errors import InvalidTokenError, ReusedTokenError
from stockade.authentication.models import RefreshUse, Session
from stockade.core.identity import SECOND_FACTORS, Factor
from stockade.errors import FactorRequiredError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from stockade.authentication.devices import DeviceWatch
    from stockade.authentication.interfaces import AccountStore, SessionStore
    from stockade.authentication.models import Account, IssuedToken, StoredSession
    from stockade.authentication.pending import FactorCheck
    from stockade.authentication.refresh_tokens import RefreshToken, RefreshTokens
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.tokens import AccessTokens
    from stockade.core.clock import Clock
    from stockade.core.identity import UserId

_LONGEST_DEVICE: Final = 200
_LONGEST_ADDRESS: Final = 45
_BY_PASSWORD: Final[frozenset[str]] = frozenset({Factor.PASSWORD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What is known of the program at the other end; untrusted.

    Args:
        device: What it calls itself (``User-Agent``).
        address: Its address.
    """

    device: str = ""
    address: str = ""

    def cut(self) -> Client:
        """Return what a store may keep: short, and printable."""
        printable = "".join(each for each in self.device if each.isprintable())
        return Client(device=printable[:_LONGEST_DEVICE], address=self.address[:_LONGEST_ADDRESS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a client gets when it signs in or refreshes.

    Args:
        session: The session.
        access: The access token.
        refresh: The refresh token; a secret.
    """

    session: Session
    access: IssuedToken
    refresh: str = field(repr=False)


class Verdict(StrEnum):
    """What a refresh token is that is not the current one of a living session."""

    REPEATED = "repeated"
    REUSED = "reused"
    ENDED = "ended"


def judge(
    stored: StoredSession | None, presented: tuple[str, ...], *, now: datetime, grace: timedelta
) -> Verdict:
    """Tell an honest repetition from the use of a stolen token.

    Parallel tabs and lost answers present the token before the current one for a short while. Any
    other token of ours that is not the current one was exchanged long ago: two parties have it.

    Args:
        stored: The session, read after the exchange failed.
        presented: Digests of the token, one for each key.
        now: The time.
        grace: How long the token before the current one may be repeated.
    """
    if stored is None or stored.session.revoked_at is not None or now >= stored.session.expires_at:
        return Verdict.ENDED
    if any(compare_digest(stored.digest, each) for each in presented):
        # It is the current one, so that only its idle time can have ended the session.
        return Verdict.ENDED
    before = stored.previous or ""
    recent = stored.rotated_at is not None and now < stored.rotated_at + grace
    if recent and any(compare_digest(before, each) for each in presented):
        return Verdict.REPEATED
    return Verdict.REUSED


class Sessions:
    """Begin, refresh and end sessions.

    Args:
        store: Where they live.
        accounts: Says what an account may do now.
        access: Makes access tokens.
        refresh: Makes and reads refresh tokens.
        cookies: Makes cookies.
        factors: Asks for the second factor of accounts that have one.
        settings: Lifetimes.
        clock: Source of time.
        devices: Notices devices that an account was not seen with before; None notices none.
    """

    def __init__(
        self,
        store: SessionStore,
        accounts: AccountStore,
        *,
        access: AccessTokens,
        refresh: RefreshTokens,
        cookies: RefreshTokens,
        factors: FactorCheck,
        settings: AuthenticationSettings,
        clock: Clock,
        devices: DeviceWatch | None = None,
    ) -> None:
        self._devices = devices
        self._store = store
        self._accounts = accounts
        self._access = access
        self._refresh = refresh
        self._cookies = cookies
        self._factors = factors
        self._settings = settings
        self._clock = clock

    async def begin(
        self,
        account: Account,
        client: Client,
        *,
        factors: frozenset[str] = _BY_PASSWORD,
        authenticated_at: datetime | None = None,
    ) -> Grant:
        """Begin a session for an account that has just proved who it is.

        Args:
            account: The account.
            client: Who asks.
            factors: What it has proved itself with.
            authenticated_at: When it did, if that was elsewhere and before.

        Raises:
            FactorRequiredError: The account has a second factor, and it was not given.
            StoreError: The sessions or the factors are away.
        """
        await self._factors.require(account, factors=factors, in_browser=False)
        grant = await self._add(account, self._make(account, client, factors, authenticated_at))
        await self._settle(account, grant.session, in_browser=False)
        return grant

    async def _settle(self, account: Account, session: Session, *, in_browser: bool) -> None:
        """End a session that began while its account was getting a second factor.

        Sessions that are there when a factor is turned on end with it; this one may have come right
        after them. One that goes on may be the first of a device.
        """
        try:
            await self._factors.require(account, factors=session.factors, in_browser=in_browser)
        except FactorRequiredError:
            await self.end(session.session_id)
            raise
        if self._devices is not None:
            await self._devices.note(account, session)

    async def _add(self, account: Account, session: Session) -> Grant:
        token = self._refresh.begin(session.session_id)
        digest = self._refresh.digests(token)[0]
        await self._store.add(session, digest=digest, keep=self._settings.sessions_per_account)
        return self._grant(account, session, token)

    async def replace(
        self, account: Account, session_id: str, client: Client, *, factors: frozenset[str]
    ) -> Grant:
        """End a session of an account and begin another one in its place, with other factors.

        Whoever knew the old one has nothing of the new one (ASVS 5.0 V7.2.4). It ends no later
        than the old one would have ended, and counts as a fresh sign-in with a second factor alone.

        Raises:
            InvalidTokenError: The account has no such session, or it has ended.
            StoreError: The sessions are away.
        """
        session = await self._make_in_place(account, session_id, client, factors)
        return await self._add(account, session)

    async def replace_in_browser(
        self, account: Account, session_id: str, client: Client, *, factors: frozenset[str]
    ) -> tuple[Session, str]:
        """Do the same as `replace` for a session that lives in a cookie.

        Raises:
            InvalidTokenError: The account has no such session, or it has ended.
            StoreError: The sessions are away.
        """
        session = await self._make_in_place(account, session_id, client, factors)
        return await self._add_in_browser(session)

    async def _make_in_place(
        self, account: Account, session_id: str, client: Client, factors: frozenset[str]
    ) -> Session:
        stored = await self._store.find(session_id)
        if stored is None or stored.session.user_id != account.user_id:
            raise InvalidTokenError(reason="authentication.session_over")
        if self._clock.now() >= stored.session.expires_at or not await self.end(session_id):
            raise InvalidTokenError(reason="authentication.session_over")
        made = self._make(account, client, factors)
        old = stored.session
        # With a factor, that has just been given; taking one away proves nothing.
        proved = not SECOND_FACTORS.isdisjoint(factors)
        return replace(
            made,
            expires_at=min(made.expires_at, old.expires_at),
            authenticated_at=made.authenticated_at if proved else old.authenticated_at,
        )

    def _make(
        self,
        account: Account,
        client: Client,
        factors: frozenset[str],
        authenticated_at: datetime | None = None,
    ) -> Session:
        now = self._clock.now()
        known = client.cut()
        return Session(
            # Its identifier is made here, never taken from a client: no session can be fixed
            # (ASVS 5.0 V7.2.4).
            session_id=str(uuid.uuid4()),
            user_id=account.user_id,
            tenant_id=account.tenant_id,
            token_epoch=account.token_epoch,
            created_at=now,
            authenticated_at=now if authenticated_at is None else authenticated_at,
            last_used_at=now,
            expires_at=now + self._settings.session_lifetime,
            device=known.device,
            address=known.address,
            factors=factors,
        )

    async def begin_in_browser(
        self,
        account: Account,
        client: Client,
        *,
        factors: frozenset[str] = _BY_PASSWORD,
        authenticated_at: datetime | None = None,
    ) -> tuple[Session, str]:
        """Begin a session that lives in a cookie, and return it with the cookie's value.

        Args:
            account: The account.
            client: Who asks.
            factors: What it has proved itself with.
            authenticated_at: When it did, if that was elsewhere and before.

        Raises:
            FactorRequiredError: The account has a second factor, and it was not given.
            StoreError: The sessions or the factors are away.
        """
        await self._factors.require(account, factors=factors, in_browser=True)
        session, value = await self._add_in_browser(
            self._make(account, client, factors, authenticated_at)
        )
        await self._settle(account, session, in_browser=True)
        return session, value

    async def _add_in_browser(self, session: Session) -> tuple[Session, str]:
        token = self._cookies.begin(session.session_id)
        digest = self._cookies.digests(token)[0]
        await self._store.add(session, digest=digest, keep=self._settings.sessions_per_account)
        return session, token.value

    async def refresh(self, value: str, client: Client) -> Grant:
        """Exchange a refresh token for its successor and a new access token.

        Args:
            value: The token; untrusted.
            client: Who presents it.

        Raises:
            InvalidTokenError: It is no token of ours, or its session or account has ended.
            ReusedTokenError: It was exchanged before; the session has been ended.
            StoreError: The sessions or the accounts are away.
        """
        token = self._refresh.read(value)
        presented = self._refresh.digests(token)
        successors = self._refresh.successors(token)
        now = self._clock.now()
        known = client.cut()
        use = RefreshUse(
            session_id=token.session_id,
            presented=presented,
            successor=self._refresh.digests(successors[0])[0],
            device=known.device,
            address=known.address,
        )
        idle = now - self._settings.session_idle_lifetime
        session = await self._store.rotate(use, now=now, used_since=idle)
        successor = successors[0]
        if session is None:
            session, successor = await self._repeat(token, presented, successors)
        account = await self._find_backing(session)
        return self._grant(account, session, successor)

    async def _repeat(
        self,
        token: RefreshToken,
        presented: tuple[str, ...],
        successors: tuple[RefreshToken, ...],
    ) -> tuple[Session, RefreshToken]:
        now = self._clock.now()
        stored = await self._store.find(token.session_id)
        verdict = judge(stored, presented, now=now, grace=self._settings.refresh_grace)
        if stored is not None and verdict is Verdict.REPEATED:
            for successor in successors:
                if stored.digest in self._refresh.digests(successor):
                    return stored.session, successor
            verdict = Verdict.REUSED
        if verdict is Verdict.REUSED:
            first = await self._store.revoke(token.session_id, now=now)
            raise ReusedTokenError(session_id=token.session_id, first=first)
        raise InvalidTokenError(reason="authentication.session_over")

    async def _find_backing(self, session: Session) -> Account:
        account = await self._accounts.find_by_id(session.user_id, session.tenant_id)
        if account is None:
            raise InvalidTokenError(reason="authentication.account_gone")
        check_account(account, epoch=session.token_epoch, tenant_id=session.tenant_id)
        return account

    def _grant(self, account: Account, session: Session, token: RefreshToken) -> Grant:
        access = self._access.issue(account, session=session)
        return Grant(session=session, access=access, refresh=token.value)

    async def list(self, user_id: UserId) -> list[Session]:
        """Return the living sessions of an account, the last used one first.

        Raises:
            StoreError: The sessions are away.
        """
        now = self._clock.now()
        idle = now - self._settings.session_idle_lifetime
        active = await self._store.list_active(user_id, now=now)
        living = [session for session in active if session.last_used_at > idle]
        return sorted(living, key=lambda session: session.last_used_at, reverse=True)

    async def end(self, session_id: str) -> bool:
        """End a session; False where it had ended already.

        Raises:
            StoreError: The sessions are away.
        """
        return await self._store.revoke(session_id, now=self._clock.now())

    async def end_of(self, user_id: UserId, session_id: str) -> bool:
        """End one session of an account; False where it has no such session.

        Raises:
            StoreError: The sessions are away.
        """
        stored = await self._store.find(session_id)
        if stored is None or stored.session.user_id != user_id:
            return False
        return await self.end(session_id)

    async def end_all(self, user_id: UserId, *, except_for: str | None = None) -> int:
        """End all sessions of an account but one, and return how many that were.

        Raises:
            StoreError: The sessions are away.
        """
        return await self._store.revoke_all(user_id, now=self._clock.now(), except_for=except_for)

    async def end_by_cookie(self, value: bytes) -> None:
        """End the session of a cookie, if it is one of ours.

        Args:
            value: Untrusted.

        Raises:
            StoreError: The sessions are away.
        """
        try:
            token = self._cookies.read(value.decode("ascii", errors="replace"))
        except InvalidTokenError:
            return
        await self.end(token.session_id)

    async def find_by_token(self, value: str) -> tuple[Session, datetime]:
        """Return the living session whose current refresh token this is, and when it ends.

        Args:
            value: The token; untrusted.

        Raises:
            InvalidTokenError: It is no token of ours, was exchanged already, or its session has
                ended.
            StoreError: The sessions are away.
        """
        token = self._refresh.read(value)
        stored = await self._store.find(token.session_id)
        current = self._refresh.digests(token)
        if stored is None or not any(compare_digest(stored.digest, each) for each in current):
            raise InvalidTokenError(reason="authentication.session_over")
        session = stored.session
        ends = min(session.expires_at, session.last_used_at + self._settings.session_idle_lifetime)
        if session.revoked_at is not None or self._clock.now() >= ends:
            raise InvalidTokenError(reason="authentication.session_over")
        return session, ends

    async def end_by_token(self, value: str) -> str | None:
        """End the session of a refresh token, and return which one that was (RFC 7009).

        Args:
            value: Untrusted; what is no token of ours ends nothing.

        Raises:
            StoreError: The sessions are away.
        """
        try:
            token = self._refresh.read(value)
        except InvalidTokenError:
            return None
        return token.session_id if await self.end(token.session_id) else None
