"""Serve passkeys: register one, sign in with it, give it as a second factor, remove it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.errors import InvalidPasskeyError
from stockade.authentication.routes_factor_sessions import FactorServices, FactorSessions, answer
from stockade.authentication.routes_factors import (
    FRESH,
    IN_COOKIE,
    ConfirmedView,
    FactorCaller,
    FreshCaller,
    answer_with_codes,
)
from stockade.authentication.routes_sessions import (
    MAXIMUM_TOKEN,
    NO_STORE,
    WITHOUT_FACTOR,
    TokenAnswer,
)
from stockade.core.dependencies import current_principal
from stockade.core.identity import Factor, Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.models import Account, Passkey
    from stockade.authentication.passkeys import Passkeys
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

_Caller = Annotated[Principal, Depends(current_principal)]
_NAME: Final = r"^[^\x00-\x1f\x7f]+$"
# A credential identifier has at most 1023 bytes (Web Authentication Level 3, section 4).
_Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", min_length=16, max_length=1364)]
_Bytes = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+=*$", max_length=8192, repr=False)]
_Handle = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]+=*$", max_length=90, repr=False)]
_Transport = Annotated[str, Field(max_length=32)]


class _Sent(BaseModel):
    """What ``PublicKeyCredential.toJSON`` writes; what we don't read is left out."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class AttestationResponse(_Sent):
    """What a new passkey says of itself."""

    clientDataJSON: _Bytes  # noqa: N815 - the standard's name
    attestationObject: _Bytes  # noqa: N815 - the standard's name
    transports: Annotated[list[_Transport], Field(max_length=10)] = []


class AssertionResponse(_Sent):
    """What a passkey has signed."""

    clientDataJSON: _Bytes  # noqa: N815 - the standard's name
    authenticatorData: _Bytes  # noqa: N815 - the standard's name
    signature: _Bytes
    userHandle: _Handle = None  # noqa: N815 - the standard's name


class Registration(_Sent):
    """What ``navigator.credentials.create`` gives."""

    id: _Identifier
    rawId: _Identifier  # noqa: N815 - the standard's name
    type: Literal["public-key"]
    response: AttestationResponse


class Assertion(_Sent):
    """What ``navigator.credentials.get`` gives."""

    id: _Identifier
    rawId: _Identifier  # noqa: N815 - the standard's name
    type: Literal["public-key"]
    response: AssertionResponse


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class RegisterRequest(_Request):
    """A new passkey, and what its owner calls it."""

    name: Annotated[str, Field(pattern=_NAME, min_length=1, max_length=100)] = "Passkey"
    credential: Registration


class SignInRequest(_Request):
    """What a passkey has signed to sign its owner in."""

    credential: Assertion
    cookie: bool = False


class AssertionRequest(_Request):
    """What a passkey has signed as a second factor."""

    credential: Assertion


class PendingRequest(_Request):
    """The token of a sign-in that waits for its second factor."""

    mfa_token: Annotated[str, Field(min_length=1, max_length=MAXIMUM_TOKEN, repr=False)]


class VerifyPasskeyRequest(PendingRequest, AssertionRequest):
    """What a passkey has signed, and the token of the sign-in that waits for it."""


class PasskeyView(BaseModel):
    """A passkey, for its owner."""

    passkey_id: str
    name: str
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None


def make_passkeys_router(
    services: Callable[[], FactorServices],
    passkeys: Callable[[], Passkeys],
    *,
    open_policy: PolicyMark,
    events: EventLog,
    guard: CrossSiteGuard | None,
) -> APIRouter:
    """Build the router of passkeys.

    Args:
        services: Gives the services of second factors once the application has started.
        passkeys: Gives the service of passkeys.
        open_policy: Opens the endpoints that sign in.
        events: Where sign-ins and changes are recorded.
        guard: Refuses what other sites make browsers send; None where cookies are off.
    """
    router = APIRouter(prefix="/auth/passkeys", tags=["authentication"])
    flow = FactorSessions(services, guard=guard, events=events)
    _add_registration(router, services, passkeys, flow)
    _add_sign_in(router, passkeys, flow, open_policy=open_policy)
    _add_second_factor(router, passkeys, flow, open_policy=open_policy)

    @router.get("", name="stockade:passkeys", dependencies=[WITHOUT_FACTOR])
    async def list_passkeys(caller: _Caller) -> list[PasskeyView]:
        """List the passkeys of the caller, the oldest first."""
        account = await flow.load(caller)
        return [_view(each) for each in await passkeys().list(account.user_id)]

    @router.delete("/{passkey_id}", name="stockade:passkey-remove", response_model=TokenAnswer)
    async def remove(request: Request, passkey_id: UUID, caller: FactorCaller) -> Response:
        """Remove a passkey, and end all other sessions of the caller."""
        account = await flow.load(caller)
        await passkeys().remove(account.user_id, str(passkey_id))
        await services().factors.forget_codes(account.user_id)
        # The session must not go on as if the account still had the factor.
        outcome = await flow.change(
            request, account, caller, factor=None, reason="authentication.passkey_removed"
        )
        return answer(outcome)

    return router


def _add_registration(
    router: APIRouter,
    services: Callable[[], FactorServices],
    passkeys: Callable[[], Passkeys],
    flow: FactorSessions,
) -> None:
    @router.post(
        "/register/options", name="stockade:passkey-options", dependencies=[WITHOUT_FACTOR]
    )
    async def begin_registration(request: Request, caller: FreshCaller) -> JSONResponse:
        """Give what ``navigator.credentials.create`` needs."""
        account = await flow.load(caller)
        await flow.require_factor(caller, max_age=FRESH)
        try:
            return _show(await passkeys().begin_registration(account))
        except InvalidPasskeyError as error:
            error.user_id = account.user_id
            raise flow.refuse_passkey(request, error) from None

    @router.post(
        "/register",
        name="stockade:passkey-register",
        dependencies=[WITHOUT_FACTOR],
        status_code=201,
        response_model=ConfirmedView,
    )
    async def register(
        request: Request, body: RegisterRequest, caller: FreshCaller
    ) -> JSONResponse:
        """Keep a new passkey, and end all other sessions of the caller.

        With the first factor of an account come its recovery codes.
        """
        account = await flow.load(caller)
        await flow.require_factor(caller, max_age=FRESH)
        try:
            await passkeys().register(account, _dump(body.credential), name=body.name)
        except InvalidPasskeyError as error:
            error.user_id = account.user_id
            raise flow.refuse_passkey(request, error) from None
        codes = await services().factors.ensure_codes(account.user_id)
        outcome = await flow.change(
            request,
            account,
            caller,
            factor=Factor.PASSKEY,
            reason="authentication.passkey_registered",
        )
        return answer_with_codes(codes, outcome, status=201)


def _add_sign_in(
    router: APIRouter,
    passkeys: Callable[[], Passkeys],
    flow: FactorSessions,
    *,
    open_policy: PolicyMark,
) -> None:
    @router.post("/options", name="stockade:passkey-sign-in-options", dependencies=[open_policy])
    async def begin_sign_in() -> JSONResponse:
        """Give what ``navigator.credentials.get`` needs to sign in whoever is there."""
        return _show(passkeys().begin_sign_in())

    @router.post(
        "/sign-in",
        name="stockade:passkey-sign-in",
        dependencies=[open_policy],
        response_model=TokenAnswer,
        responses=IN_COOKIE,
    )
    async def sign_in(request: Request, body: SignInRequest) -> Response:
        """Sign in without a password."""
        flow.require_own_site(request, in_browser=body.cookie)
        try:
            passkey = await passkeys().sign_in(_dump(body.credential))
            account = await flow.find_default(passkey.user_id)
        except InvalidPasskeyError as error:
            raise flow.refuse_passkey(request, error) from None
        return await flow.begin(
            request,
            account,
            factors=frozenset({Factor.PASSKEY}),
            factor=Factor.PASSKEY,
            in_browser=body.cookie,
        )


def _add_second_factor(
    router: APIRouter,
    passkeys: Callable[[], Passkeys],
    flow: FactorSessions,
    *,
    open_policy: PolicyMark,
) -> None:
    @router.post(
        "/verify/options", name="stockade:passkey-verify-options", dependencies=[open_policy]
    )
    async def begin_verification(request: Request, body: PendingRequest) -> JSONResponse:
        """Give what ``navigator.credentials.get`` needs to end a sign-in."""
        _, account = await flow.load_pending(request, body.mfa_token)
        return _show(await passkeys().begin_factor(account.user_id))

    @router.post(
        "/verify",
        name="stockade:passkey-verify",
        dependencies=[open_policy],
        response_model=TokenAnswer,
        responses=IN_COOKIE,
    )
    async def verify(request: Request, body: VerifyPasskeyRequest) -> Response:
        """End a sign-in with a passkey: the session begins as the sign-in asked for it."""
        pending, account = await flow.load_pending(request, body.mfa_token)
        await _take(request, account, body.credential, passkeys=passkeys(), flow=flow)
        return await flow.begin(
            request,
            account,
            factors=pending.factors | {Factor.PASSKEY},
            factor=Factor.PASSKEY,
            in_browser=pending.in_browser,
        )

    @router.post(
        "/step-up/options", name="stockade:passkey-step-up-options", dependencies=[WITHOUT_FACTOR]
    )
    async def begin_step_up(caller: _Caller) -> JSONResponse:
        """Give what ``navigator.credentials.get`` needs to step up."""
        account = await flow.load(caller)
        return _show(await passkeys().begin_factor(account.user_id))

    @router.post(
        "/step-up",
        name="stockade:passkey-step-up",
        dependencies=[WITHOUT_FACTOR],
        response_model=TokenAnswer,
        responses=IN_COOKIE,
    )
    async def step_up(request: Request, body: AssertionRequest, caller: _Caller) -> Response:
        """Give a passkey in this session, which another one takes the place of."""
        account = await flow.load(caller)
        await _take(request, account, body.credential, passkeys=passkeys(), flow=flow)
        return await flow.step_up(request, account, caller, Factor.PASSKEY)


async def _take(
    request: Request,
    account: Account,
    sent: Assertion,
    *,
    passkeys: Passkeys,
    flow: FactorSessions,
) -> None:
    try:
        await passkeys.verify(account.user_id, _dump(sent))
    except InvalidPasskeyError as error:
        error.user_id = account.user_id
        raise flow.refuse_passkey(request, error) from None


def _dump(sent: Registration | Assertion) -> dict[str, Any]:
    return sent.model_dump(exclude_none=True)


def _show(options: dict[str, Any]) -> JSONResponse:
    return JSONResponse(options, headers=NO_STORE)


def _view(passkey: Passkey) -> PasskeyView:
    return PasskeyView(
        passkey_id=passkey.passkey_id,
        name=passkey.name,
        backed_up=passkey.backed_up,
        created_at=passkey.created_at,
        last_used_at=passkey.last_used_at,
    )
