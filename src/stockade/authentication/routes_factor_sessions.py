"""Begin and replace sessions once a second factor has been given, enrolled or removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request, Response

from stockade.authentication.authenticator import check_account
from stockade.authentication.errors import InvalidCodeError, InvalidPasskeyError, InvalidTokenError
from stockade.authentication.routes_browsers import require_own_site, write_session_cookie
from stockade.authentication.routes_sessions import NO_STORE, answer_grant, client_of
from stockade.core.exchange import require_exchange
from stockade.core.identity import FIRST_FACTORS, AuthenticationMethod, Factor, Principal
from stockade.errors import ForbiddenError, StepUpRequiredError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.enrolled import EnrolledFactors
    from stockade.authentication.factors import SecondFactors
    from stockade.authentication.interfaces import AccountStore
    from stockade.authentication.models import Account
    from stockade.authentication.pending import PendingSignIn, PendingSignIns
    from stockade.authentication.post import Notifier
    from stockade.authentication.sessions import Grant, Sessions
    from stockade.core.identity import UserId
    from stockade.events import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorServices:
    """What the routes of second factors call.

    Args:
        factors: Enrols, checks and removes codes.
        enrolled: Says which factors an account has.
        pending: Reads tokens of sign-ins that wait for one.
        sessions: Begins and replaces sessions.
        accounts: Says what an account may do now.
        notifier: Tells owners of a change (ASVS 5.0 V6.3.7).
        verified_email: Whether the address of an account has to be known to be the owner's.
    """

    factors: SecondFactors
    enrolled: EnrolledFactors
    pending: PendingSignIns
    sessions: Sessions
    accounts: AccountStore
    notifier: Notifier
    verified_email: bool = False


class FactorSessions:
    """Begin and replace sessions, and record it.

    Args:
        services: Gives the services once the application has started.
        guard: Refuses what other sites make browsers send; None where cookies are off.
        events: Where sign-ins and changes are recorded.
    """

    def __init__(
        self,
        services: Callable[[], FactorServices],
        *,
        guard: CrossSiteGuard | None,
        events: EventLog,
    ) -> None:
        self._services = services
        self._guard = guard
        self._events = events

    def require_own_site(self, request: Request, *, in_browser: bool) -> None:
        """Refuse a sign-in with a cookie that another site may have made a browser send.

        Raises:
            ForbiddenError: Nothing shows that it comes from here, or cookies are off.
        """
        if not in_browser:
            return
        if self._guard is None:
            raise ForbiddenError(reason="authentication.cookies_off")
        require_own_site(self._guard, request)

    async def load_pending(self, request: Request, value: str) -> tuple[PendingSignIn, Account]:
        """Return the sign-in that waits for its second factor, and its account.

        Args:
            request: The request.
            value: The token; untrusted.

        Raises:
            InvalidTokenError: It does not hold, or its account no longer backs it.
            ForbiddenError: Another site may have made a browser send it.
            StoreError: The accounts are away.
        """
        services = self._services()
        pending = services.pending.read(value)
        self.require_own_site(request, in_browser=pending.in_browser)
        account = await services.accounts.find_by_id(pending.user_id, pending.tenant_id)
        if account is None:
            raise InvalidTokenError(reason="authentication.account_gone")
        check_account(account, epoch=pending.token_epoch, tenant_id=pending.tenant_id)
        return pending, account

    async def load(self, caller: Principal) -> Account:
        """Return the account of a caller that has signed in here.

        Raises:
            InvalidTokenError: It comes from elsewhere, or has no session.
            StoreError: The accounts are away.
        """
        if caller.session_id is None:
            raise InvalidTokenError(reason="authentication.session_over")
        account = await self._services().accounts.find_by_id(caller.user_id, caller.tenant_id)
        if account is None:
            raise InvalidTokenError(reason="authentication.account_gone")
        return account

    async def find_default(self, user_id: UserId) -> Account:
        """Return the account of a passkey, in its default tenant.

        Raises:
            InvalidPasskeyError: It is gone, or may not sign in.
            StoreError: The accounts are away.
        """
        accounts = self._services().accounts
        found = await accounts.find_by_id(user_id, None)
        account = None if found is None else await accounts.find_by_email(found.email)
        if account is None or account.user_id != user_id or not account.active:
            raise InvalidPasskeyError(reason="authentication.account_inactive", user_id=user_id)
        if self._services().verified_email and not account.email_verified:
            raise InvalidPasskeyError(reason="authentication.email_unverified", user_id=user_id)
        return account

    async def require_factor(self, caller: Principal, *, max_age: timedelta) -> None:
        """Let nobody enrol a factor by the first one alone where there is a second one already.

        Raises:
            StepUpRequiredError: The account has a second factor, and the session was begun without.
            StoreError: The factors are away.
        """
        if caller.has_factor(Factor.MFA):
            return
        if await self._services().enrolled.names(caller.user_id):
            raise StepUpRequiredError(
                reason="authorization.factor_missing", max_age=max_age, factor=Factor.MFA
            )

    async def begin(
        self,
        request: Request,
        account: Account,
        *,
        factors: frozenset[str],
        factor: Factor,
        in_browser: bool,
    ) -> Response:
        """Begin a session, and answer with its tokens or its cookie.

        Args:
            request: The request.
            account: Whose it is.
            factors: What was given.
            factor: What was given last, for the event.
            in_browser: Whether it lives in a cookie.

        Raises:
            StoreError: The sessions are away.
        """
        sessions, client = self._services().sessions, client_of(request)
        outcome: Grant | str
        if in_browser:
            session, cookie = await sessions.begin_in_browser(account, client, factors=factors)
            browser = require_exchange(request.scope).browser
            if browser is not None:
                await sessions.end_by_cookie(browser.cookie)
            outcome = write_session_cookie(session, cookie)
        else:
            outcome = await sessions.begin(account, client, factors=factors)
        self._emit("authentication.login_succeeded", request, account, factor=str(factor))
        return answer(outcome)

    async def step_up(
        self, request: Request, account: Account, caller: Principal, factor: Factor
    ) -> Response:
        """Put a session with a fresh second factor in the place of the caller's.

        Raises:
            InvalidTokenError: The session has ended.
            StoreError: The sessions are away.
        """
        outcome = await self._replace(request, account, caller, _with(caller, factor))
        self._emit("authentication.stepped_up", request, account, factor=str(factor))
        return answer(outcome)

    async def change(
        self,
        request: Request,
        account: Account,
        caller: Principal,
        *,
        factor: Factor | None,
        reason: str,
    ) -> Grant | str:
        """Record a change of factors, end all sessions, and put one in the place of the caller's.

        Sessions that began before it would go round it (ASVS 5.0 V7.4.3).

        Args:
            request: The request.
            account: Whose factors they are.
            caller: Who has changed them.
            factor: What has been given with it; None leaves the session without a second factor.
            reason: Reason code of the change.

        Returns:
            Tokens, or the header of a cookie.

        Raises:
            InvalidTokenError: The session has ended.
            StoreError: The sessions are away.
        """
        self.record(request, account, reason)
        await self._services().sessions.end_all(account.user_id, except_for=caller.session_id)
        return await self._replace(request, account, caller, _with(caller, factor))

    async def _replace(
        self, request: Request, account: Account, caller: Principal, factors: frozenset[str]
    ) -> Grant | str:
        sessions, client = self._services().sessions, client_of(request)
        session_id = caller.session_id or ""
        if caller.method is AuthenticationMethod.COOKIE:
            session, cookie = await sessions.replace_in_browser(
                account, session_id, client, factors=factors
            )
            return write_session_cookie(session, cookie)
        return await sessions.replace(account, session_id, client, factors=factors)

    def record(self, request: Request, account: Account, reason: str) -> None:
        """Record a change of the factors of an account."""
        self._emit("authentication.factor_changed", request, account, reason=reason)
        self._services().notifier.notify(
            lambda mails: mails.factors_changed(account.email), scope=request.scope
        )

    async def take_code(self, request: Request, account: Account, code: str) -> Factor:
        """Take a code of an account, and return which factor it is of.

        Raises:
            InvalidCodeError: It is none of this account, or was taken before.
            RateLimitedError: Codes come too fast.
            StoreError: A store is away.
        """
        address = client_of(request).address
        try:
            return await self._services().factors.verify(account.user_id, code, address=address)
        except InvalidCodeError as error:
            raise self.refuse_code(request, account, error) from None

    def refuse_code(
        self, request: Request, account: Account, error: InvalidCodeError
    ) -> InvalidCodeError:
        """Record why a code was refused, and return the error that says no more than that."""
        self._emit("authentication.factor_failed", request, account, reason=error.reason)
        return InvalidCodeError(reason="authentication.factor_refused")

    def refuse_passkey(self, request: Request, error: InvalidPasskeyError) -> InvalidPasskeyError:
        """Record why a passkey was refused, and return the error that says no more than that."""
        cloned = error.reason == "authentication.passkey_cloned"
        name = error.reason if cloned else "authentication.factor_failed"
        details = {} if error.user_id is None else {"user_id": error.user_id}
        self._events.emit(name, scope=request.scope, reason=error.reason, details=details)
        return InvalidPasskeyError(reason="authentication.factor_refused")

    def _emit(
        self,
        name: str,
        request: Request,
        account: Account,
        *,
        reason: str | None = None,
        factor: str | None = None,
    ) -> None:
        details = {"user_id": str(account.user_id)}
        if factor is not None:
            details["factor"] = factor
        self._events.emit(name, scope=request.scope, reason=reason, details=details)


def answer(outcome: Grant | str) -> Response:
    """Answer with tokens, or with the header of a cookie."""
    if isinstance(outcome, str):
        return Response(status_code=204, headers={"Set-Cookie": outcome, **NO_STORE})
    return answer_grant(outcome)


def _with(caller: Principal, factor: Factor | None) -> frozenset[str]:
    # One second factor at a time: the age of the sign-in is then the age of this one.
    first = caller.factors & FIRST_FACTORS
    return first if factor is None else first | {factor}
