"""Serve second factors: give one to sign in or to step up, enrol one, remove it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.errors import InvalidCodeError
from stockade.authentication.routes_factor_sessions import FactorServices, FactorSessions, answer
from stockade.authentication.routes_sessions import (
    MAXIMUM_TOKEN,
    NO_STORE,
    WITHOUT_FACTOR,
    TokenAnswer,
    client_of,
    describe_grant,
)
from stockade.core.dependencies import CurrentPrincipal, current_principal
from stockade.core.identity import Factor, Principal
from stockade.core.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.sessions import Grant
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

# A factor outlives the session in which it is enrolled: whoever finds a browser open must not enrol
# one, and must not remove one (ASVS 5.0 V7.5.1).
FRESH: Final = timedelta(minutes=15)
_fresh_principal = CurrentPrincipal(
    Policy(authenticated=True, step_up=FRESH, origins=("factors need a fresh sign-in",))
)
_factor_principal = CurrentPrincipal(
    Policy(
        authenticated=True,
        step_up=FRESH,
        factor=Factor.MFA,
        origins=("what remains of a factor needs a fresh one",),
    )
)
_Caller = Annotated[Principal, Depends(current_principal)]
FreshCaller = Annotated[Principal, Depends(_fresh_principal)]
FactorCaller = Annotated[Principal, Depends(_factor_principal)]
IN_COOKIE: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "The session lives in a cookie."}
}
_Code = Annotated[str, Field(min_length=6, max_length=40, repr=False)]


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

    factors: list[str]
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
    flow = FactorSessions(services, guard=guard, events=events)
    _add_sign_in(router, flow, open_policy=open_policy)
    _add_totp(router, services, flow)

    @router.get("", name="stockade:factors", dependencies=[WITHOUT_FACTOR])
    async def show(response: Response, caller: _Caller) -> FactorsView:
        """Say which second factors the caller has."""
        account = await flow.load(caller)
        state = await services().factors.describe(account.user_id)
        names = await services().enrolled.names(account.user_id)
        response.headers.update(NO_STORE)
        return FactorsView(
            factors=sorted(names),
            totp_since=state.totp_since,
            recovery_codes=state.recovery_codes,
        )

    @router.post(
        "/recovery-codes", name="stockade:recovery-codes", status_code=201, response_model=CodesView
    )
    async def renew_codes(request: Request, caller: FactorCaller) -> JSONResponse:
        """Make new recovery codes; those before them are worth nothing."""
        account = await flow.load(caller)
        codes = await services().factors.renew_codes(account.user_id)
        flow.record(request, account, "authentication.recovery_codes_renewed")
        shown = CodesView(recovery_codes=list(codes))
        return JSONResponse(shown.model_dump(), status_code=201, headers=NO_STORE)

    return router


def _add_sign_in(router: APIRouter, flow: FactorSessions, *, open_policy: PolicyMark) -> None:
    @router.post(
        "/verify",
        name="stockade:factor-verify",
        dependencies=[open_policy],
        response_model=TokenAnswer,
        responses=IN_COOKIE,
    )
    async def verify(request: Request, body: VerifyRequest) -> Response:
        """End a sign-in with the second factor: the session begins as the sign-in asked for it."""
        pending, account = await flow.load_pending(request, body.mfa_token)
        factor = await flow.take_code(request, account, body.code)
        return await flow.begin(
            request,
            account,
            factors=pending.factors | {factor},
            factor=factor,
            in_browser=pending.in_browser,
        )

    @router.post(
        "/step-up",
        name="stockade:factor-step-up",
        dependencies=[WITHOUT_FACTOR],
        response_model=TokenAnswer,
        responses=IN_COOKIE,
    )
    async def step_up(request: Request, body: CodeRequest, caller: _Caller) -> Response:
        """Give a second factor in this session, which another one takes the place of."""
        account = await flow.load(caller)
        factor = await flow.take_code(request, account, body.code)
        return await flow.step_up(request, account, caller, factor)


def _add_totp(
    router: APIRouter, services: Callable[[], FactorServices], flow: FactorSessions
) -> None:
    @router.post(
        "/totp",
        name="stockade:totp-enrol",
        dependencies=[WITHOUT_FACTOR],
        status_code=201,
        response_model=EnrolmentView,
    )
    async def enrol(caller: FreshCaller) -> JSONResponse:
        """Begin to enrol an authenticator app; it counts once a code of it has confirmed it."""
        account = await flow.load(caller)
        await flow.require_factor(caller, max_age=FRESH)
        enrolment = await services().factors.enrol(account.user_id, account.email)
        shown = EnrolmentView(secret=enrolment.secret, uri=enrolment.uri)
        return JSONResponse(shown.model_dump(), status_code=201, headers=NO_STORE)

    @router.post(
        "/totp/confirm",
        name="stockade:totp-confirm",
        dependencies=[WITHOUT_FACTOR],
        response_model=ConfirmedView,
    )
    async def confirm(request: Request, body: CodeRequest, caller: FreshCaller) -> Response:
        """Turn the authenticator app on, and end all other sessions of the caller."""
        account = await flow.load(caller)
        await flow.require_factor(caller, max_age=FRESH)
        try:
            codes = await services().factors.confirm(
                account.user_id, body.code, address=client_of(request).address
            )
        except InvalidCodeError as error:
            raise flow.refuse_code(request, account, error) from None
        outcome = await flow.change(
            request,
            account,
            caller,
            factor=Factor.TOTP,
            reason="authentication.factor_enrolled",
        )
        return answer_with_codes(codes, outcome)

    @router.post(
        "/totp/remove",
        name="stockade:totp-remove",
        response_model=TokenAnswer,
        responses=IN_COOKIE,
    )
    async def remove(request: Request, body: CodeRequest, caller: FreshCaller) -> Response:
        """Remove the authenticator app, and end all other sessions of the caller.

        Without another factor its recovery codes go as well.
        """
        account = await flow.load(caller)
        try:
            await services().factors.remove_totp(
                account.user_id, body.code, address=client_of(request).address
            )
        except InvalidCodeError as error:
            raise flow.refuse_code(request, account, error) from None
        # The session must not go on as if the account still had the factor.
        outcome = await flow.change(
            request, account, caller, factor=None, reason="authentication.factor_removed"
        )
        return answer(outcome)


def answer_with_codes(
    codes: Sequence[str], outcome: Grant | str, *, status: int = 200
) -> JSONResponse:
    """Answer with new recovery codes and the session that has taken the place of the caller's."""
    shown = ConfirmedView(recovery_codes=list(codes))
    if isinstance(outcome, str):
        headers = {"Set-Cookie": outcome, **NO_STORE}
    else:
        shown.tokens, headers = describe_grant(outcome), NO_STORE
    return JSONResponse(shown.model_dump(), status_code=status, headers=headers)
