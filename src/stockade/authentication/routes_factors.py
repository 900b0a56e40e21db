"""Serve second factors: give one to sign in or to step up, enrol one, remove it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.authenticator import check_account
from stockade.authentication.errors import InvalidCodeError, InvalidTokenError
from stockade.authentication.routes_browsers import require_own_site, write_cookie
from stockade.authentication.routes_sessions import (
    MAXIMUM_TOKEN,
    NO_STORE,
    WITHOUT_FACTOR,
    TokenAnswer,
    answer_grant,
    client_of,
    describe_grant,
)
from stockade.core.dependencies import CurrentPrincipal, current_principal
from stockade.core.exchange import require_exchange
from stockade.core.identity import AuthenticationMethod, Factor, Principal
from stockade.core.policy import Policy
from stockade.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.factors import SecondFactors
    from stockade.authentication.interfaces import AccountStore
    from stockade.authentication.models import Account
    from stockade.authentication.pending import PendingSignIns
    from stockade.authentication.sessions import Grant, Sessions
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

# A factor outlives the session in which it is enrolled: whoever finds a browser open must not enrol
# one, and must not remove one (ASVS 5.0 V7.5.1).
_FRESH: Final = timedelta(minutes=15)
_fresh_principal = CurrentPrincipal(
    Policy(authenticated=True, step_up=_FRESH, origins=("factors need a fresh sign-in",))
)
_factor_principal = CurrentPrincipal(
    Policy(
        authenticated=True,
        step_up=_FRESH,
        factor=Factor.MFA,
        origins=("recovery codes need a fresh second factor",),
    )
)
_Caller = Annotated[Principal, Depends(current_principal)]
_FreshCaller = Annotated[Principal, Depends(_fresh_principal)]
_FactorCaller = Annotated[Principal, Depends(_factor_principal)]
_Code = Annotated[str, Field(min_length=6, max_length=40, repr=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorServices:
    """What the routes of second factors call.

    Args:
        factors: Enrols, checks and removes them.
        pending: Reads tokens of sign-ins that wait for one.
        sessions: Begins and replaces sessions.
        accounts: Says what an account may do now.
    """

    factors: SecondFactors
    pending: PendingSignIns
    sessions: Sessions
    accounts: AccountStore


class CodeRequest(BaseModel):
    """A code of an authenticator app, or a recovery code."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    code: _Code


class VerifyRequest(CodeRequest):
    """A code, and the token of the sign-in that waits for it."""

    mfa_token: Annotated[str, Field(min_length=1, max_length=MAXIMUM_TOKEN, repr=False)]


class EnrolmentView(BaseModel):
    """What an authenticator app needs; it is shown this once."""

    secret: str
    uri: str


class FactorsView(BaseModel):
    """The second factors of the caller."""

    totp_since: datetime | None
    recovery_codes: int


class CodesView(BaseModel):
    """New recovery codes; they are shown this once."""

    recovery_codes: list[str]


class ConfirmedView(CodesView):
    """New recovery codes, and the tokens of the session; none where it lives in a cookie."""

    tokens: TokenAnswer | None = None


def make_factors_router(
    services: Callable[[], FactorServices],
    *,
    open_policy: PolicyMark,
    events: EventLog,
    guard: CrossSiteGuard | None,
) -> APIRouter:
    """Build the router of second factors.

    Args:
        services: Gives the services once the application has started.
        open_policy: Opens the endpoint that ends a sign-in.
        events: Where sign-ins and changes are recorded.
        guard: Refuses what other sites make browsers send; None where cookies are off.
    """
    router = APIRouter(prefix="/auth/factors", tags=["authentication"])
    endpoint = _Factors(services, guard=guard, events=events)

    @router.post(
        "/verify",
        name="stockade:factor-verify",
        dependencies=[open_policy],
        response_model=TokenAnswer,
        responses={204: {"description": "The session lives in a cookie."}},
    )
    async def verify(request: Request, body: VerifyRequest) -> Response:
        """End a sign-in with the second factor: the session begins as the sign-in asked for it."""
        return await endpoint.sign_in(request, body)

    @router.post(
        "/step-up",
        name="stockade:factor-step-up",
        dependencies=[WITHOUT_FACTOR],
        response_model=TokenAnswer,
        responses={204: {"description": "The session lives in a cookie."}},
    )
    async def step_up(request: Request, body: CodeRequest, caller: _Caller) -> Response:
        """Give a second factor in this session, which another one takes the place of."""
        return await endpoint.step_up(request, body.code, caller)

    @router.get("", name="stockade:factors", dependencies=[WITHOUT_FACTOR])
    async def show(response: Response, caller: _Caller) -> FactorsView:
        """Say which second factors the caller has."""
        account = await endpoint.load(caller)
        state = await services().factors.describe(account.user_id)
        response.headers.update(NO_STORE)
        return FactorsView(totp_since=state.totp_since, recovery_codes=state.recovery_codes)

    @router.post(
        "/totp",
        name="stockade:totp-enrol",
        dependencies=[WITHOUT_FACTOR],
        status_code=201,
        response_model=EnrolmentView,
    )
    async def enrol(caller: _FreshCaller) -> JSONResponse:
        """Begin to enrol an authenticator app; it counts once a code of it has confirmed it."""
        account = await endpoint.load(caller)
        enrolment = await services().factors.enrol(account.user_id, account.email)
        shown = EnrolmentView(secret=enrolment.secret, uri=enrolment.uri)
        return JSONResponse(shown.model_dump(), status_code=201, headers=NO_STORE)

    @router.post(
        "/totp/confirm",
        name="stockade:totp-confirm",
        dependencies=[WITHOUT_FACTOR],
        response_model=ConfirmedView,
    )
    async def confirm(request: Request, body: CodeRequest, caller: _FreshCaller) -> Response:
        """Turn the authenticator app on, and end all other sessions of the caller."""
        return await endpoint.confirm(request, body.code, caller)

    @router.post(
        "/totp/remove",
        name="stockade:totp-remove",
        response_model=TokenAnswer,
        responses={204: {"description": "The session lives in a cookie."}},
    )
    async def remove(request: Request, body: CodeRequest, caller: _FreshCaller) -> Response:
        """Remove the authenticator app and its recovery codes, and end all other sessions."""
        return await endpoint.remove(request, body.code, caller)

    @router.post(
        "/recovery-codes", name="stockade:recovery-codes", status_code=201, response_model=CodesView
    )
    async def renew_codes(request: Request, caller: _FactorCaller) -> JSONResponse:
        """Make new recovery codes; those before them are worth nothing."""
        codes = await services().factors.renew_codes(caller.user_id)
        endpoint.record(request, "authentication.recovery_codes_renewed", caller.user_id)
        shown = CodesView(recovery_codes=list(codes))
        return JSONResponse(shown.model_dump(), status_code=201, headers=NO_STORE)

    return router


class _Factors:
    """The endpoints that begin or replace a session."""

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

    async def sign_in(self, request: Request, body: VerifyRequest) -> Response:
        services = self._services()
        pending = services.pending.read(body.mfa_token)
        if pending.in_browser:
            if self._guard is None:
                raise ForbiddenError(reason="authentication.pending_unknown")
            require_own_site(self._guard, request)
        account = await services.accounts.find_by_id(pending.user_id, pending.tenant_id)
        if account is None:
            raise InvalidTokenError(reason="authentication.account_gone")
        check_account(account, epoch=pending.token_epoch, tenant_id=pending.tenant_id)
        client = client_of(request)
        factor = await self._verify(request, account, body.code)
        factors = pending.factors | {factor}
        details = {"user_id": account.user_id, "factor": str(factor)}
        if pending.in_browser:
            session, cookie = await services.sessions.begin_in_browser(
                account, client, factors=factors
            )
            browser = require_exchange(request.scope).browser
            if browser is not None:
                await services.sessions.end_by_cookie(browser.cookie)
            answer = _answer(write_cookie(session, cookie))
        else:
            answer = _answer(await services.sessions.begin(account, client, factors=factors))
        self._events.emit("authentication.login_succeeded", scope=request.scope, details=details)
        return answer

    async def step_up(self, request: Request, code: str, caller: Principal) -> Response:
        account = await self.load(caller)
        factor = await self._verify(request, account, code)
        # One second factor at a time: the age of the sign-in is then the age of this one.
        factors = (caller.factors & {Factor.PASSWORD}) | {factor}
        outcome = await self._replace(request, account, caller, factors)
        details = {"user_id": account.user_id, "factor": str(factor)}
        self._events.emit("authentication.stepped_up", scope=request.scope, details=details)
        return _answer(outcome)

    async def confirm(self, request: Request, code: str, caller: Principal) -> Response:
        account = await self.load(caller)
        try:
            codes = await self._services().factors.confirm(
                account.user_id, code, address=client_of(request).address
            )
        except InvalidCodeError as error:
            raise self._refuse(request, account, error) from None
        self.record(request, "authentication.factor_enrolled", account.user_id)
        factors = (caller.factors & {Factor.PASSWORD}) | {Factor.TOTP}
        outcome = await self._change(request, account, caller, factors)
        shown = ConfirmedView(recovery_codes=list(codes))
        if isinstance(outcome, str):
            headers = {"Set-Cookie": outcome, **NO_STORE}
        else:
            shown.tokens, headers = describe_grant(outcome), NO_STORE
        return JSONResponse(shown.model_dump(), headers=headers)

    async def remove(self, request: Request, code: str, caller: Principal) -> Response:
        account = await self.load(caller)
        try:
            await self._services().factors.remove_totp(
                account.user_id, code, address=client_of(request).address
            )
        except InvalidCodeError as error:
            raise self._refuse(request, account, error) from None
        self.record(request, "authentication.factor_removed", account.user_id)
        # The session must not go on as if the account still had the factor.
        factors = caller.factors & {Factor.PASSWORD}
        return _answer(await self._change(request, account, caller, factors))

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

    async def _verify(self, request: Request, account: Account, code: str) -> Factor:
        try:
            return await self._services().factors.verify(
                account.user_id, code, address=client_of(request).address
            )
        except InvalidCodeError as error:
            raise self._refuse(request, account, error) from None

    async def _change(
        self, request: Request, account: Account, caller: Principal, factors: frozenset[str]
    ) -> Grant | str:
        # Sessions that began before the change go round it (ASVS 5.0 V7.4.3).
        await self._services().sessions.end_all(account.user_id, except_for=caller.session_id)
        return await self._replace(request, account, caller, factors)

    async def _replace(
        self, request: Request, account: Account, caller: Principal, factors: frozenset[str]
    ) -> Grant | str:
        """Put a new session in the place of the caller's: tokens, or the header of a cookie."""
        sessions, client = self._services().sessions, client_of(request)
        session_id = caller.session_id or ""
        if caller.method is AuthenticationMethod.COOKIE:
            session, cookie = await sessions.replace_in_browser(
                account, session_id, client, factors=factors
            )
            return write_cookie(session, cookie)
        return await sessions.replace(account, session_id, client, factors=factors)

    def record(self, request: Request, reason: str, user_id: str) -> None:
        """Record a change of the factors of an account."""
        self._events.emit(
            "authentication.factor_changed",
            scope=request.scope,
            reason=reason,
            details={"user_id": user_id},
        )

    def _refuse(
        self, request: Request, account: Account, error: InvalidCodeError
    ) -> InvalidCodeError:
        self._events.emit(
            "authentication.factor_failed",
            scope=request.scope,
            reason=error.reason,
            details={"user_id": account.user_id},
        )
        return InvalidCodeError(reason="authentication.factor_refused")


def _answer(outcome: Grant | str) -> Response:
    """Answer with tokens, or with the header of a cookie."""
    if isinstance(outcome, str):
        return Response(status_code=204, headers={"Set-Cookie": outcome, **NO_STORE})
    return answer_grant(outcome)
